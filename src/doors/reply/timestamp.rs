//! Timestamps in replies.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Formats a time since the Unix epoch by RFC 3339.
pub(crate) fn rfc3339(unix: Duration) -> String {
    let moment = OffsetDateTime::UNIX_EPOCH + unix;
    moment.format(&Rfc3339).unwrap_or_default()
}
