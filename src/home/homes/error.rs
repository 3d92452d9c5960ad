//! Why there is no home.

use crate::base::config::AddressError;
use crate::home::source::SourceError;

/// Why there is no home to serve a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HomesError {
    /// None was named, and there is none for those who name none.
    #[error("several homes are served here, and the request names none")]
    NotNamed,
    /// One was named, and only one is served, which has no name.
    #[error("`home` chooses among several homes, and this latchkey serves one")]
    OnlyOne,
    /// What was named cannot be a home's name.
    #[error("a home's name has 1 to 64 letters, digits and . - _")]
    NoName,
    /// There is no such home.
    #[error("there is no home {name}: {error}")]
    Unknown {
        /// Its name.
        name: String,
        /// Which parameter is missing.
        error: SourceError,
    },
    /// The sandbox belongs to a tenant, and the home to another.
    #[error("the request is for another home than its tenant's")]
    OtherTenant,
    /// What is stored of the home could not be read.
    #[error(transparent)]
    Source(SourceError),
    /// What is stored is no address.
    #[error("the address of the home {name} {error}")]
    Address {
        /// Its name.
        name: String,
        /// What is wrong with it.
        error: AddressError,
    },
}
