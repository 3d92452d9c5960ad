//! The built executable of the function.

use std::path::PathBuf;

use latchkey_dev::stack::{AwsEmulator, FunctionOptions};

/// Returns the executable to test: the one that `LATCHKEY_BOOTSTRAP` names, which is the one to deploy, else `built`.
pub fn bootstrap(built: &str) -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test runner names the executable in the environment"
    )]
    let named = std::env::var_os("LATCHKEY_BOOTSTRAP");
    named.map_or_else(|| built.into(), PathBuf::from)
}

/// Returns the options of a function that runs locally, with its token in `aws` and its home at `home_url`.
///
/// `built` is this build's executable; see [`bootstrap`].
pub fn options(built: &str, aws: &AwsEmulator, home_url: &str) -> FunctionOptions {
    FunctionOptions::new(bootstrap(built))
        .aws(aws)
        .local()
        .env("HA_URL", home_url)
        .env("CALLER_AUTH", "none")
}
