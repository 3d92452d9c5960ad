//! The real parts around the function: AWS (moto), Home Assistant and the Lambda Runtime Interface Emulator. Each part
//! is a process that ends with this process. A [`QueuePoller`] stands for Lambda's event source mapping.
//!
//! `make` installs their programs in the tools directory: `LATCHKEY_TOOLS`, or `.tools` of the workspace.

mod aws;
mod error;
mod function;
mod http_client;
mod process;
mod queue;
mod real_home;
mod tools;

pub use aws::{AwsEmulator, Fault, Metric, Point, StoredVersion};
pub use error::{Error, Result};
pub use function::{Function, FunctionOptions, Invocation};
pub use http_client::http_client;
pub use queue::QueuePoller;
pub use real_home::{RealHome, RealHomeOptions, TokenEntry};
pub use tools::{node_script, script, tool};

pub use crate::invoke::Invoke;
