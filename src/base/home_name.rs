//! The name of a home.

use std::sync::Arc;

/// The name of a home: 1 to 64 letters, digits and `. - _`, so that it is one step in a path of parameters; and nothing
/// that looks like the beginning of a token, since names are repeated in messages.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HomeName(Arc<str>);

impl HomeName {
    /// Checks a text.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let is_name = (1..=64).contains(&text.len()) && text.chars().all(allowed);
        (is_name && !text.starts_with("eyJ")).then(|| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_step_of_a_path() {
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
