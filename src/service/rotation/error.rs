//! Why a rotation went no further.

use crate::base::table::TableError;
use crate::home::bridge::BridgeError;
use crate::home::source::SourceError;

/// Why a rotation went no further. Whatever it left behind, the next run puts right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The token lies in no parameter.
    #[error("the token comes from no parameter, so there is nowhere to store another")]
    NoParameter,
    /// The stored token does not say which it is.
    #[error(
        "the stored token does not say by what id the home knows it, so it is none that the home has made"
    )]
    NotIdentified,
    /// The token belongs to a user who does not own the home.
    #[error(
        "the token's user, {user}, is not the owner of the home, and only an owner's token may mint others"
    )]
    NotOwner {
        /// The user's name.
        user: String,
    },
    /// Home and parameter could not be asked with the stored token.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// The parameter's versions could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The home refused a command, or its answer is not understood.
    #[error("the home refused {command} ({reason})")]
    Refused {
        /// Which one.
        command: &'static str,
        /// How.
        reason: String,
    },
    /// What became of a command is not known.
    #[error("what became of {command} is not known")]
    Unknown {
        /// Which one.
        command: &'static str,
    },
    /// The home does not accept the token it has just minted.
    #[error("the new token was not accepted ({0})")]
    Unproven(BridgeError),
    /// The new token was not stored.
    #[error("the new token was not stored ({0})")]
    NotStored(SourceError),
    /// Whether the new token was stored is not known.
    #[error("whether the new token was stored is not known ({0})")]
    StoredOrNot(SourceError),
    /// What was stored is not to be seen yet.
    #[error("the parameter does not show yet what this rotation has stored in it")]
    Behind,
    /// Somebody else stored a token meanwhile.
    #[error("somebody else stored a token meanwhile")]
    Overtaken,
    /// Another run has the lease now.
    #[error("another rotation has begun meanwhile")]
    LeaseLost,
    /// The lease could not be had.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No time is left.
    #[error("no time is left for the next step")]
    OutOfTime,
}
