//! The local stack on which latchkey is developed and tested.
//!
//! - [`gateway`]: an API Gateway for WebSocket APIs, with its limits.
//! - [`home`]: a simulated Home Assistant in this process, with counters and faults.
//! - [`relay`]: a TCP relay that adds latency and breaks connections.
//! - [`stack`]: the real parts, each a process: AWS (moto), Home Assistant and the Lambda Runtime Interface Emulator.
//!
//! None of these modules depends on another one, nor on latchkey. [`gateway`] and [`stack`] send events to an
//! [`Invoke`](gateway::Invoke), which stands for the function.

mod expiry;
pub mod gateway;
pub mod home;
mod invoke;
mod lock;
pub mod relay;
pub mod stack;
