//! latchkey: reach Home Assistant from the cloud without ever handing its token around.
//!
//! # The way of the data
//!
//! payload → [`trigger`] → [`function`] → (HTTP door → [`app`] | [`app`] | [`rotation`]) → [`homes`] → [`bridge`] →
//! [`token`],
//! [`verdict`], [`home_assistant`] → [`reply`]. It walks one way: a module knows those to its right and never those to
//! its left.
//!
//! | module | what it is |
//! |---|---|
//! | [`trigger`] | who invoked the function, told by the payload's members |
//! | [`commands`] | the request to run commands, checked |
//! | [`function`] | payload in, reply out; the HTTP door is behind it |
//! | [`app`] | what is done in homes, whoever asks for it |
//! | [`composition`] | which adapter stands for which role |
//! | [`alexa`] | directives of Alexa, as far as latchkey reads them |
//! | [`access`] | callers: who they are, what they may do |
//! | [`rate_limit`] | how much callers may ask |
//! | [`idempotency`] | the same request twice is run once |
//! | [`rotation`] | another token is minted, proven and stored, and the old one revoked |
//! | [`homes`] | the homes served, each with a bridge of its own |
//! | [`bridge`] | token and home together: run, refresh once when rejected, try again what did not arrive |
//! | [`token`] | the token from its source, through a cache, one fetch at a time |
//! | [`verdict`] | verdicts on tokens, shared by all sandboxes |
//! | [`source`] | places that secrets are read from |
//! | [`table`] | the table that all sandboxes share |
//! | [`home_assistant`] | the home's REST API and WebSocket, one session a home |
//! | [`reply`] | the table from outcome or error to answer |
//! | [`config`] | everything latchkey can be told from outside |
//! | [`metrics`] | recorded at no cost, delivered after the answer |
//! | [`secret`] | the one type that holds a token |
//! | [`clock`], [`random`] | time and randomness, passed in |
//! | [`logging`] | logs |
//! | [`lambda`] | the Lambda Runtime API, and the extension that works between invocations |

pub mod access;
pub mod alexa;
pub mod app;
pub mod bridge;
pub mod clock;
pub mod commands;
pub mod composition;
pub mod config;
pub mod function;
pub mod home_assistant;
pub mod homes;
mod http;
pub mod idempotency;
mod json;
pub mod lambda;
mod lock;
pub mod logging;
pub mod metrics;
mod parameter;
pub mod random;
pub mod rate_limit;
pub mod reply;
pub mod rotation;
pub mod secret;
pub mod source;
pub mod table;
pub mod token;
pub mod trigger;
pub mod verdict;

pub use json::{JsonError, MemberError};
