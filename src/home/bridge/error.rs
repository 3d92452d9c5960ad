//! Failures before anything reached the home.

use crate::home::home_assistant::HomeError;
use crate::home::token::TokenError;

/// Why nothing could be run. No command has reached the home.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// There is no usable token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The home could not be talked to.
    #[error(transparent)]
    Home(#[from] HomeError),
}
