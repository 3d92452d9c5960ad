//! The real parts around the function, each a process of its own that ends with ours: AWS (moto),
//! Home Assistant, and the Lambda Runtime Interface Emulator.
//!
//! Their programs live under the tools directory (`LATCHKEY_TOOLS`, else `.tools` of the
//! workspace), where `make` installs them.

mod aws;
mod control;
mod error;
mod function;
mod local_port;
mod process;
mod real_home;
pub mod run;
mod tools;

pub use aws::{AwsEmulator, Fault, Metric, Point, StoredVersion};
pub use error::{Error, Result};
pub use function::{Function, FunctionOptions, Invocation};
pub use local_port::LocalPort;
pub use real_home::{RealHome, RealHomeOptions, TokenEntry};
pub use tools::{script, tool};

/// The region that everything in the stack is in.
pub const REGION: &str = "eu-central-1";

/// An HTTP client for the stack's own servers and for homes.
///
/// # Errors
/// When the platform's certificates cannot be loaded.
pub fn http_client() -> Result<reqwest::Client> {
    // Refused when a provider is there already, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A proxy of the surroundings has no business between two processes of one machine.
    Ok(reqwest::Client::builder().no_proxy().build()?)
}
