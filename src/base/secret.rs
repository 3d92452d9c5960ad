//! The type that holds a Home Assistant token.
//!
//! [`AccessToken`] implements neither `Display` nor `Serialize`, and its `Debug` output is a [`Fingerprint`]. Its
//! memory is zeroed on drop. Only [`AccessToken::expose`] returns the value, so a search for `expose` finds every use
//! of the token.

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
    /// Creates a token from its text. The text is zeroed when the token is dropped.
    pub fn new(value: SecretString) -> Self {
        let fingerprint = Fingerprint(Sha256::digest(value.expose_secret()).into());
        Self { value, fingerprint }
    }

    /// Returns the token itself. Only the REST client and the WebSocket handshake may call this.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// Returns the fingerprint of the token, which may be shown.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken({})", self.fingerprint)
    }
}

/// The SHA-256 of a token. Comparisons use the whole hash, and messages show its first 8 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns a pseudonym of the token for places that others can read, as hexadecimal digits.
    ///
    /// The pseudonym is the HMAC-SHA256 of `texts` under the fingerprint. The length of each text is part of the input,
    /// so different lists of texts have different pseudonyms. Without the token, a pseudonym reveals neither the token
    /// nor the fingerprint that logs show.
    pub fn pseudonym(&self, texts: &[&str]) -> String {
        // HMAC accepts a key of any length.
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
    fn debug_shows_the_fingerprint_but_not_the_value() {
        let token = AccessToken::new("abc".into());
        // The SHA-256 of "abc" is a published test vector.
        assert_eq!(format!("{token:?}"), "AccessToken(ba7816bf)");
        assert_eq!(token.fingerprint().to_string(), "ba7816bf");
        assert_eq!(token.expose(), "abc");
    }

    #[test]
    fn pseudonym_depends_on_token_and_texts_and_reveals_neither() {
        let fingerprint = |text: &str| AccessToken::new(text.into()).fingerprint();
        let name = fingerprint("abc").pseudonym(&["a", "bc"]);
        assert_eq!(name, fingerprint("abc").pseudonym(&["a", "bc"]));
        assert_eq!(name.len(), 64);
        assert!(!name.contains("ba7816bf"));
        assert_ne!(name, fingerprint("abc").pseudonym(&["ab", "c"]));
        assert_ne!(name, fingerprint("abd").pseudonym(&["a", "bc"]));
    }

    #[test]
    fn different_tokens_have_different_fingerprints() {
        let fingerprint = |text: &str| AccessToken::new(text.into()).fingerprint();
        assert_eq!(fingerprint("abc"), fingerprint("abc"));
        assert_ne!(fingerprint("abc"), fingerprint("abd"));
    }
}
