//! The secret with which a home pushes events: as a bearer secret, or as the key of a signature.

use std::sync::Arc;
use std::time::Duration;

use ring::hmac;
use secrecy::ExposeSecret as _;

use super::error::{AccessError, KeysError};
use crate::base::clock::{Clock, Timestamp};
use crate::base::lock::Lock;
use crate::home::source::SecretSource;

/// The time for which a secret is used before it is read again.
const KEPT: Duration = Duration::from_secs(300);

/// The largest difference between the time of a signature and the present time.
pub const SIGNATURE_WINDOW: Duration = Duration::from_secs(300);

/// The minimum length of the secret.
const LEAST_BYTES: usize = 32;

/// A secret that homes and latchkey share.
pub struct PushSecret {
    source: Box<dyn SecretSource>,
    clock: Arc<dyn Clock>,
    known: Lock<Option<(Arc<Known>, Timestamp)>>,
}

/// The secret as the key of a MAC. The secret itself is not kept.
struct Known {
    key: hmac::Key,
    /// The MAC of the secret. The comparison with it takes the same time for every text.
    own: hmac::Tag,
}

/// A signature of the header `X-Latchkey-Signature`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushSignature {
    /// The time of the signature, in seconds since the Unix epoch.
    at: u64,
    /// The MAC in hexadecimal digits, in lower case.
    mac: String,
}

impl PushSignature {
    /// Parses `t=<seconds>,v1=<hex>`.
    pub fn parse(header: &str) -> Option<Self> {
        let (at, mac) = header.split_once(',')?;
        let at = at.trim().strip_prefix("t=")?;
        let mac = mac.trim().strip_prefix("v1=")?;
        let is_hex = mac.len() == 64 && mac.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_time = !at.is_empty() && at.bytes().all(|byte| byte.is_ascii_digit());
        (is_hex && is_time).then_some(Self {
            at: at.parse().ok()?,
            mac: mac.to_ascii_lowercase(),
        })
    }

    /// Returns the text that identifies the signature.
    pub fn mac(&self) -> &str {
        &self.mac
    }
}

impl PushSecret {
    /// Creates a secret that is read from `source`.
    pub fn new(source: Box<dyn SecretSource>, clock: Arc<dyn Clock>) -> Self {
        Self {
            source,
            clock,
            known: Lock::new(None),
        }
    }

    /// Returns true if a text is the secret.
    pub async fn is(&self, text: &str) -> Result<bool, AccessError> {
        let known = self.known().await?;
        Ok(hmac::verify(&known.key, text.as_bytes(), known.own.as_ref()).is_ok())
    }

    /// Checks the signature of a body. Its time must be close to the present time.
    pub async fn check(&self, signature: &PushSignature, body: &[u8]) -> Result<(), AccessError> {
        let at = Duration::from_secs(signature.at);
        let now = self.clock.now().unix;
        if at.abs_diff(now) > SIGNATURE_WINDOW {
            return Err(AccessError::Expired);
        }
        let known = self.known().await?;
        let mut signed = format!("{}.", signature.at).into_bytes();
        signed.extend_from_slice(body);
        let mac = hex::decode(&signature.mac).unwrap_or_default();
        hmac::verify(&known.key, &signed, &mac).map_err(|_| AccessError::Signature)
    }

    async fn known(&self) -> Result<Arc<Known>, AccessError> {
        let now = self.clock.now();
        let kept = self.known.lock().clone();
        if let Some((known, at)) = &kept
            && now.since(*at) < KEPT
        {
            return Ok(known.clone());
        }
        let known = match (self.read().await, kept) {
            (Ok(known), _) => Arc::new(known),
            // The last secret is better than none.
            (Err(_), Some((known, _))) => known,
            (Err(error), None) => return Err(AccessError::KeysUnavailable(error)),
        };
        *self.known.lock() = Some((known.clone(), now));
        Ok(known)
    }

    async fn read(&self) -> Result<Known, KeysError> {
        let stored = self.source.fetch().await?;
        let secret = stored.value.expose_secret().trim().as_bytes();
        if secret.len() < LEAST_BYTES {
            return Err(KeysError::PushSecretTooShort {
                least_bytes: LEAST_BYTES,
            });
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let own = hmac::sign(&key, secret);
        Ok(Known { key, own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;
    use crate::home::source::VariableSource;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW: u64 = 1_800_000_000;

    fn secret(text: &str) -> PushSecret {
        let clock = Arc::new(ManualClock::at(Duration::from_secs(NOW)));
        PushSecret::new(Box::new(VariableSource::new(text.into())), clock)
    }

    fn signature(at: u64, body: &str) -> PushSignature {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let mac = hmac::sign(&key, format!("{at}.{body}").as_bytes());
        PushSignature::parse(&format!("t={at},v1={}", hex::encode(mac))).unwrap()
    }

    #[tokio::test]
    async fn bearer_must_be_the_whole_secret() {
        let secret = secret(SECRET);
        assert_eq!(secret.is(SECRET).await, Ok(true));
        for other in ["", "0123", &SECRET[1..], &format!("{SECRET}0")] {
            assert_eq!(secret.is(other).await, Ok(false), "{other}");
        }
    }

    #[tokio::test]
    async fn short_secret_is_refused() {
        let error = secret("short").is("short").await.unwrap_err();
        assert!(error.to_string().contains("fewer than 32 bytes"), "{error}");
    }

    #[tokio::test]
    async fn signature_covers_time_and_body() {
        let secret = secret(SECRET);
        let good = signature(NOW - 300, "{}");
        assert_eq!(secret.check(&good, b"{}").await, Ok(()));
        assert_eq!(
            secret.check(&good, b"[]").await,
            Err(AccessError::Signature)
        );
        let moved = PushSignature {
            at: NOW,
            ..good.clone()
        };
        assert_eq!(
            secret.check(&moved, b"{}").await,
            Err(AccessError::Signature)
        );
        for at in [NOW - 301, NOW + 301] {
            let old = signature(at, "{}");
            assert_eq!(secret.check(&old, b"{}").await, Err(AccessError::Expired));
        }
    }

    #[test]
    fn header_with_another_form_is_not_a_signature() {
        let mac = "a".repeat(64);
        assert!(PushSignature::parse(&format!("t=1, v1={mac}")).is_some());
        for bad in [
            "",
            "t=1",
            &format!("v1={mac},t=1"),
            &format!("t=,v1={mac}"),
            &format!("t=-1,v1={mac}"),
            &format!("t=1,v1={}", &mac[1..]),
            &format!("t=1,v2={mac}"),
            &format!("t=99999999999999999999,v1={mac}"),
        ] {
            assert_eq!(PushSignature::parse(bad), None, "{bad}");
        }
    }
}
