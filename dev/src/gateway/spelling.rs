//! Ids, times and names of headers as API Gateway writes them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use time::OffsetDateTime;

/// The number of bytes in an id.
const ID_BYTES: usize = 11;

/// Returns a new id, such as `YQ3kMcqVoAMCJhA=`.
pub(super) fn id() -> String {
    let mut bytes = [0; ID_BYTES];
    fastrand::fill(&mut bytes);
    URL_SAFE.encode(bytes)
}

/// Returns the milliseconds since 1970.
pub(super) fn epoch(time: OffsetDateTime) -> i64 {
    time.unix_timestamp() * 1000 + i64::from(time.millisecond())
}

/// Returns a time in the format of the common log, such as `24/May/2024:14:20:34 +0000`.
pub(super) fn log_time(time: OffsetDateTime) -> String {
    let month: String = time.month().to_string().chars().take(3).collect();
    format!(
        "{:02}/{month}/{}:{:02}:{:02}:{:02} +0000",
        time.day(),
        time.year(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// Returns a time in the format of RFC 3339, such as `2024-05-24T14:20:34.100Z`.
pub(super) fn rfc_3339(time: OffsetDateTime) -> String {
    format!(
        "{}T{:02}:{:02}:{:02}.{:03}Z",
        time.date(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

/// Returns a header's name as browsers write it, such as `Sec-WebSocket-Key`. hyper passes names in lower case, and API
/// Gateway passes them as the client wrote them.
pub(super) fn header_name(name: &str) -> String {
    let words = name.split('-').map(|word| match word {
        "websocket" => "WebSocket".to_owned(),
        _ => capitalised(word),
    });
    words.collect::<Vec<_>>().join("-")
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_have_the_formats_of_api_gateway() {
        let time = OffsetDateTime::UNIX_EPOCH + Duration::from_millis(1_716_560_434_005);
        assert_eq!(epoch(time), 1_716_560_434_005);
        assert_eq!(log_time(time), "24/May/2024:14:20:34 +0000");
        assert_eq!(rfc_3339(time), "2024-05-24T14:20:34.005Z");
    }

    #[test]
    fn ids_differ_and_end_with_an_equals_sign() {
        let (first, second) = (id(), id());
        assert_ne!(first, second);
        assert_eq!((first.len(), first.ends_with('=')), (16, true));
    }

    #[test]
    fn header_names_have_the_spelling_of_browsers() {
        for (lower, expected) in [
            ("host", "Host"),
            ("user-agent", "User-Agent"),
            ("sec-websocket-key", "Sec-WebSocket-Key"),
        ] {
            assert_eq!(header_name(lower), expected);
        }
    }
}
