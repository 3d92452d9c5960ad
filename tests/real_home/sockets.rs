//! Published WebSocket clients of Home Assistant work with latchkey without changes.

use std::sync::Arc;

use latchkey_dev::gateway::{GatewayOptions, WebSocketGateway};
use latchkey_dev::stack::{QueuePoller, RealHome, node_script, script, tool};
use serde_json::json;
use testkit::Stage;
use testkit::callers::{token, variables};
use tokio::process::Command;

use crate::clients::{run_with_input, text};

/// The table of the function.
const TABLE: &str = "latchkey";

/// A real home, AWS with a table and a queue, the function, and a gateway in front of it.
struct SocketStage {
    stage: Stage<RealHome>,
    gateway: WebSocketGateway,
    _deadlines: QueuePoller,
}

impl SocketStage {
    async fn start() -> Self {
        let stage = Stage::real().callers().table(TABLE).start().await;
        let queue = stage.aws.create_queue("deadlines").await.unwrap();
        let sandbox = stage.sandbox().envs(variables(stage.home.url()));
        let function = sandbox
            .env("TABLE_NAME", TABLE)
            .env("DEADLINE_QUEUE_URL", &queue)
            // One client waits for the greeting, which comes through the queue. A busy machine may take some time.
            .env("WEBSOCKET_AUTH_SECONDS", "60")
            .start()
            .await;
        let function = Arc::new(function);
        // A rewrite in front of API Gateway maps the path of stock clients to the stage.
        let options = GatewayOptions::default().any_path();
        let gateway = WebSocketGateway::start(options, function.clone()).await;
        Self {
            gateway: gateway.unwrap(),
            _deadlines: QueuePoller::start(&stage.aws, queue, function),
            stage,
        }
    }

    /// Runs a client with two tokens of one caller, and asserts that it succeeds.
    async fn run(&self, client: Command) {
        let tokens = [1, 2].map(|number| token(&["admin"], &json!({ "jti": number })));
        let output = run_with_input(client, &tokens.join("\n")).await;
        let seen = text(&output);
        assert!(output.status.success(), "{seen}");
        let is_failure = |line: &str| line.starts_with("failed");
        assert!(!seen.lines().any(is_failure), "{seen}");
    }

    async fn stop(self) {
        // A refused caller does not cause a failed login in the home.
        assert_eq!(self.stage.home.failed_logins().await.unwrap(), 0);
        drop(self.gateway);
        self.stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_javascript_library_works_unchanged() {
    let stage = SocketStage::start().await;
    let mut client = node_script("socket_client.mjs").unwrap();
    client.arg(format!("http://{}", stage.gateway.domain()));
    stage.run(client).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_python_socket_library_works_unchanged() {
    let stage = SocketStage::start().await;
    let mut client = tool("clients", "python").unwrap();
    client.arg("-I").arg(script("socket_client.py").unwrap());
    client.arg(format!("ws://{}/api/websocket", stage.gateway.domain()));
    stage.run(client).await;
    stage.stop().await;
}
