//! Errors of runs in which no command reached the home.

use crate::home::home_assistant::HomeError;
use crate::home::token::TokenError;

/// The error of a run in which the home executed no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// The token service has no usable token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The communication with the home failed.
    #[error(transparent)]
    Home(#[from] HomeError),
}
