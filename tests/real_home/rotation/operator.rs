//! The operator's command line as a process that a test can kill.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::{SHORT, Stage, TABLE};

/// A run of the command line.
pub(crate) struct Run {
    child: Child,
    output: [JoinHandle<String>; 2],
}

/// The result of a run.
pub(crate) struct Ended {
    pub(crate) succeeded: bool,
    /// The answer on standard output.
    pub(crate) answer: Value,
    /// All output of the run.
    pub(crate) printed: String,
}

impl Run {
    /// Starts `latchkey` with these arguments. `variables` are added to the variables of all runs.
    pub(crate) fn start(stage: &Stage, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_latchkey"))
            .args(arguments)
            .env_clear()
            .envs(stage.aws.environment())
            .envs(SHORT)
            .env("HA_URL", stage.home.url())
            .env("TABLE_NAME", TABLE)
            .env("LOG_LEVEL", "trace")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self {
            child,
            output: [tokio::spawn(text(stdout)), tokio::spawn(text(stderr))],
        }
    }

    /// Waits until the run has ended by itself.
    pub(crate) async fn until_ended(&mut self) {
        self.child.wait().await.unwrap();
    }

    /// Kills the run with SIGKILL, as the kernel does when memory runs out.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits until the run has ended, and returns its result.
    pub(crate) async fn end(mut self) -> Ended {
        let status = self.child.wait().await.unwrap();
        let [stdout, stderr] = self.output;
        let (stdout, stderr) = (stdout.await.unwrap(), stderr.await.unwrap());
        Ended {
            succeeded: status.success(),
            answer: serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}\n{stderr}")),
            printed: stdout + &stderr,
        }
    }
}

async fn text(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut text = String::new();
    pipe.read_to_string(&mut text).await.unwrap();
    text
}

/// Runs the command line to its end.
pub(crate) async fn run(stage: &Stage, arguments: &[&str]) -> Ended {
    Run::start(stage, arguments, &[]).end().await
}
