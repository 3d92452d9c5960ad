//! The harness of latchkey's integration tests.
//!
//! A [`Stage`] is a home and an AWS emulator that stores the home's token. Two things run on it:
//! - a [`Sandbox`], the function in the test's own process, with a clock and a random seed of the test's choice;
//! - the built executable under Lambda's emulator, started with [`Stage::options`]. Each test binary passes the path
//!   of the executable, because Cargo passes it to integration tests only.
//!
//! A [`TestBridge`] needs neither AWS nor the function. It is latchkey's connection to one home, with a token source
//! that the test fills and counts. A [`RelayedHome`] has a network in front of it that the test can break.
//!
//! Every builder has defaults, so a test sets only the options that it depends on:
//!
//! ```no_run
//! use std::time::Duration;
//! use testkit::{Stage, light, stopped_clock};
//! use serde_json::json;
//!
//! # async fn example() {
//! let stage = Stage::builder().table("latchkey").start().await;
//! let clock = stopped_clock();
//! let sandbox = stage
//!     .sandbox()
//!     .local()
//!     .env("TABLE_NAME", "latchkey")
//!     .clock(clock.clone())
//!     .start()
//!     .await;
//! clock.advance(Duration::from_secs(300));
//! let answer = sandbox.handle(&json!({ "command": light("toggle", "light.kitchen") })).await;
//! assert_eq!(answer["results"][0]["success"], true);
//! assert_eq!(stage.reads().await, 1);
//! # }
//! ```
//!
//! [`Stage::real`] is the same with a real Home Assistant. [`homes`] has homes that are stored by name, [`callers`] has
//! callers over HTTP and their requests, and [`canary`] searches output for tokens.
//!
//! Inside the crate, files that build on others come last: `sandbox` sends events, `stage` starts execution
//! environments.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test whose surroundings cannot be set up has failed"
)]

mod answer;
pub mod asyncapi;
mod authority;
mod bootstrap;
mod bridge;
pub mod callers;
pub mod canary;
mod event;
mod home;
pub mod homes;
mod port;
mod sandbox;
pub mod seed;
mod socket;
mod socket_client;
mod stage;
mod stored;
mod visit;

pub use answer::{answer, fingerprint, invoke, problem};
pub use authority::Authority;
pub use bootstrap::{bootstrap, options};
pub use bridge::{Limits, TestBridge, command};
pub use event::{COMMAND, KEEP_WARM, light, parameter_change, sample};
pub use home::{RelayedHome, home, home_with, relay_to};
pub use port::Port;
pub use sandbox::{Sandbox, SandboxBuilder, impatient, stopped_clock};
pub use socket::Socket;
pub use socket_client::{Received, SocketClient};
pub use stage::{GET_PARAMETER, Home, PARAMETER, Stage, StageBuilder};
pub use stored::Stored;
pub use visit::visit;
