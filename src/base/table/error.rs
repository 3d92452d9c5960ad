//! The error of the table.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;

/// A failed operation on the table, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shared table could not be used ({0})")]
pub struct TableError(pub String);

impl TableError {
    /// Creates the error of a failed call.
    pub(super) fn of(error: &impl ProvideErrorMetadata) -> Self {
        Self(error.code().unwrap_or("no answer").to_owned())
    }
}
