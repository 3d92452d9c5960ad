//! Clients of Home Assistant's REST API that know nothing of latchkey, and a client made of the door's own description.

use std::process::{Output, Stdio};

use latchkey_dev::stack::{AwsEmulator, RealHome, script, tool};
use latchkey_local::LocalPort;
use serde_json::json;
use testkit::callers::token;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::behind_the_door;

/// All that one caller may do who has a light of their own.
const LIMITED: [&str; 2] = ["read:light.*", "call:light.*:light.bed_light"];

pub(crate) struct ClientStage {
    home: RealHome,
    aws: AwsEmulator,
    pub(crate) port: LocalPort,
}

impl ClientStage {
    pub(crate) async fn set() -> Self {
        let (home, aws, app) = behind_the_door().await;
        let port = LocalPort::open(app.function).await.unwrap();
        Self { home, aws, port }
    }

    /// Runs a script with a caller's token.
    async fn run(&self, name: &str, arguments: &[&str], permissions: &[&str]) {
        let mut command = tool("clients", "python").unwrap();
        command
            .arg("-I")
            .arg(script(name).unwrap())
            .arg(self.port.url())
            .args(arguments);
        let jwt = token(permissions, &json!({}));
        let output = fed(command, &jwt).await;
        let seen = text(&output);
        assert!(output.status.success(), "{name} {arguments:?}:\n{seen}");
        assert!(!seen.contains("a 404"), "the home lacks a part:\n{seen}");
    }

    pub(crate) async fn end(self) {
        // Refused callers cost the home no failed login, and the home's token was good throughout.
        assert_eq!(self.home.failed_logins().await.unwrap(), 0);
        self.aws.stop().await;
        self.home.stop().await;
    }
}

pub(crate) async fn fed(mut command: Command, input: &str) -> Output {
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
async fn a_published_library_works_as_it_is() {
    let stage = ClientStage::set().await;
    stage.run("rest_client.py", &[], &["admin"]).await;
    stage.run("rest_client.py", &["--limited"], &LIMITED).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_command_line_works_as_it_is() {
    let stage = ClientStage::set().await;
    stage.run("cli_client.py", &[], &["admin"]).await;
    stage.run("cli_client.py", &["--limited"], &LIMITED).await;
    stage.end().await;
}
