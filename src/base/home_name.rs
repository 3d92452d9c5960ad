//! The name of a home.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of a home: 1 to 64 letters, digits and `. - _`.
///
/// These characters make the name valid as one segment of a parameter path. A name must not begin like a token (`eyJ`),
/// because messages repeat names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HomeName(Arc<str>);

impl HomeName {
    /// Returns the name, or `None` if `text` is not a valid name.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let is_name = (1..=64).contains(&text.len()) && text.chars().all(allowed);
        (is_name && !text.starts_with("eyJ")).then(|| Self(text.into()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name as a shared string.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

impl Serialize for HomeName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HomeName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        // The text may be a token, so the error does not repeat the text.
        Self::new(&text).ok_or_else(|| D::Error::custom("the text is not a valid name of a home"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_name_is_one_segment_of_a_path() {
        for name in ["a", "beach-house", "Home.2_b", &"x".repeat(64)] {
            assert_eq!(HomeName::new(name).unwrap().as_str(), name);
        }
        for name in [
            "",
            "a/b",
            "/a",
            "a b",
            "ä",
            "a*",
            "eyJhbGciOi",
            &"x".repeat(65),
        ] {
            assert_eq!(HomeName::new(name), None, "{name}");
        }
    }

    #[test]
    fn home_name_that_is_not_valid_is_not_deserialized() {
        let error = serde_json::from_str::<HomeName>(r#""eyJhbGciOi""#).unwrap_err();
        assert!(!error.to_string().contains("eyJ"), "{error}");
        assert!(serde_json::from_str::<HomeName>("1").is_err());
    }

    proptest::proptest! {
        #[test]
        fn home_name_survives_its_serialization(text in "[a-zA-Z0-9._-]{1,64}") {
            proptest::prop_assume!(!text.starts_with("eyJ"));
            let name = HomeName::new(&text).unwrap();
            let json = serde_json::to_string(&name).unwrap();
            proptest::prop_assert_eq!(&json, &format!("\"{text}\""));
            proptest::prop_assert_eq!(serde_json::from_str::<HomeName>(&json).unwrap(), name);
        }
    }
}
