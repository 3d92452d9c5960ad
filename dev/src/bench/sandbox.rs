//! A function's process, as Lambda would run it.

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

use super::Error;
use super::runtime_api::{Answer, RuntimeApi};

/// An executable and how it is to run.
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

    /// Runs this many invocations side by side, as on a managed instance.
    pub(super) fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = Some(concurrency);
        self
    }

    /// Will be paused. A process that stands still cannot notice that we are gone, so the kernel has to end it then;
    /// asking it to costs a moment at start, so it is not for a start that is measured.
    pub(super) fn may_be_paused(mut self) -> Self {
        self.may_be_paused = true;
        self
    }
}

/// How much memory a process has, in KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// The most it ever had.
    pub(super) peak_kib: u64,
    /// What it has now.
    pub(super) resident_kib: u64,
}

/// A running function. Dropped, it is killed.
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

    /// When its process was started.
    pub(super) fn spawned(&self) -> Instant {
        self.spawned
    }

    /// Its Runtime API.
    pub(super) fn api(&self) -> Arc<RuntimeApi> {
        Arc::clone(&self.api)
    }

    /// Does `work`, which needs the function, or fails when the function ends meanwhile.
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

    /// Runs one command, which the home must answer with or without success.
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
        let mut answered = String::from_utf8_lossy(&answer.body).into_owned();
        answered.truncate(answered.floor_char_boundary(1_000));
        Err(Error::WrongAnswer {
            answered,
            output: self.output(),
        })
    }

    /// Waits until Lambda would freeze it.
    pub(super) async fn idle(&mut self) -> Result<(), Error> {
        let api = self.api();
        self.while_alive(api.idle()).await
    }

    /// Freezes it.
    pub(super) fn pause(&self) -> Result<(), Error> {
        self.signal(Signal::STOP)
    }

    /// Thaws it.
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

    /// How much memory it has, by the kernel's account.
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

    /// Kills it and waits until it is gone.
    pub(super) async fn end(mut self) {
        // It may have ended by itself.
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
            Err(error) => format!("(its output cannot be read: {error})"),
        }
    }
}
