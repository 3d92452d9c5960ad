//! The seed of randomised tests.

/// The environment variable that repeats a failure. A failing test prints its value.
pub const VARIABLE: &str = "LATCHKEY_SEED";

/// Returns the seed that [`VARIABLE`] names, or a new one.
#[expect(
    clippy::disallowed_methods,
    reason = "the seed of a failing test is passed in the environment"
)]
pub fn seed() -> u64 {
    match std::env::var(VARIABLE) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    }
}
