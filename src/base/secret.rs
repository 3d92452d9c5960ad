//! The one type that holds a Home Assistant token.
//!
//! [`AccessToken`] has no `Display` and no `Serialize`; its `Debug` shows a [`Fingerprint`]. Its memory is zeroed on
//! drop. The value leaves through [`AccessToken::expose`] alone, so a search for that word finds every place where the
//! token can be seen.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// A long-lived access token of Home Assistant.
#[derive(Clone)]
pub struct AccessToken {
    value: SecretString,
    fingerprint: Fingerprint,
}

impl AccessToken {
    /// Takes ownership of a token's text; the text is zeroed when the token is dropped.
    pub fn new(value: SecretString) -> Self {
        let fingerprint = Fingerprint(Sha256::digest(value.expose_secret()).into());
        Self { value, fingerprint }
    }

    /// The token itself. Only the REST client and the WebSocket handshake may ask.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// What may be shown of the token.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken({})", self.fingerprint)
    }
}

/// The SHA-256 of a token: compared whole, shown as its first 8 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// A name for this token in places that others can read, as hexadecimal digits: the HMAC-SHA256 of `texts`, told
    /// apart by their lengths, under the fingerprint. It says nothing of the token, nor of the fingerprint that logs
    /// show, to whoever does not have the token.
    pub fn pseudonym(&self, texts: &[&str]) -> String {
        // A key of any length will do.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        for text in texts {
            mac.update(&text.len().to_be_bytes());
            mac.update(text.as_bytes());
        }
        hex::encode(mac.finalize().into_bytes())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_fingerprint_and_nothing_of_the_value() {
        let token = AccessToken::new("abc".into());
        // The SHA-256 of "abc" is a published test vector.
        assert_eq!(format!("{token:?}"), "AccessToken(ba7816bf)");
        assert_eq!(token.fingerprint().to_string(), "ba7816bf");
        assert_eq!(token.expose(), "abc");
    }

    #[test]
    fn a_pseudonym_depends_on_token_and_texts_and_shows_neither() {
        let fingerprint = |text: &str| AccessToken::new(text.into()).fingerprint();
        let name = fingerprint("abc").pseudonym(&["a", "bc"]);
        assert_eq!(name, fingerprint("abc").pseudonym(&["a", "bc"]));
        assert_eq!(name.len(), 64);
        assert!(!name.contains("ba7816bf"));
        assert_ne!(name, fingerprint("abc").pseudonym(&["ab", "c"]));
        assert_ne!(name, fingerprint("abd").pseudonym(&["a", "bc"]));
    }

    #[test]
    fn fingerprints_tell_tokens_apart() {
        let fingerprint = |text: &str| AccessToken::new(text.into()).fingerprint();
        assert_eq!(fingerprint("abc"), fingerprint("abc"));
        assert_ne!(fingerprint("abc"), fingerprint("abd"));
    }
}
