//! Tests of the WebSocket door, by events: authentication, messages of both dialects, and permissions.

mod authentication;
mod broadcast;
mod deadlines;
mod messages;
mod permissions;
mod tenants;

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::{Clock as _, ManualClock};
use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};
use testkit::asyncapi::check_frame;
use testkit::callers::{request, token, variables};
use testkit::{Sandbox, Socket, Stage, stopped_clock};

/// The table that keeps the connections.
const TABLE: &str = "latchkey";

/// A home, an emulated AWS, and an execution environment whose clock stands still.
struct SocketStage {
    home: SimulatedHome,
    aws: AwsEmulator,
    app: Sandbox,
    clock: Arc<ManualClock>,
}

impl SocketStage {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a stage with additional variables.
    async fn with(more: &[(&str, &str)]) -> Self {
        Self::with_home(HomeOptions::default(), more).await
    }

    /// Starts a stage whose home's states have this size.
    async fn with_states(bytes: usize) -> Self {
        let options = HomeOptions {
            states_bytes: Some(bytes),
            ..HomeOptions::default()
        };
        Self::with_home(options, &[]).await
    }

    async fn with_home(options: HomeOptions, more: &[(&str, &str)]) -> Self {
        let stage = Stage::builder().home(options).callers().table(TABLE);
        let Stage { home, aws, .. } = stage.start().await;
        let clock = stopped_clock();
        let url = home.url();
        let sandbox = Sandbox::builder().aws(&aws).envs(variables(&url));
        let sandbox = sandbox.env("TABLE_NAME", TABLE);
        let sandbox = sandbox.envs(more.iter().copied()).env("METRICS", "off");
        let app = sandbox.clock(clock.clone()).start().await;
        Self {
            home,
            aws,
            app,
            clock,
        }
    }

    /// Opens a connection with a token that has these permissions.
    async fn open(&self, id: &str, permissions: &[&str]) -> Socket {
        let socket = Socket::new(id);
        let event = socket.connect_with(&token(permissions, &json!({})));
        assert_eq!(self.app.handle(&event).await, json!({"statusCode": 200}));
        socket
    }

    /// Sends a text and returns the frame of the answer. `Null` if the answer has no frame.
    async fn send_text(&self, socket: &Socket, text: &str) -> Value {
        let reply = self.app.handle(&socket.text(text)).await;
        assert_eq!(reply["statusCode"], 200, "{text}: {reply}");
        let body = reply["body"].as_str();
        let Some(body) = body else {
            return Value::Null;
        };
        let frame: Value = serde_json::from_str(body).unwrap();
        check_frame(&frame).unwrap();
        frame
    }

    async fn send(&self, socket: &Socket, message: &Value) -> Value {
        self.send_text(socket, &message.to_string()).await
    }

    /// Returns the statistics of connections.
    async fn statistics(&self) -> Value {
        let admin = token(&["admin"], &json!({"sub": "operator"}));
        let request = request("GET", "/connections", Some(&admin), None);
        let answer = self.app.handle(&request).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        serde_json::from_str(answer["body"].as_str().unwrap()).unwrap()
    }

    /// Returns the present time in seconds.
    fn now(&self) -> u64 {
        self.clock.now().unix.as_secs()
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}
