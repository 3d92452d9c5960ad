//! Stories of the function against a real Home Assistant: the executable itself, under Lambda's emulator, with its
//! token in an emulated AWS.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
)]

#[path = "../lambda/app.rs"]
mod in_process;
#[path = "../lambda/mod.rs"]
mod lambda;

mod alexa;
#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "../lambda/callers.rs"]
mod callers;
mod clients;
mod commands;
mod members;
mod metrics;
mod narrow_callers;
mod openapi;
mod rejection;
mod rest;
mod rotation;
mod routes;
#[path = "../support/seed.rs"]
mod seed;

use std::sync::Arc;

use callers::{SECRET, SECRET_PARAMETER, variables};
use latchkey::doors::function::Function;
use latchkey_dev::relay::Relay;
use latchkey_dev::stack::{AwsEmulator, RealHome, RealHomeOptions};

/// A home that counts failed logins: without a limit to them Home Assistant does not even log those over REST.
fn watched() -> RealHomeOptions {
    RealHomeOptions::default().login_attempts_threshold(9)
}

/// Revokes a token, and waits until the function's socket, opened with it through `relay`, is closed.
async fn revoke(home: &RealHome, relay: &Relay, token: &str) {
    let open = relay.counters().open_connections;
    home.revoke(token).await.unwrap();
    relay
        .wait_for(|counters| counters.open_connections < open)
        .await;
}

/// A home, AWS, and a function that lets in callers who prove who they are.
async fn behind_the_door() -> (RealHome, AwsEmulator, Arc<Function>) {
    let home = RealHome::start(watched()).await.unwrap();
    let aws = AwsEmulator::start().await.unwrap();
    aws.put_token(lambda::PARAMETER, home.token())
        .await
        .unwrap();
    aws.put_token(SECRET_PARAMETER, SECRET).await.unwrap();
    // One caller stands for many here, and asks as fast as the home answers.
    let [url, issuer, audience, secret, namespace] = variables(home.url());
    let rates = ("CALLER_RATE_LIMITS", "*=unlimited");
    let variables = [url, issuer, audience, secret, namespace, rates];
    let function = in_process::app(&aws, &variables).await;
    (home, aws, function)
}
