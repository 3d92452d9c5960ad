//! Shallow readers for untrusted JSON objects: members are found by name, and values stay text.
//!
//! Deep nesting has no cost, because the parser skips unused values without recursion. A duplicate member is an error,
//! because JSON readers disagree on the value that counts.

mod object;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

pub use object::MemberError;
pub(crate) use object::Object;

/// The members of a JSON object, by name.
#[derive(Debug, Default)]
pub(crate) struct Members<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

/// The kind and position of a JSON error. The text of serde's error is not used, because it may repeat part of the
/// input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, line {line}, column {column}")]
pub struct JsonError {
    kind: &'static str,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        Self {
            kind: match error.classify() {
                Category::Eof => "it ends too early",
                Category::Syntax => {
                    "syntax error, a number out of range, or nesting above 128 levels"
                }
                Category::Data => "a member occurs twice or has the wrong type",
                Category::Io => "the input could not be read",
            },
            line: error.line(),
            column: error.column(),
        }
    }
}

impl<'a> Members<'a> {
    /// Parses a JSON object.
    pub(crate) fn parse(text: &'a str) -> Result<Self, JsonError> {
        Ok(serde_json::from_str(text)?)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns a member that is not null. Event senders write null for an absent member.
    pub(crate) fn value(&self, name: &str) -> Option<&'a RawValue> {
        self.get(name).filter(|raw| raw.get() != "null")
    }

    /// Returns true if the member is present and not null.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Returns the members that are not null, with their names.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        let all = self.0.iter().map(|(name, raw)| (&**name, *raw));
        all.filter(|(_, raw)| raw.get() != "null")
    }

    /// Returns a member that is a string of at most 256 bytes as JSON. A longer string is not an identifier and may
    /// contain anything.
    pub(crate) fn word(&self, name: &str) -> Option<String> {
        let raw = self.get(name).filter(|raw| raw.get().len() <= 256)?;
        serde_json::from_str(raw.get()).ok()
    }

    /// Returns a member that is a string of any length.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// Returns a member that is an object, or an empty object for any other value.
    pub(crate) fn object(&self, name: &str) -> Self {
        self.get(name)
            .and_then(|raw| Self::parse(raw.get()).ok())
            .unwrap_or_default()
    }

    /// Returns the object as text, without the members of these names.
    pub(crate) fn text_without(&self, names: &[&str]) -> String {
        let rest = self.0.iter().filter(|(name, _)| !names.contains(&&***name));
        let rest = rest.map(|(name, raw)| (name.clone(), *raw));
        // Serialising strings and texts of JSON never fails.
        serde_json::to_string(&Entries(rest.collect())).unwrap_or_default()
    }

    /// Returns the names of the members.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    if members.insert(name, map.next_value()?).is_some() {
                        return Err(A::Error::custom("a member occurs twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A member name, borrowed unless it contains escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Parses a JSON value and rejects duplicate members at any depth.
///
/// Readers disagree on which of two members with one name counts. latchkey authorises a text that another program then
/// parses again, so the text must have one meaning.
pub(crate) fn unambiguous(text: &str) -> Result<Value, JsonError> {
    let Unambiguous(value) = serde_json::from_str(text)?;
    Ok(value)
}

struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_string<E>(self, value: String) -> Result<Value, E> {
                Ok(value.into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut values = Vec::new();
                while let Some(Unambiguous(value)) = seq.next_element()? {
                    values.push(value);
                }
                Ok(values.into())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut members = serde_json::Map::new();
                while let Some((name, Unambiguous(value))) = map.next_entry::<String, _>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member occurs twice"));
                    }
                }
                Ok(members.into())
            }
        }
        deserializer.deserialize_any(ValueVisitor).map(Self)
    }
}

/// The members of an object in their original order.
#[derive(Debug)]
pub(crate) struct Entries<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    entries.push((name, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

impl Serialize for Entries<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Returns the length of a value as JSON in bytes, without writing the JSON anywhere.
pub(crate) fn json_bytes(value: &impl Serialize) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        // A value that cannot be serialised is rejected like a value that is too large.
        Err(_) => usize::MAX,
    }
}

/// Returns the kind of a JSON value with its article, for messages.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Returns the kind of a JSON text with its article, for messages.
pub(crate) fn kind_of_text(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(_) => "a number",
        None => "nothing",
    }
}

/// Formats a caller's text, such as a name, for a message. A short text is shown, so that a typing error is visible.
/// Other texts are replaced by their length, because people paste tokens into wrong places: texts of more than 64
/// characters, texts with `eyJ`, and texts with control characters.
pub(crate) fn shown(name: &str) -> String {
    let length = name.chars().count();
    if length <= 64 && !name.contains("eyJ") && !name.chars().any(char::is_control) {
        format!("`{name}`")
    } else {
        format!("a text of {length} characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_deeply_nested_object_are_found_by_name() {
        let deep = format!(
            r#"{{"a":{}{},"source":"x","o":{{"p":1}}}}"#,
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        let members = Members::parse(&deep).unwrap();
        assert_eq!(members.word("source").as_deref(), Some("x"));
        assert_eq!(members.word("a"), None);
        assert!(members.object("o").has("p"));
        assert!(!members.object("source").has("p"));
        assert_eq!(members.names().collect::<Vec<_>>(), ["a", "o", "source"]);
    }

    #[test]
    fn unambiguous_rejects_duplicate_members_at_any_depth() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"[{"b":{"a":1,"\u0061":1}}]"#,
            "",
            "{",
            r#""\ud800""#,
            "1e999",
        ] {
            assert!(unambiguous(text).is_err(), "{text}");
        }
        for text in [
            r#"{"a":{"a":[{"a":1},{"a":-2.5}]},"b":"a"}"#,
            "null",
            "true",
            "18446744073709551615",
        ] {
            let plain: Value = serde_json::from_str(text).unwrap();
            assert_eq!(unambiguous(text).unwrap(), plain);
        }
    }

    #[test]
    fn entries_keep_their_order() {
        let text = r#"{"b":1,"a":{"x": 1.0},"c":[]}"#;
        let entries: Entries<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&entries).unwrap(), text);
    }

    #[test]
    fn json_bytes_equals_the_serialised_length() {
        for text in ["", "plain", "\"quoted\"\n", "ü"] {
            assert_eq!(
                json_bytes(&text),
                serde_json::to_string(&text).unwrap().len()
            );
        }
    }

    #[test]
    fn shown_hides_texts_that_may_be_tokens() {
        assert_eq!(shown("comand"), "`comand`");
        assert_eq!(shown(&"x".repeat(65)), "a text of 65 characters");
        assert_eq!(shown("eyJhbGciOi"), "a text of 10 characters");
        assert_eq!(shown("a\nb"), "a text of 3 characters");
    }

    #[test]
    fn duplicate_member_is_an_error() {
        let error = Members::parse(r#"{"a":1,"\u0061":2}"#).unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
    }
}
