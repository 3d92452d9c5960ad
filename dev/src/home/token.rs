//! Long-lived access tokens, shaped like Home Assistant's: JWTs whose `iss` is the id of the
//! refresh token they belong to.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::entity::timestamp;

/// PyJWT forgives this many seconds past `exp`, as Home Assistant asks it to.
const LEEWAY_SECONDS: u64 = 10;

#[derive(Clone, Debug)]
struct Token {
    id: String,
    client_name: String,
    access_token: String,
    expires_at: u64,
    created_at: String,
    last_used_at: Option<String>,
}

/// All tokens of the home's one user.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    tokens: Vec<Token>,
}

impl Tokens {
    /// A new token. Like Home Assistant's it is 183 characters long with a 32-digit `iss`.
    pub(super) fn mint(&mut self, client_name: &str, expires_at: u64) -> String {
        let id = hex(16);
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let issued_at = unix_now();
        let payload = URL_SAFE_NO_PAD.encode(format!(
            r#"{{"iss":"{id}","iat":{issued_at},"exp":{expires_at}}}"#
        ));
        let mut signature = [0_u8; 32];
        fastrand::fill(&mut signature);
        let access_token = format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(signature));
        self.tokens.push(Token {
            id,
            client_name: client_name.to_owned(),
            access_token: access_token.clone(),
            expires_at,
            created_at: timestamp(),
            last_used_at: None,
        });
        access_token
    }

    /// The id of the refresh token behind an access token that is good now.
    pub(super) fn validate(&mut self, access_token: &str) -> Option<String> {
        let token = self
            .tokens
            .iter_mut()
            .find(|token| token.access_token == access_token)?;
        if unix_now() > token.expires_at.saturating_add(LEEWAY_SECONDS) {
            return None;
        }
        token.last_used_at = Some(timestamp());
        Some(token.id.clone())
    }

    pub(super) fn id_of(&self, access_token: &str) -> Option<String> {
        self.tokens
            .iter()
            .find(|token| token.access_token == access_token)
            .map(|token| token.id.clone())
    }

    pub(super) fn exists(&self, id: &str) -> bool {
        self.tokens.iter().any(|token| token.id == id)
    }

    pub(super) fn is_named(&self, client_name: &str) -> bool {
        self.tokens
            .iter()
            .any(|token| token.client_name == client_name)
    }

    /// Deletes a token; false when there is none with this id.
    pub(super) fn delete(&mut self, id: &str) -> bool {
        let before = self.tokens.len();
        self.tokens.retain(|token| token.id != id);
        self.tokens.len() < before
    }

    /// What `auth/refresh_tokens` answers.
    pub(super) fn list(&self, current_id: &str) -> Value {
        self.tokens
            .iter()
            .map(|token| {
                json!({
                    "auth_provider_type": null,
                    "client_icon": null,
                    "client_id": null,
                    "client_name": token.client_name,
                    "created_at": token.created_at,
                    "expire_at": null,
                    "id": token.id,
                    "is_current": token.id == current_id,
                    "last_used_at": token.last_used_at,
                    "last_used_ip": token.last_used_at.as_ref().map(|_| "127.0.0.1"),
                    "type": "long_lived_access_token",
                })
            })
            .collect()
    }
}

/// Seconds since 1970.
pub(super) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

/// Random hexadecimal digits, two a byte.
pub(super) fn hex(bytes: usize) -> String {
    (0..bytes)
        .map(|_| format!("{:02x}", fastrand::u8(..)))
        .collect()
}
