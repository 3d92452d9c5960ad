//! The function's binary under the Lambda Runtime Interface Emulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::Mutex;

use super::aws::AwsEmulator;
use super::error::{Error, Result};
use super::http_client::http_client;
use super::process::Program;
use super::tools;

const NAME: &str = "the Lambda Runtime Interface Emulator";
const READY_WITHIN: Duration = Duration::from_secs(30);
/// The time limit for the last log line of an invocation, counted from the response.
const REPORT_WITHIN: Duration = Duration::from_secs(2);
/// The interval between attempts to connect to the emulator's port.
const PROBE_EVERY: Duration = Duration::from_millis(5);
/// The ports are chosen before the emulator binds them, so another process can bind them first.
const PORT_ATTEMPTS: usize = 3;

/// The options of a function.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FunctionOptions {
    /// The function's executable.
    pub bootstrap: PathBuf,
    /// The function's environment, without the variables that Lambda sets.
    pub env: Vec<(String, String)>,
    /// The timeout of an invocation.
    pub timeout: Duration,
}

impl FunctionOptions {
    /// Creates options with an empty environment and a timeout of 30 s.
    pub fn new(bootstrap: impl Into<PathBuf>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            env: Vec::new(),
            timeout: Duration::from_secs(30),
        }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Makes the function's AWS SDK use `aws`.
    #[must_use]
    pub fn aws(mut self, aws: &AwsEmulator) -> Self {
        self.env.extend(aws.environment());
        self
    }

    /// Marks the environment as local, as SAM does.
    #[must_use]
    pub fn local(self) -> Self {
        self.env("AWS_SAM_LOCAL", "true")
    }

    /// Sets the timeout of an invocation.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// The result of an invocation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Invocation {
    /// The emulator's HTTP status: 200 unless the emulator could not run the function.
    pub status: u16,
    /// The function's response, or Lambda's error document.
    pub body: Vec<u8>,
    /// The time from the start of the request to the last byte of the response. Unlike Lambda, the
    /// emulator sends the response only when the function's extensions have finished.
    pub elapsed: Duration,
    /// The time from the event to the function's response, from the emulator's log. A caller of Lambda
    /// would wait this long. `None` if the function did not respond.
    pub answered_in: Option<Duration>,
}

impl Invocation {
    /// Returns the body as JSON, or `Null` if the body is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A running function.
#[derive(Debug)]
pub struct Function {
    program: Program,
    address: SocketAddr,
    client: reqwest::Client,
    /// Serialises invocations: like a Lambda execution environment, the emulator rejects a second
    /// concurrent invocation.
    turn: Mutex<()>,
}

impl Function {
    /// Starts the emulator, which starts the function.
    ///
    /// # Errors
    /// If the emulator is not installed or does not start.
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
            // Without the user's environment, packages and compiled files, Python starts in half
            // the time.
            .args(["-I", "-S", "-B"])
            .arg(tools::script("supervise.py")?)
            .arg(tools::runtime_interface_emulator()?)
            .args(["--runtime-interface-emulator-address", &address.to_string()])
            .args(["--runtime-api-address", &runtime_api.to_string()])
            // Without this option, the emulator would use the function's LOG_LEVEL.
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

    /// Returns the URL that invokes the function.
    pub fn url(&self) -> String {
        format!(
            "http://{}/2015-03-31/functions/function/invocations",
            self.address
        )
    }

    /// Invokes the function with `event`. Concurrent calls run one after another.
    ///
    /// # Errors
    /// If the emulator does not respond.
    pub async fn invoke(&self, event: &Value) -> Result<Invocation> {
        self.invoke_raw(event.to_string()).await
    }

    /// Invokes the function with a payload, which can be invalid JSON.
    ///
    /// # Errors
    /// If the emulator does not respond.
    pub async fn invoke_raw(&self, payload: impl Into<reqwest::Body>) -> Result<Invocation> {
        let _turn = self.turn.lock().await;
        let log = self.program.log();
        let logged = log.len();
        let started = Instant::now();
        let response = self.client.post(self.url()).body(payload).send().await?;
        let status = response.status().as_u16();
        let body = response.bytes().await?.to_vec();
        let elapsed = started.elapsed();
        // The emulator prints the report before it sends the response, but the log can arrive later.
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

    /// Waits until the log has a line that contains `text`. Returns the line.
    ///
    /// # Errors
    /// If the log has no such line `within` the time.
    pub async fn wait_for_log(&self, text: &str, within: Duration) -> Result<String> {
        let line = self.program.log().find(0, within, |line| {
            line.contains(text).then(|| line.to_owned())
        });
        line.await.ok_or_else(|| Error::Timeout {
            what: format!("{text:?} in the function's log"),
            seconds: within.as_secs(),
        })
    }

    /// Returns the output of the function and the emulator.
    pub fn logs(&self) -> String {
        self.program.log().text()
    }

    /// Stops the function and returns the complete output.
    pub async fn stop(self) -> String {
        let log = self.program.log().clone();
        self.program.stop().await;
        log.text()
    }
}

/// Returns the duration in a line such as `… (rapid) INVOKE RTDONE(status: success, …, duration:
/// 3.758000ms)`.
fn answer_duration(line: &str) -> Option<Duration> {
    let (_, report) = line.split_once("INVOKE RTDONE(status: success")?;
    let (_, duration) = report.split_once("duration: ")?;
    let milliseconds: f64 = duration.trim_end_matches("ms)").parse().ok()?;
    Some(Duration::from_secs_f64(milliseconds / 1000.0))
}

/// Ports below the range from which Linux assigns ports.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Returns two free addresses. The emulator cannot report a port that the system assigns, so the ports are chosen here.
/// They are outside the range from which the system assigns ports, so other servers do not get them.
async fn free_addresses() -> Result<(SocketAddr, SocketAddr)> {
    let mut found = Vec::new();
    // Both listeners stay open until both ports are chosen, so the ports differ.
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
