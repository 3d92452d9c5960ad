//! Lambda's Runtime API and Extensions API for one execution environment, to the extent that a function uses them.
//!
//! The Runtime Interface Emulator runs one invocation at a time, and sends a response only when the extensions have
//! finished. This server measures what a caller of Lambda would wait for: the time from the invocation to its response.
//! As in Lambda, an invocation starts when the runtime and every extension are idle, and extensions cannot register for
//! `INVOKE` if invocations run concurrently.

mod api;
mod routes;
mod state;

pub(crate) use self::{api::RuntimeApi, state::Answer};
