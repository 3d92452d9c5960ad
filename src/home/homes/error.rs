//! Errors of finding or opening a home.

use crate::base::config::AddressError;
use crate::home::source::SourceError;

/// An error of finding or opening the home of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomesError {
    /// The request names no home, and no default home is configured.
    #[error(
        "`home` is missing: this latchkey serves several homes, and the request does not name one"
    )]
    NotNamed,
    /// The request names a home, but only the default home is served, and it has no name.
    #[error("`home` is not supported: this latchkey serves a single home; leave `home` out")]
    OnlyOne,
    /// The given text is not a valid home name.
    #[error("the home's name is not valid; use 1 to 64 letters, digits and . - _")]
    NoName,
    /// The store has no home of this name.
    #[error("the home {name} does not exist: {error}")]
    Unknown {
        /// The home's name.
        name: String,
        /// The error that names the missing parameter.
        error: SourceError,
    },
    /// The execution environment is bound to a tenant, and the home belongs to another tenant.
    #[error("the requested home does not belong to the tenant of the request")]
    OtherTenant,
    /// The stored parameters of the home could not be read.
    #[error(transparent)]
    Source(SourceError),
    /// The stored address of the home is not valid.
    #[error("the address of the home {name} {error}")]
    Address {
        /// The home's name.
        name: String,
        /// The defect of the address.
        error: AddressError,
    },
}
