//! Tests against a real Home Assistant. An emulated AWS stores the token.
//!
//! Some tests run the executable under Lambda's emulator. The others run the function in the test's own process.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their helpers may panic"
)]

mod alexa;
mod clients;
mod commands;
mod members;
mod metrics;
mod narrow_callers;
mod openapi;
mod rejection;
mod replacement;
mod rest;
mod rotation;
mod routes;
mod sockets;
mod token_life;

use latchkey_dev::relay::Relay;
use latchkey_dev::stack::{AwsEmulator, RealHome};
use testkit::Sandbox;
use testkit::callers::variables;

/// The path of the executable of this build.
const BOOTSTRAP: &str = env!("CARGO_BIN_EXE_bootstrap");

/// Revokes a token, and waits until the socket that the function opened with the token through `relay` is closed.
async fn revoke(home: &RealHome, relay: &Relay, token: &str) {
    let open = relay.counters().open_connections;
    home.revoke(token).await.unwrap();
    relay
        .wait_for(|counters| counters.open_connections < open)
        .await;
}

/// Starts a home, AWS, and a function that authenticates its callers.
async fn start_with_callers() -> (RealHome, AwsEmulator, Sandbox) {
    let stage = testkit::Stage::real().callers().start().await;
    let sandbox = stage.sandbox().envs(variables(stage.home.url()));
    // One caller sends all requests as fast as the home answers, so the rate limit is off.
    let sandbox = sandbox.env("CALLER_RATE_LIMITS", "*=unlimited");
    let sandbox = sandbox.start().await;
    (stage.home, stage.aws, sandbox)
}
