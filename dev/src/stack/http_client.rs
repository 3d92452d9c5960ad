//! The HTTP client of the stack.

use super::error::Result;

/// Returns an HTTP client for the servers of the stack and for homes.
///
/// # Errors
/// If the certificates of the platform cannot be loaded.
pub fn http_client() -> Result<reqwest::Client> {
    // An error means that a provider is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A proxy of the environment must not see requests to loopback.
    Ok(reqwest::Client::builder().no_proxy().build()?)
}
