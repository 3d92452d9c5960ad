//! The built executable of the function.

use std::path::PathBuf;

use latchkey_dev::stack::{AwsEmulator, FunctionOptions};

/// Returns the path of the executable to test.
///
/// `LATCHKEY_BOOTSTRAP` can name the executable to deploy. Without this variable the path is `built`.
pub fn bootstrap(built: &str) -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test runner names the executable in the environment"
    )]
    let named = std::env::var_os("LATCHKEY_BOOTSTRAP");
    named.map_or_else(|| built.into(), PathBuf::from)
}

/// Returns the options of a local function. `aws` stores its token, and its home is at `home_url`.
///
/// `built` is the executable of this build; see [`bootstrap`].
pub fn options(built: &str, aws: &AwsEmulator, home_url: &str) -> FunctionOptions {
    FunctionOptions::new(bootstrap(built))
        .aws(aws)
        .local()
        .env("HA_URL", home_url)
        .env("CALLER_AUTH", "none")
}
