//! Long-lived access tokens and their users.
//!
//! As in Home Assistant, a token is a JWT whose `iss` is the id of the token's refresh token. A user
//! sees only that user's own tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::context::{hex, timestamp};
use crate::expiry::{has_expired, unix_now};

/// The index of the owner in the list of users.
pub(super) const OWNER: usize = 0;

/// A long-lived token of a home.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HomeToken {
    /// The id of the refresh token, which is the token's `iss`.
    pub id: String,
    /// The name that the token was created with.
    pub client_name: String,
    /// The token itself.
    pub access_token: String,
    /// The token's `exp`, in seconds since 1970.
    pub expires_at: u64,
    /// The time of creation in ISO 8601.
    pub created_at: String,
    /// The name of the user.
    pub user: String,
    /// True if the user is the owner.
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

/// A valid token and its user.
#[derive(Debug)]
pub(super) struct Proven {
    /// The id of the refresh token.
    pub(super) id: String,
    /// The index of the user in the list of users.
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
    /// Creates a list without tokens, with the owner as the only user.
    pub(super) fn new() -> Self {
        let mut tokens = Self {
            tokens: Vec::new(),
            users: Vec::new(),
        };
        tokens.add_user("Owner", true);
        tokens
    }

    /// Adds a user. Returns the user's index.
    pub(super) fn add_user(&mut self, name: &str, is_admin: bool) -> usize {
        self.users.push(User {
            id: hex(16),
            name: name.to_owned(),
            is_admin,
        });
        self.users.len() - 1
    }

    /// Creates a token. As in Home Assistant, the token has 183 characters and its `iss` has 32 digits.
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

    /// Returns an access token's id and user if the token is valid now.
    pub(super) fn validate(&self, access_token: &str) -> Option<Proven> {
        let token = self.find(access_token)?;
        (!has_expired(token.expires_at)).then(|| Proven {
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

    /// Returns the index of the user of a token.
    pub(super) fn user_of(&self, id: &str) -> Option<usize> {
        let token = self.tokens.iter().find(|token| token.id == id)?;
        Some(token.user)
    }

    /// Returns true if this user has a token with this name.
    pub(super) fn is_named(&self, user: usize, client_name: &str) -> bool {
        self.tokens
            .iter()
            .any(|token| token.user == user && token.client_name == client_name)
    }

    /// Deletes a token. Returns false if the id is unknown.
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

    /// Returns the result of `auth/refresh_tokens` on a WebSocket that was opened with this token.
    ///
    /// In Home Assistant, only the creation of an access token counts as a use of its refresh token.
    /// So `last_used_at` of a long-lived token is always the time of creation.
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

    /// Returns the result of `auth/current_user`.
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
