//! The values of headers and query parameters.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::base::json::{Object, shown};

/// Returns the values of a header or a parameter: one, or several in a list, or nothing if one of them is no text.
/// Local gateways leave numbers and booleans unquoted.
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

/// The path of a header or a parameter, if its name may be repeated, or else that of the object that holds it.
pub(super) fn header_path(object: &Object<'_>, name: &str) -> String {
    match shown(name).strip_prefix('`') {
        Some(_) => object.path_of(name),
        None => object.path().to_owned(),
    }
}
