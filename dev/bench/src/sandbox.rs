//! The process of a function, run as in a Lambda execution environment.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::error::Error;
use crate::request::Request;
use crate::runtime_api::{Answer, RuntimeApi};

/// An executable and its options.
#[derive(Clone, Debug)]
pub(super) struct Program {
    executable: PathBuf,
    env: Vec<(String, String)>,
    concurrency: Option<usize>,
    may_be_paused: bool,
}

impl Program {
    pub(super) fn new(executable: impl Into<PathBuf>) -> Self {
        Self {
            executable: executable.into(),
            env: Vec::new(),
            concurrency: None,
            may_be_paused: false,
        }
    }

    pub(super) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Allows this many concurrent invocations, as on a Lambda managed instance.
    pub(super) fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = Some(concurrency);
        self
    }

    /// Allows pauses. A paused process cannot notice the end of this process, so the kernel has to kill it then.
    /// `setpriv` sets this up. It adds to the start time, so do not use this to measure a start.
    pub(super) fn may_be_paused(mut self) -> Self {
        self.may_be_paused = true;
        self
    }
}

/// The memory of a process in KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// The peak resident set.
    pub(super) peak_kib: u64,
    /// The current resident set.
    pub(super) resident_kib: u64,
}

/// A running function. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct Sandbox {
    api: Arc<RuntimeApi>,
    child: Child,
    spawned: Instant,
    log: File,
}

impl Sandbox {
    /// Starts a function.
    pub(super) async fn start(program: &Program) -> Result<Self, Error> {
        let failed = |source| Error::Io {
            what: format!("starting {}", program.executable.display()),
            source,
        };
        let api = RuntimeApi::start(program.concurrency.is_some())
            .await
            .map_err(failed)?;
        let log = tempfile::tempfile().map_err(failed)?;
        let mut command = if program.may_be_paused {
            let mut command = Command::new("setpriv");
            command
                .args(["--pdeathsig", "KILL"])
                .arg(&program.executable);
            command
        } else {
            Command::new(&program.executable)
        };
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api.address().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "latchkey")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log.try_clone().map_err(failed)?)
            .kill_on_drop(true);
        if let Some(concurrency) = program.concurrency {
            command.env("AWS_LAMBDA_MAX_CONCURRENCY", concurrency.to_string());
        }
        let spawned = Instant::now();
        let child = command.spawn().map_err(failed)?;
        Ok(Self {
            api: Arc::new(api),
            child,
            spawned,
            log,
        })
    }

    /// Returns the start time of the process.
    pub(super) fn spawned(&self) -> Instant {
        self.spawned
    }

    /// Returns the Runtime API of the process.
    pub(super) fn api(&self) -> Arc<RuntimeApi> {
        Arc::clone(&self.api)
    }

    /// Runs `work` while the function is alive.
    ///
    /// # Errors
    /// If the function ends first.
    pub(super) async fn while_alive<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Error> {
        let ended = tokio::select! {
            biased;
            done = work => return Ok(done),
            ended = self.child.wait() => ended,
        };
        let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        let output = self.output();
        Err(Error::Ended { status, output })
    }

    /// Runs one invocation.
    pub(super) async fn invoke(&mut self, payload: &Bytes) -> Result<Answer, Error> {
        let api = self.api();
        self.while_alive(api.invoke(payload.clone())).await?
    }

    /// Sends one request, which must succeed.
    pub(super) async fn ask(&mut self, request: Request, payload: &Bytes) -> Result<Answer, Error> {
        let answer = self.invoke(payload).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match request.is_done(&body) {
            true => Ok(answer),
            false => Err(self.wrong(&answer)),
        }
    }

    /// Runs one command. The home must respond, and its `success` must be as given.
    pub(super) async fn command(
        &mut self,
        payload: &Bytes,
        success: bool,
    ) -> Result<Answer, Error> {
        let answer = self.invoke(payload).await?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let result = &body["results"][0];
        if result["outcome"] == "answered" && result["success"] == success {
            return Ok(answer);
        }
        Err(self.wrong(&answer))
    }

    fn wrong(&mut self, answer: &Answer) -> Error {
        let mut answered = String::from_utf8_lossy(&answer.body).into_owned();
        answered.truncate(answered.floor_char_boundary(1_000));
        Error::WrongAnswer {
            answered,
            output: self.output(),
        }
    }

    /// Waits until the function is idle. Lambda would freeze it then.
    pub(super) async fn idle(&mut self) -> Result<(), Error> {
        let api = self.api();
        self.while_alive(api.idle()).await
    }

    /// Freezes the process.
    pub(super) fn pause(&self) -> Result<(), Error> {
        self.signal(Signal::STOP)
    }

    /// Resumes the process.
    pub(super) fn resume(&self) -> Result<(), Error> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        let failed = |source| Error::Io {
            what: "signalling the function".to_owned(),
            source,
        };
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        kill_process(pid, signal).map_err(|error| failed(error.into()))
    }

    /// Returns the memory of the process, as the kernel reports it.
    pub(super) fn memory(&self) -> Result<Memory, Error> {
        let id = self.child.id().unwrap_or_default();
        let status =
            std::fs::read_to_string(format!("/proc/{id}/status")).map_err(|source| Error::Io {
                what: "reading the function's memory use".to_owned(),
                source,
            })?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok())
                .unwrap_or_default()
        };
        Ok(Memory {
            peak_kib: field("VmHWM:"),
            resident_kib: field("VmRSS:"),
        })
    }

    /// Kills the process and waits for its end.
    pub(super) async fn end(mut self) {
        // An error means that the process has already ended.
        let _ = self.child.kill().await;
    }

    fn output(&mut self) -> String {
        let mut output = String::new();
        let read = self
            .log
            .rewind()
            .and_then(|()| self.log.read_to_string(&mut output));
        match read {
            Ok(_) => output,
            Err(error) => format!("(the output cannot be read: {error})"),
        }
    }
}
