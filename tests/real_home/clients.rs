//! Published clients of Home Assistant's REST API work with latchkey without changes.

use std::process::{Output, Stdio};

use latchkey_dev::stack::{AwsEmulator, RealHome, script, tool};
use latchkey_local::LocalPort;
use serde_json::json;
use testkit::callers::token;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::start_with_callers;

/// The permissions of a caller who may read all lights and call one light.
const LIMITED: [&str; 2] = ["read:light.*", "call:light.*:light.bed_light"];

pub(crate) struct ClientStage {
    home: RealHome,
    aws: AwsEmulator,
    pub(crate) port: LocalPort,
}

impl ClientStage {
    pub(crate) async fn start() -> Self {
        let (home, aws, app) = start_with_callers().await;
        let port = LocalPort::open(app.function).await.unwrap();
        Self { home, aws, port }
    }

    /// Runs a script with a caller's token, and asserts that the script succeeds.
    async fn run(&self, name: &str, arguments: &[&str], permissions: &[&str]) {
        let mut command = tool("clients", "python").unwrap();
        command
            .arg("-I")
            .arg(script(name).unwrap())
            .arg(self.port.url())
            .args(arguments);
        let jwt = token(permissions, &json!({}));
        let output = run_with_input(command, &jwt).await;
        let seen = text(&output);
        assert!(output.status.success(), "{name} {arguments:?}:\n{seen}");
        assert!(!seen.contains("a 404"), "the home lacks a part:\n{seen}");
    }

    pub(crate) async fn stop(self) {
        // A rejected caller does not cause a failed login in the home.
        assert_eq!(self.home.failed_logins().await.unwrap(), 0);
        self.aws.stop().await;
        self.home.stop().await;
    }
}

pub(crate) async fn run_with_input(mut command: Command, input: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

pub(crate) fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_python_library_works_unchanged() {
    let stage = ClientStage::start().await;
    stage.run("rest_client.py", &[], &["admin"]).await;
    stage.run("rest_client.py", &["--limited"], &LIMITED).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_command_line_client_works_unchanged() {
    let stage = ClientStage::start().await;
    stage.run("cli_client.py", &[], &["admin"]).await;
    stage.run("cli_client.py", &["--limited"], &LIMITED).await;
    stage.stop().await;
}
