//! Programs beside ours, which end when we do.
//!
//! Each watches its standard input, whose other end only we hold: the kernel closes it however we
//! end.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Error, Result};

/// The lines that a program has printed.
#[derive(Clone, Debug)]
pub(super) struct Log(Arc<watch::Sender<Vec<String>>>);

impl Log {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }

    fn push(&self, line: String) {
        self.0.send_modify(|lines| lines.push(line));
    }

    /// All of it so far.
    pub(super) fn text(&self) -> String {
        self.0.borrow().join("\n")
    }

    /// How many lines there are so far.
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// The first line after `start` that `find` makes something of; `None` when there is none
    /// `within` the time.
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
        // Whichever way the wait ends, `found` says how.
        let _ = tokio::time::timeout(within, search).await;
        found
    }
}

/// A running program. Dropped, it is told to end; `stop` also waits until it has.
#[derive(Debug)]
pub(super) struct Program {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    log: Log,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts `command`, its output going to the log.
    pub(super) fn spawn(name: &'static str, command: Command) -> Result<Self> {
        let (mut program, stdout) = Self::start(name, command)?;
        program.keep(stdout);
        Ok(program)
    }

    /// Starts `command` and waits for its first line of output, a JSON document about how to reach
    /// it.
    pub(super) async fn spawn_announced<T: DeserializeOwned>(
        name: &'static str,
        command: Command,
        within: Duration,
    ) -> Result<(Self, T)> {
        let (mut program, mut stdout) = Self::start(name, command)?;
        let announcement = match tokio::time::timeout(within, stdout.next_line()).await {
            Ok(Ok(Some(line))) => serde_json::from_str(&line).map_err(|error| error.to_string()),
            Ok(Ok(None)) => Err("it ended".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("nothing within {} s", within.as_secs())),
        };
        match announcement {
            Ok(announcement) => {
                program.keep(stdout);
                Ok((program, announcement))
            }
            Err(why) => {
                // Stopped first, so that what it says while ending is part of the report.
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
            return Err(failed(std::io::Error::other("no pipes to it")));
        };
        let mut program = Self {
            name,
            stdin: child.stdin.take(),
            child,
            log: Log::new(),
            readers: Vec::new(),
        };
        program.keep(BufReader::new(stderr).lines());
        Ok((program, BufReader::new(stdout).lines()))
    }

    /// Goes on reading `lines` into the log, which also keeps the program from stalling on a full
    /// pipe.
    fn keep<R: AsyncRead + Unpin + Send + 'static>(&mut self, mut lines: Lines<BufReader<R>>) {
        let log = self.log.clone();
        self.readers.push(tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                log.push(line);
            }
        }));
    }

    /// What it has printed since it was ready.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// The error of a program that did not get ready.
    pub(super) fn not_ready(&self, why: impl Into<String>) -> Error {
        Error::NotReady {
            name: self.name,
            why: why.into(),
            output: self.log.text(),
        }
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Asks it to end and waits until it has, and all it printed is in the log.
    pub(super) async fn stop(mut self) {
        drop(self.stdin.take());
        // A failure to wait means that it is gone already.
        let _ = self.child.wait().await;
        for reader in self.readers {
            let _ = reader.await;
        }
    }
}
