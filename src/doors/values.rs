//! The values of headers and query parameters.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::base::json::{Object, shown};

/// Returns the values of a header or a parameter: one value, or the values of a list. Returns `None` if a value is not
/// text. Local gateways do not quote numbers and booleans, so both count as text.
pub(super) fn texts(raw: &RawValue) -> Option<Vec<String>> {
    let values = match serde_json::from_str(raw.get()).ok()? {
        Value::Array(values) => values,
        value => vec![value],
    };
    let values = values.into_iter().filter(|value| !value.is_null());
    values
        .map(|value| match value {
            Value::String(text) => Some(text),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        })
        .collect()
}

/// Returns the path of a header or a parameter if its name may be shown, or else the path of the object that contains
/// it.
pub(super) fn header_path(object: &Object<'_>, name: &str) -> String {
    match shown(name).strip_prefix('`') {
        Some(_) => object.path_of(name),
        None => object.path().to_owned(),
    }
}
