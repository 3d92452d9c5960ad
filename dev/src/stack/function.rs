//! The function's own binary under the real Runtime Interface Emulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::Mutex;

use super::process::Program;
use super::{AwsEmulator, Error, Result, http_client, tools};

const NAME: &str = "the Lambda Runtime Interface Emulator";
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long an invocation's last line in the log may lag behind its answer.
const REPORT_WITHIN: Duration = Duration::from_secs(2);
/// How often a port is looked at that gives no sign when it opens.
const PROBE_EVERY: Duration = Duration::from_millis(5);
/// The ports are chosen before the emulator binds them; another process may be quicker.
const PORT_ATTEMPTS: usize = 3;

/// How the function runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FunctionOptions {
    /// The function's executable.
    pub bootstrap: PathBuf,
    /// Its environment, all of it but what Lambda itself sets.
    pub env: Vec<(String, String)>,
    /// Lambda's timeout of one invocation.
    pub timeout: Duration,
}

impl FunctionOptions {
    /// A function with an empty environment and a timeout of 30 s.
    pub fn new(bootstrap: impl Into<PathBuf>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            env: Vec::new(),
            timeout: Duration::from_secs(30),
        }
    }

    /// Sets one variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Points the function's AWS SDK at `aws`.
    #[must_use]
    pub fn aws(mut self, aws: &AwsEmulator) -> Self {
        self.env.extend(aws.environment());
        self
    }

    /// Tells the function that it runs locally, as SAM does.
    #[must_use]
    pub fn local(self) -> Self {
        self.env("AWS_SAM_LOCAL", "true")
    }

    /// Sets Lambda's timeout of one invocation.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// What one invocation came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Invocation {
    /// The emulator's status: 200 unless it could not run the function at all.
    pub status: u16,
    /// The function's answer, or Lambda's error document.
    pub body: Vec<u8>,
    /// From the request's start to the answer's last byte. Unlike Lambda, the emulator keeps the
    /// answer back until the function's extensions are done as well.
    pub elapsed: Duration,
    /// How long the function took to answer and ask for its next event, by the emulator's own
    /// account: what a caller would have waited for. Nothing when it did not answer.
    pub answered_in: Option<Duration>,
}

impl Invocation {
    /// The answer as JSON; `Null` when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The answer as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A function that can be invoked.
#[derive(Debug)]
pub struct Function {
    program: Program,
    address: SocketAddr,
    client: reqwest::Client,
    /// The emulator, like one sandbox of Lambda's, takes one invocation at a time and refuses a
    /// second.
    turn: Mutex<()>,
}

impl Function {
    /// Starts the emulator, which starts the function.
    ///
    /// # Errors
    /// When the emulator is not installed or does not start.
    pub async fn start(options: FunctionOptions) -> Result<Self> {
        if !options.bootstrap.exists() {
            return Err(Error::Missing(options.bootstrap));
        }
        let mut attempt = 1;
        loop {
            match Self::try_start(&options).await {
                Err(Error::NotReady { output, .. })
                    if attempt < PORT_ATTEMPTS && output.contains("address already in use") =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_start(options: &FunctionOptions) -> Result<Self> {
        let (address, runtime_api) = free_addresses().await?;
        let mut command = Command::new(tools::python("sam")?);
        command
            // Nothing of the surroundings, no packages, no compiled files: it starts in half the
            // time.
            .args(["-I", "-S", "-B"])
            .arg(tools::script("supervise.py")?)
            .arg(tools::runtime_interface_emulator()?)
            .args(["--runtime-interface-emulator-address", &address.to_string()])
            .args(["--runtime-api-address", &runtime_api.to_string()])
            // It would take the function's LOG_LEVEL for its own.
            .args(["--log-level", "info"])
            .arg(&options.bootstrap)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("AWS_LAMBDA_FUNCTION_NAME", "latchkey")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env(
                "AWS_LAMBDA_FUNCTION_TIMEOUT",
                options.timeout.as_secs().max(1).to_string(),
            )
            .envs(options.env.iter().map(|(name, value)| (name, value)));
        let mut function = Self {
            program: Program::spawn(NAME, command)?,
            address,
            client: http_client()?,
            turn: Mutex::new(()),
        };
        match tokio::time::timeout(READY_WITHIN, function.until_listening()).await {
            Ok(Ok(())) => Ok(function),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(function.program.not_ready("its port did not open")),
        }
    }

    async fn until_listening(&mut self) -> Result<()> {
        let mut probe = tokio::time::interval(PROBE_EVERY);
        loop {
            probe.tick().await;
            if let Some(status) = self.program.ended() {
                return Err(self.program.not_ready(status));
            }
            if TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
        }
    }

    /// Where events are posted to.
    pub fn url(&self) -> String {
        format!(
            "http://{}/2015-03-31/functions/function/invocations",
            self.address
        )
    }

    /// Invokes it with `event`; a second call waits for its turn.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn invoke(&self, event: &Value) -> Result<Invocation> {
        self.invoke_raw(event.to_string()).await
    }

    /// Invokes it with a payload that need not be JSON.
    ///
    /// # Errors
    /// When the emulator does not answer.
    pub async fn invoke_raw(&self, payload: impl Into<reqwest::Body>) -> Result<Invocation> {
        let _turn = self.turn.lock().await;
        let log = self.program.log();
        let logged = log.len();
        let started = Instant::now();
        let response = self.client.post(self.url()).body(payload).send().await?;
        let status = response.status().as_u16();
        let body = response.bytes().await?.to_vec();
        let elapsed = started.elapsed();
        // It is printed before the answer comes, but on another way.
        let finished = log.find(logged, REPORT_WITHIN, |line| {
            line.starts_with("REPORT RequestId").then_some(())
        });
        let answered_in = match finished.await {
            Some(()) => log.find(logged, Duration::ZERO, answer_duration).await,
            None => None,
        };
        Ok(Invocation {
            status,
            body,
            elapsed,
            answered_in,
        })
    }

    /// Waits until the function or the emulator has printed a line with `text` in it.
    ///
    /// # Errors
    /// When there is none `within` the time.
    pub async fn wait_for_log(&self, text: &str, within: Duration) -> Result<String> {
        let line = self.program.log().find(0, within, |line| {
            line.contains(text).then(|| line.to_owned())
        });
        line.await.ok_or_else(|| Error::Timeout {
            what: format!("{text:?} in the function's log"),
            seconds: within.as_secs(),
        })
    }

    /// Everything that the function and the emulator have printed.
    pub fn logs(&self) -> String {
        self.program.log().text()
    }

    /// Ends it and returns its complete output.
    pub async fn stop(self) -> String {
        let log = self.program.log().clone();
        self.program.stop().await;
        log.text()
    }
}

/// The duration in a line such as `… (rapid) INVOKE RTDONE(status: success, …, duration:
/// 3.758000ms)`.
fn answer_duration(line: &str) -> Option<Duration> {
    let (_, report) = line.split_once("INVOKE RTDONE(status: success")?;
    let (_, duration) = report.split_once("duration: ")?;
    let milliseconds: f64 = duration.trim_end_matches("ms)").parse().ok()?;
    Some(Duration::from_secs_f64(milliseconds / 1000.0))
}

/// Ports below those that Linux hands out by itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Two addresses that were free a moment ago: the emulator cannot be asked which port the system chose for it. They lie
/// outside of what the system chooses from, so no other server takes them meanwhile.
async fn free_addresses() -> Result<(SocketAddr, SocketAddr)> {
    let mut found = Vec::new();
    // Both held at once, or they might be the same.
    while found.len() < 2 {
        let port = fastrand::u16(PORTS);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => found.push(listener),
            Err(taken) if taken.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(source) => return Err(Error::Process { name: NAME, source }),
        }
    }
    let address = |listener: &TcpListener| {
        listener
            .local_addr()
            .map_err(|source| Error::Process { name: NAME, source })
    };
    Ok((address(&found[0])?, address(&found[1])?))
}
