//! The reply to commands.

use serde::Serialize;

use crate::service::commands::CommandResults;

/// The reply to commands.
#[derive(Debug, Serialize)]
pub struct CommandsReply {
    #[serde(rename = "statusCode", skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    results: CommandResults,
}

impl CommandsReply {
    /// Creates a reply with these results.
    pub fn new(results: CommandResults) -> Self {
        Self {
            status_code: None,
            results,
        }
    }

    /// Adds `statusCode`, which direct callers check.
    #[must_use]
    pub fn with_status_code(self) -> Self {
        Self {
            status_code: Some(200),
            ..self
        }
    }
}
