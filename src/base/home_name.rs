//! The name of a home.

use std::sync::Arc;

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
}
