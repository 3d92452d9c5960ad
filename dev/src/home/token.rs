//! Long-lived access tokens, shaped like Home Assistant's: JWTs whose `iss` is the id of the
//! refresh token they belong to. A token belongs to a user, who sees no others'.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::entity::timestamp;

/// PyJWT forgives this many seconds past `exp`, as Home Assistant asks it to.
pub(crate) const LEEWAY_SECONDS: u64 = 10;

/// The place of the owner among the users.
pub(super) const OWNER: usize = 0;

/// A long-lived token that a home has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HomeToken {
    /// The id of its refresh token, which is its `iss`.
    pub id: String,
    /// The name under which it was minted.
    pub client_name: String,
    /// The token itself.
    pub access_token: String,
    /// Its `exp`, in seconds since 1970.
    pub expires_at: u64,
    /// When it was minted, in ISO 8601.
    pub created_at: String,
    /// Whose it is, by name.
    pub user: String,
    /// Whether that is the owner.
    pub is_owners: bool,
}

#[derive(Clone, Debug)]
struct Token {
    id: String,
    user: usize,
    client_name: String,
    access_token: String,
    expires_at: u64,
    created_at: String,
}

impl Token {
    fn has_expired(&self) -> bool {
        unix_now() > self.expires_at.saturating_add(LEEWAY_SECONDS)
    }
}

/// A token that is good, and whose it is.
#[derive(Debug)]
pub(super) struct Proven {
    /// The id of the refresh token.
    pub(super) id: String,
    /// The user's place.
    pub(super) user: usize,
}

#[derive(Debug)]
struct User {
    id: String,
    name: String,
    is_admin: bool,
}

/// All tokens and users of the home.
#[derive(Debug)]
pub(super) struct Tokens {
    tokens: Vec<Token>,
    users: Vec<User>,
}

impl Tokens {
    /// No tokens, and no user but the owner.
    pub(super) fn new() -> Self {
        let mut tokens = Self {
            tokens: Vec::new(),
            users: Vec::new(),
        };
        tokens.add_user("Owner", true);
        tokens
    }

    /// Another user; their place.
    pub(super) fn add_user(&mut self, name: &str, is_admin: bool) -> usize {
        self.users.push(User {
            id: hex(16),
            name: name.to_owned(),
            is_admin,
        });
        self.users.len() - 1
    }

    /// A new token. Like Home Assistant's it is 183 characters long with a 32-digit `iss`.
    pub(super) fn mint(&mut self, user: usize, client_name: &str, expires_at: u64) -> String {
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
            user,
            client_name: client_name.to_owned(),
            access_token: access_token.clone(),
            expires_at,
            created_at: timestamp(),
        });
        access_token
    }

    /// What there is to an access token that is good now.
    pub(super) fn validate(&self, access_token: &str) -> Option<Proven> {
        let token = self.find(access_token)?;
        (!token.has_expired()).then(|| Proven {
            id: token.id.clone(),
            user: token.user,
        })
    }

    pub(super) fn id_of(&self, access_token: &str) -> Option<String> {
        self.find(access_token).map(|token| token.id.clone())
    }

    fn find(&self, access_token: &str) -> Option<&Token> {
        let is_it = |token: &&Token| token.access_token == access_token;
        self.tokens.iter().find(is_it)
    }

    pub(super) fn exists(&self, id: &str) -> bool {
        self.user_of(id).is_some()
    }

    /// Whose token this is.
    pub(super) fn user_of(&self, id: &str) -> Option<usize> {
        let token = self.tokens.iter().find(|token| token.id == id)?;
        Some(token.user)
    }

    /// Whether this user has a token of this name.
    pub(super) fn is_named(&self, user: usize, client_name: &str) -> bool {
        self.tokens
            .iter()
            .any(|token| token.user == user && token.client_name == client_name)
    }

    /// Deletes a token; false when there is none with this id.
    pub(super) fn delete(&mut self, id: &str) -> bool {
        let before = self.tokens.len();
        self.tokens.retain(|token| token.id != id);
        self.tokens.len() < before
    }

    pub(super) fn all(&self) -> Vec<HomeToken> {
        self.tokens
            .iter()
            .map(|token| HomeToken {
                id: token.id.clone(),
                client_name: token.client_name.clone(),
                access_token: token.access_token.clone(),
                expires_at: token.expires_at,
                created_at: token.created_at.clone(),
                user: self.users[token.user].name.clone(),
                is_owners: token.user == OWNER,
            })
            .collect()
    }

    /// What `auth/refresh_tokens` answers on a socket that was opened with this token.
    ///
    /// Home Assistant counts minting an access token as its use, and nothing after: of a
    /// long-lived one `last_used_at` is the time when it was minted, however often it is
    /// presented.
    pub(super) fn list(&self, current: &Proven) -> Value {
        self.tokens
            .iter()
            .filter(|token| token.user == current.user)
            .map(|token| {
                json!({
                    "auth_provider_type": null,
                    "client_icon": null,
                    "client_id": null,
                    "client_name": token.client_name,
                    "created_at": token.created_at,
                    "expire_at": null,
                    "id": token.id,
                    "is_current": token.id == current.id,
                    "last_used_at": token.created_at,
                    "last_used_ip": null,
                    "type": "long_lived_access_token",
                })
            })
            .collect()
    }

    /// What `auth/current_user` answers.
    pub(super) fn user_json(&self, user: usize) -> Value {
        let (is_owner, user) = (user == OWNER, &self.users[user]);
        json!({
            "id": user.id,
            "name": user.name,
            "is_owner": is_owner,
            "is_admin": user.is_admin,
            "credentials": [{ "auth_provider_type": "homeassistant", "auth_provider_id": null }],
            "mfa_modules": [{ "id": "totp", "name": "Authenticator app", "enabled": false }],
        })
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
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
