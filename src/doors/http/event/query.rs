//! Reads the query of a request in the notation of its sender.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::value::RawValue;
use url::form_urlencoded::Serializer;

use crate::base::json::{MemberError, Object};
use crate::doors::values::{header_path, texts};

/// Characters that must be encoded in a query.
pub(super) const QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Returns a query that the sender passes on as one text.
pub(super) fn of_text(event: &Object<'_>) -> Result<String, MemberError> {
    let query = event.text("rawQueryString")?.unwrap_or_default();
    Ok(utf8_percent_encode(&query, QUERY).to_string())
}

/// Returns a query whose parameters the sender has decoded.
pub(super) fn of_decoded(event: &Object<'_>) -> Result<String, MemberError> {
    let mut query = Serializer::new(String::new());
    query.extend_pairs(parameters(event)?);
    Ok(query.finish())
}

/// Returns a query whose parameters the sender has not decoded.
pub(super) fn of_encoded(event: &Object<'_>) -> Result<String, MemberError> {
    let pairs = parameters(event)?;
    let pairs = pairs.iter().map(|(name, value)| {
        let (name, value) = [name, value]
            .map(|text| utf8_percent_encode(text, QUERY).to_string())
            .into();
        format!("{name}={value}")
    });
    Ok(pairs.collect::<Vec<_>>().join("&"))
}

/// Returns the parameters with all their values if the sender lists them, or else with one value each.
fn parameters(event: &Object<'_>) -> Result<Vec<(String, String)>, MemberError> {
    let all = pairs(event, "multiValueQueryStringParameters")?;
    match all.is_empty() {
        false => Ok(all),
        true => pairs(event, "queryStringParameters"),
    }
}

fn pairs(event: &Object<'_>, member: &str) -> Result<Vec<(String, String)>, MemberError> {
    let Some(object) = event.object(member)? else {
        return Ok(Vec::new());
    };
    let mut pairs = Vec::new();
    for (name, raw) in object.members().values() {
        let values = values(&object, name, raw)?;
        pairs.extend(values.into_iter().map(|value| (name.to_owned(), value)));
    }
    Ok(pairs)
}

/// Returns the values of a parameter. An unreadable parameter is an error, because it changes the meaning of the
/// request.
fn values(object: &Object<'_>, name: &str, raw: &RawValue) -> Result<Vec<String>, MemberError> {
    texts(raw).ok_or_else(|| {
        let fault = "holds a value that is not a string or a list of strings";
        MemberError::new(header_path(object, name), fault)
    })
}
