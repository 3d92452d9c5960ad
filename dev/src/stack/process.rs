//! Child processes that end with this process.
//!
//! Each program watches its standard input. Only this process has the other end of that pipe, and the
//! kernel closes it in any case when this process ends.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::error::{Error, Result};

/// The lines of a program's output.
#[derive(Clone, Debug)]
pub(super) struct Log(Arc<watch::Sender<Vec<String>>>);

impl Log {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    fn push(&self, line: String) {
        self.0.send_modify(|lines| lines.push(line));
    }

    /// Returns the lines so far.
    pub(super) fn text(&self) -> String {
        self.0.borrow().join("\n")
    }

    /// Returns the number of lines so far.
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Returns the first result of `find` for a line from `start` on. Waits for new lines, and returns
    /// `None` after the time `within`.
    pub(super) async fn find<T>(
        &self,
        start: usize,
        within: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let mut lines = self.0.subscribe();
        let mut found = None;
        let search = lines.wait_for(|lines| {
            found = lines.iter().skip(start).find_map(|line| find(line));
            found.is_some()
        });
        // An error means a timeout or the end of the log; `found` then stays `None`.
        let _ = tokio::time::timeout(within, search).await;
        found
    }
}

/// A running program. Dropping it tells the program to end; `stop` also waits for the end.
#[derive(Debug)]
pub(super) struct Program {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    log: Log,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts a program and logs its output.
    pub(super) fn spawn(name: &'static str, command: Command) -> Result<Self> {
        let (mut program, stdout) = Self::start(name, command)?;
        program.log_lines(stdout);
        Ok(program)
    }

    /// Starts a program and waits for its first line of output: JSON with the program's address.
    pub(super) async fn spawn_announced<T: DeserializeOwned>(
        name: &'static str,
        command: Command,
        within: Duration,
    ) -> Result<(Self, T)> {
        let (mut program, mut stdout) = Self::start(name, command)?;
        let announcement = match tokio::time::timeout(within, stdout.next_line()).await {
            Ok(Ok(Some(line))) => serde_json::from_str(&line).map_err(|error| error.to_string()),
            Ok(Ok(None)) => Err("its output ended".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no output within {} s", within.as_secs())),
        };
        match announcement {
            Ok(announcement) => {
                program.log_lines(stdout);
                Ok((program, announcement))
            }
            Err(why) => {
                // Stops the program first, so that the error has its complete output.
                let log = program.log.clone();
                program.stop().await;
                Err(Error::NotReady {
                    name,
                    why,
                    output: log.text(),
                })
            }
        }
    }

    fn start(
        name: &'static str,
        mut command: Command,
    ) -> Result<(Self, Lines<BufReader<ChildStdout>>)> {
        let failed = |source| Error::Process { name, source };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed(std::io::Error::other("no pipes to the program")));
        };
        let mut program = Self {
            name,
            stdin: child.stdin.take(),
            child,
            log: Log::new(),
            readers: Vec::new(),
        };
        program.log_lines(BufReader::new(stderr).lines());
        Ok((program, BufReader::new(stdout).lines()))
    }

    /// Reads `lines` into the log until they end. Without a reader, the program would block on a full
    /// pipe.
    fn log_lines<R: AsyncRead + Unpin + Send + 'static>(&mut self, mut lines: Lines<BufReader<R>>) {
        let log = self.log.clone();
        self.readers.push(tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                log.push(line);
            }
        }));
    }

    /// Returns the log. The announcement is not part of it.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Returns the error of a program that did not become ready.
    pub(super) fn not_ready(&self, why: impl Into<String>) -> Error {
        Error::NotReady {
            name: self.name,
            why: why.into(),
            output: self.log.text(),
        }
    }

    /// Returns the exit status if the program has ended.
    pub(super) fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Tells the program to end, and waits until it has ended and the log is complete.
    pub(super) async fn stop(mut self) {
        drop(self.stdin.take());
        // An error means that the program has already ended.
        let _ = self.child.wait().await;
        for reader in self.readers {
            let _ = reader.await;
        }
    }
}
