//! Stories of the function against a real Home Assistant: the executable itself, under Lambda's emulator, with its
//! token in an emulated AWS.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
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
mod token_life;

use latchkey_dev::relay::Relay;
use latchkey_dev::stack::{AwsEmulator, RealHome};
use testkit::Sandbox;
use testkit::callers::variables;

/// The function's executable, as this build has made it.
const BOOTSTRAP: &str = env!("CARGO_BIN_EXE_bootstrap");

/// Revokes a token, and waits until the function's socket, opened with it through `relay`, is closed.
async fn revoke(home: &RealHome, relay: &Relay, token: &str) {
    let open = relay.counters().open_connections;
    home.revoke(token).await.unwrap();
    relay
        .wait_for(|counters| counters.open_connections < open)
        .await;
}

/// A home, AWS, and a function that lets in callers who prove who they are.
async fn behind_the_door() -> (RealHome, AwsEmulator, Sandbox) {
    let stage = testkit::Stage::real().callers().start().await;
    let sandbox = stage.sandbox().envs(variables(stage.home.url()));
    // One caller stands for many here, and asks as fast as the home answers.
    let sandbox = sandbox.env("CALLER_RATE_LIMITS", "*=unlimited");
    let sandbox = sandbox.start().await;
    (stage.home, stage.aws, sandbox)
}
