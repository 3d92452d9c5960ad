//! Where randomised tests take their randomness from.

/// The variable that repeats a failure: a failing test names the value to give it.
pub(crate) const VARIABLE: &str = "LATCHKEY_SEED";

/// The seed of [`VARIABLE`], else a new one.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever repeats a failing test names its seed in the environment"
)]
pub(crate) fn seed() -> u64 {
    match std::env::var(VARIABLE) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    }
}
