//! The errors of a rotation.

use crate::base::table::TableError;
use crate::home::bridge::BridgeError;
use crate::home::source::SourceError;

/// An error that ends a run of a rotation. The next run continues from the state that this run left behind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The token is not in a parameter.
    #[error("the token is not in a parameter, so a new token cannot be stored")]
    NoParameter,
    /// The stored token contains no token id.
    #[error(
        "the stored token contains no token id, so it is not a long-lived token of Home Assistant"
    )]
    NotIdentified,
    /// The token belongs to a user who is not the owner of the home.
    #[error(
        "the token's user, {user}, is not the owner of the home; only an owner's token may mint new tokens"
    )]
    NotOwner {
        /// The user's name.
        user: String,
    },
    /// The home did not accept the connection with the stored token.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// The versions of the parameter could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The home rejected a command, or its answer is invalid.
    #[error("the home rejected {command} ({reason})")]
    Refused {
        /// The command.
        command: &'static str,
        /// The error code, or the fault in the answer.
        reason: String,
    },
    /// The outcome of a command is unknown.
    #[error("the outcome of {command} is unknown")]
    Unknown {
        /// The command.
        command: &'static str,
    },
    /// The home does not accept the token that it has just minted.
    #[error("the new token was not accepted ({0})")]
    Unproven(BridgeError),
    /// The new token was not stored.
    #[error("the new token was not stored ({0})")]
    NotStored(SourceError),
    /// The outcome of storing the new token is unknown.
    #[error("the new token may or may not be stored ({0})")]
    StoredOrNot(SourceError),
    /// The parameter still returns a version from before this run's store.
    #[error("the parameter does not return the new version yet")]
    Behind,
    /// Somebody else stored a token during the run.
    #[error("somebody else stored a token during the rotation")]
    Overtaken,
    /// Another run holds the lease.
    #[error("another rotation has taken the lease")]
    LeaseLost,
    /// The lease could not be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The deadline leaves no time for another step.
    #[error("the rotation is out of time for the next step")]
    OutOfTime,
}
