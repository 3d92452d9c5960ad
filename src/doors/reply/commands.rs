//! The reply to commands.

use serde::Serialize;

use crate::service::commands::CommandResults;

/// The answer to commands.
#[derive(Debug, Serialize)]
pub struct CommandsReply {
    #[serde(rename = "statusCode", skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    results: CommandResults,
}

impl CommandsReply {
    /// The reply with these results.
    pub fn new(results: CommandResults) -> Self {
        Self {
            status_code: None,
            results,
        }
    }

    /// With `statusCode`, which direct callers look at.
    #[must_use]
    pub fn with_status_code(self) -> Self {
        Self {
            status_code: Some(200),
            ..self
        }
    }
}
