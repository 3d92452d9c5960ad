//! The local stack on which latchkey is developed and tested.
//!
//! - [`home`]: a simulated Home Assistant in this process, with counters and faults.
//! - [`relay`]: a TCP relay that adds latency and breaks connections.
//! - [`stack`]: the real parts, each a process: AWS (moto), Home Assistant and the Lambda Runtime Interface Emulator.
//!
//! None of these modules depends on another one, nor on latchkey.

mod expiry;
pub mod home;
mod lock;
pub mod relay;
pub mod stack;
