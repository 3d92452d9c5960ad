//! The home's long-lived tokens and whose they are.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{RealHome, authority, fresh_number};
use crate::home::{LEEWAY_SECONDS, unix_now};
use crate::stack::control::Control;
use crate::stack::{Error, Result, http_client};

const LONG_LIVED: &str = "long_lived_access_token";
const LIFESPAN_DAYS: u32 = 365;
const PASSWORD: &str = "only-ever-on-loopback";

/// A long-lived token as its user sees it in Home Assistant: everything but itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct TokenEntry {
    /// The id of its refresh token, which is the token's `iss`.
    pub id: String,
    /// The name under which it was minted; a user has no two long-lived tokens of one name.
    pub client_name: String,
    /// Home Assistant's `type`, here always `long_lived_access_token`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was minted, in ISO 8601.
    pub created_at: String,
    /// Whether the connection that asked was opened with it.
    pub is_current: bool,
}

impl RealHome {
    /// The id of the refresh token behind a long-lived token; `None` for what is no token of Home
    /// Assistant's.
    pub fn issuer_of(token: &str) -> Option<String> {
        claims(token)?["iss"].as_str().map(str::to_owned)
    }

    /// The owner's long-lived tokens. The one that steers this home, `control`, is among them and
    /// is the current one.
    ///
    /// # Errors
    /// When Home Assistant does not answer.
    pub async fn tokens(&self) -> Result<Vec<TokenEntry>> {
        tokens(&self.control).await
    }

    /// Mints another long-lived token of the owner's; `name` must be new.
    ///
    /// # Errors
    /// When Home Assistant refuses.
    pub async fn mint_token(&self, name: &str) -> Result<String> {
        mint(&self.control, name).await
    }

    /// Makes another user of this name, an administrator (but not the owner) or an ordinary one,
    /// and mints a long-lived token of theirs, named alike.
    ///
    /// They log in for it, which makes Home Assistant forget the failed logins of this address.
    ///
    /// # Errors
    /// When Home Assistant refuses.
    pub async fn mint_token_of_another_user(&self, name: &str, admin: bool) -> Result<String> {
        let group = if admin {
            "system-admin"
        } else {
            "system-users"
        };
        let created = self
            .call(json!({ "type": "config/auth/create", "name": name, "group_ids": [group] }))
            .await?;
        // Usernames are lower case and have no spaces, names need not.
        let username = format!("user{}", fresh_number());
        self.call(json!({
            "type": "config/auth_provider/homeassistant/create",
            "user_id": created["user"]["id"],
            "username": username,
            "password": PASSWORD,
        }))
        .await?;
        let access_token = self.log_in(&username).await?;
        let control = Control::connect(authority(&self.url), &access_token).await?;
        let token = mint(&control, name).await?;
        // Only a user's own connection sees and revokes that user's tokens.
        self.others.lock().await.push(control);
        Ok(token)
    }

    /// Whether Home Assistant would accept a token that it has once issued, found out without
    /// presenting it: its refresh token is there, the owner's or another user's made here, and by
    /// its own word it has not expired. So a `false` is no failed login, and a `true` forgives
    /// none. A signature is not looked at.
    ///
    /// # Errors
    /// When Home Assistant does not answer.
    pub async fn accepts(&self, token: &str) -> Result<bool> {
        let Some(claims) = claims(token) else {
            return Ok(false);
        };
        let (Some(issuer), Some(exp)) = (claims["iss"].as_str(), claims["exp"].as_u64()) else {
            return Ok(false);
        };
        let has_expired = unix_now() > exp.saturating_add(LEEWAY_SECONDS);
        Ok(!has_expired && self.holder_of(issuer).await?.is_some())
    }

    /// Revokes a token, the owner's or another user's made here, which closes the sockets that
    /// were opened with it.
    ///
    /// # Errors
    /// When it is no token of this home.
    pub async fn revoke(&self, token: &str) -> Result<()> {
        let unknown = || Error::HomeAssistant("not a token of this home".to_owned());
        let issuer = Self::issuer_of(token).ok_or_else(unknown)?;
        let holder = self.holder_of(&issuer).await?.ok_or_else(unknown)?;
        holder
            .call(json!({ "type": "auth/delete_refresh_token", "refresh_token_id": issuer }))
            .await?;
        Ok(())
    }

    /// The connection of the user whose long-lived token this is.
    async fn holder_of(&self, issuer: &str) -> Result<Option<Control>> {
        let others = self.others.lock().await;
        for control in std::iter::once(&self.control).chain(others.iter()) {
            if tokens(control)
                .await?
                .iter()
                .any(|token| token.id == issuer)
            {
                return Ok(Some(control.clone()));
            }
        }
        Ok(None)
    }

    /// Logs a user in as a browser would; returns an access token.
    async fn log_in(&self, username: &str) -> Result<String> {
        let client = http_client()?;
        let client_id = format!("{}/", self.url);
        let post = async |path: &str, body: Value| -> Result<Value> {
            let request = client.post(format!("{}{path}", self.url)).json(&body);
            Ok(request.send().await?.error_for_status()?.json().await?)
        };
        let flow = post(
            "/auth/login_flow",
            json!({
                "client_id": client_id,
                "handler": ["homeassistant", null],
                "redirect_uri": client_id,
            }),
        )
        .await?;
        let flow_id = flow["flow_id"].as_str().ok_or_else(|| unexpected(&flow))?;
        let step = post(
            &format!("/auth/login_flow/{flow_id}"),
            json!({ "client_id": client_id, "username": username, "password": PASSWORD }),
        )
        .await?;
        let code = step["result"].as_str().ok_or_else(|| unexpected(&step))?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", &client_id),
        ];
        let request = client.post(format!("{}/auth/token", self.url)).form(&form);
        let issued: Value = request.send().await?.error_for_status()?.json().await?;
        let token = issued["access_token"].as_str().map(str::to_owned);
        token.ok_or_else(|| Error::HomeAssistant("no access token in the answer".to_owned()))
    }
}

fn claims(token: &str) -> Option<Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

async fn tokens(control: &Control) -> Result<Vec<TokenEntry>> {
    let listed = control
        .call(json!({ "type": "auth/refresh_tokens" }))
        .await?;
    listed
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["type"] == LONG_LIVED)
        .map(|entry| {
            TokenEntry::deserialize(entry).map_err(|error| Error::HomeAssistant(error.to_string()))
        })
        .collect()
}

async fn mint(control: &Control, name: &str) -> Result<String> {
    let token = control
        .call(json!({
            "type": "auth/long_lived_access_token",
            "client_name": name,
            "lifespan": LIFESPAN_DAYS,
        }))
        .await?;
    let token = token.as_str().map(str::to_owned);
    token.ok_or_else(|| Error::HomeAssistant("no token in the answer".to_owned()))
}

fn unexpected(answer: &Value) -> Error {
    Error::HomeAssistant(format!("the login went otherwise: {answer}"))
}
