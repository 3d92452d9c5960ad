//! The grammar of permissions.
//!
//! | permission | allows |
//! |---|---|
//! | `read` | to read all entities and the home's configuration |
//! | `read:<entities>` | to read these entities, and the part of the home's configuration that clients need |
//! | `call:<services>` | to call these services on any target |
//! | `call:<services>:<entities>` | to call these services on these entities |
//! | `health:read` | to read the detailed health report |
//! | `admin` | all requests, including requests that no other permission allows |
//!
//! `<services>` is `<domain>.<service>`, and `<entities>` is an entity id. In both, `*` matches any characters and `?`
//! matches one character: `call:light.*:light.kitchen_*`, `read:sensor.*`. Any one matching permission is sufficient. A
//! request without a matching permission is denied. A permission with another format allows nothing.
//!
//! Some services act only on the entities that a call names. Others do the same work for every call, whichever entity
//! it names (`shell_command`, `rest_command`, `notify`, …). `call:*:light.*` allows only services of the first kind. A
//! service of the second kind needs a permission with its literal domain, or a permission for any target.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Allows reading these entities.
    Read(Glob),
    /// Allows calling these services on these entities.
    Call {
        /// The services.
        services: Glob,
        /// The entities. `None` allows any target, including a call that names no entity.
        entities: Option<Glob>,
    },
    /// Allows reading the detailed health report.
    ReadHealth,
    /// Allows all requests.
    Admin,
}

impl Permission {
    /// Parses a permission. Returns `None` if the text does not follow the grammar.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split(':').collect::<Vec<_>>().as_slice() {
            ["admin"] => Some(Self::Admin),
            ["health", "read"] => Some(Self::ReadHealth),
            ["read"] => Some(Self::Read(Glob::anything())),
            ["read", entities] => Glob::new(entities).map(Self::Read),
            ["call", services] => Some(Self::Call {
                services: Glob::new(services).filter(Glob::has_domain)?,
                entities: None,
            }),
            ["call", services, entities] => Some(Self::Call {
                services: Glob::new(services).filter(Glob::has_domain)?,
                entities: Some(Glob::new(entities)?),
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Permission {
    /// Writes the permission in the form that [`Permission::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => f.write_str("admin"),
            Self::ReadHealth => f.write_str("health:read"),
            Self::Read(entities) if *entities == Glob::anything() => f.write_str("read"),
            Self::Read(entities) => write!(f, "read:{}", entities.0),
            Self::Call { services, entities } => {
                write!(f, "call:{}", services.0)?;
                match entities {
                    Some(entities) => write!(f, ":{}", entities.0),
                    None => Ok(()),
                }
            }
        }
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        // The text may be a token, so the error does not repeat the text.
        Self::parse(&text).ok_or_else(|| D::Error::custom("the text is not a valid permission"))
    }
}

/// A pattern in which `*` matches any characters and `?` matches one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    fn anything() -> Self {
        Self("*".into())
    }

    fn new(text: &str) -> Option<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.*?-".contains(c);
        (!text.is_empty() && text.len() <= 255 && text.chars().all(allowed))
            .then(|| Self(text.to_owned()))
    }

    fn has_domain(&self) -> bool {
        self.0.contains('.') || self.0 == "*"
    }

    /// Returns true if the pattern contains this domain literally, so that it matches no other domain.
    pub(super) fn names_domain(&self, domain: &str) -> bool {
        self.0
            .split_once('.')
            .is_some_and(|(named, _)| named == domain)
    }

    /// Returns true if the pattern matches every text.
    pub fn is_anything(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// Returns true if the pattern matches at least one entity id of `domain`, or of any domain for `None`.
    pub(super) fn matches_an_id_of(&self, domain: Option<&str>) -> bool {
        let is_slug = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let mut places = self.places([0].into());
        match domain {
            Some(domain) => {
                for byte in domain.bytes() {
                    places = self.after(&places, |other| other == byte);
                }
            }
            None => {
                places = self.after(&places, |byte| byte.is_ascii_lowercase());
                // Collects the positions after any number of characters. The length of the pattern limits their number.
                for _ in 0..self.0.len() {
                    let more = self.after(&places, is_slug);
                    places.extend(more);
                }
            }
        }
        let places = self.after(&places, |byte| byte == b'.');
        places.into_iter().any(|place| {
            let rest = &self.0.as_bytes()[place..];
            !rest.is_empty()
                && rest
                    .iter()
                    .all(|byte| is_slug(*byte) || b"*?".contains(byte))
        })
    }

    /// Returns the positions in the pattern after one more character that `is_next` allows.
    fn after(&self, places: &BTreeSet<usize>, is_next: impl Fn(u8) -> bool) -> BTreeSet<usize> {
        let next = places
            .iter()
            .filter_map(|place| match self.0.as_bytes().get(*place)? {
                b'*' => Some(*place),
                b'?' => Some(place + 1),
                byte => is_next(*byte).then_some(place + 1),
            });
        self.places(next.collect())
    }

    /// Returns `places` and the positions after a `*` that matches no character.
    fn places(&self, mut places: BTreeSet<usize>) -> BTreeSet<usize> {
        for (place, byte) in self.0.bytes().enumerate() {
            if byte == b'*' && places.contains(&place) {
                places.insert(place + 1);
            }
        }
        places
    }

    /// Returns true if the pattern matches `text`.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut at, mut from) = (0, 0);
        // The last `*`, and the position in `text` from which it is retried with one more character.
        let mut star: Option<(usize, usize)> = None;
        while from < text.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    star = Some((at, from));
                    at += 1;
                }
                Some(byte) if *byte == b'?' || *byte == text[from] => {
                    at += 1;
                    from += 1;
                }
                _ => match star {
                    Some((star_at, star_from)) => {
                        at = star_at + 1;
                        from = star_from + 1;
                        star = Some((star_at, star_from + 1));
                    }
                    None => return false,
                },
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> Glob {
        Glob::new(text).unwrap()
    }

    #[test]
    fn glob_matches_any_characters_and_one_character() {
        for (pattern, text, matches) in [
            ("light.kitchen", "light.kitchen", true),
            ("light.kitchen", "light.kitchen_2", false),
            ("light.*", "light.kitchen", true),
            ("light.*", "lights.kitchen", false),
            ("light.*", "light.", true),
            ("*.kitchen", "light.kitchen", true),
            ("*kitchen*", "light.kitchen_2", true),
            ("light.?itchen", "light.kitchen", true),
            ("light.?", "light.ab", false),
            ("l*t.*en", "light.kitchen", true),
            ("l*t.*en", "light.kitchens", false),
            ("*", "", true),
            ("**", "anything", true),
            ("a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", false),
        ] {
            assert_eq!(glob(pattern).matches(text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn text_with_another_format_is_not_a_permission() {
        for text in [
            "",
            "Admin",
            "admin ",
            "admin:x",
            "read:",
            "read:Light.x",
            "read:light.x:light.y",
            "call",
            "call:",
            "call:light",
            "call:light.turn_on:",
            "call:light.turn_on:light.a:b",
            "call:light turn_on",
            "health",
            "health:write",
            "write:light.x",
        ] {
            assert_eq!(Permission::parse(text), None, "{text}");
        }
        assert_eq!(Permission::parse("admin"), Some(Permission::Admin));
        assert_eq!(
            Permission::parse("call:*"),
            Some(Permission::Call {
                services: glob("*"),
                entities: None
            })
        );
        assert_eq!(
            Permission::parse("call:light.*:light.a_?"),
            Some(Permission::Call {
                services: glob("light.*"),
                entities: Some(glob("light.a_?"))
            })
        );
    }

    #[test]
    fn text_that_is_not_a_permission_is_not_deserialized() {
        for json in [r#""eyJhbGciOi""#, r#""read:""#, "1", "null"] {
            let error = serde_json::from_str::<Permission>(json).unwrap_err();
            assert!(!error.to_string().contains("eyJ"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn permission_survives_its_text(
            text in "admin|health:read|read|read:[a-z0-9_.*?-]{1,9}\
                     |call:([*]|[a-z0-9_*?-]{0,5}[.][a-z0-9_*?-]{0,5})(:[a-z0-9_.*?-]{1,9})?"
        ) {
            let permission = Permission::parse(&text).unwrap();
            let shown = permission.to_string();
            if text != "read:*" {
                proptest::prop_assert_eq!(&shown, &text);
            }
            proptest::prop_assert_eq!(Permission::parse(&shown), Some(permission.clone()));
            let json = serde_json::to_string(&permission).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Permission>(&json).unwrap(), permission);
        }

        #[test]
        fn pattern_without_wildcards_matches_only_itself(a in "[a-z_.]{1,12}", b in "[a-z_.]{1,12}") {
            proptest::prop_assert_eq!(glob(&a).matches(&b), a == b);
        }

        #[test]
        fn leading_star_matches_texts_with_the_same_end(tail in "[a-z_.]{1,8}", text in "[a-z_.]{0,16}") {
            let pattern = glob(&format!("*{tail}"));
            proptest::prop_assert_eq!(pattern.matches(&text), text.ends_with(&tail));
        }
    }
}
