//! The long-lived tokens of a real home and their users.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::Control;
use super::home::{RealHome, authority, fresh_number};
use crate::expiry::has_expired;
use crate::stack::error::{Error, Result};
use crate::stack::http_client::http_client;

const LONG_LIVED: &str = "long_lived_access_token";
const LIFESPAN_DAYS: u32 = 365;
const PASSWORD: &str = "only-ever-on-loopback";

/// Home Assistant's description of a long-lived token, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct TokenEntry {
    /// The id of the refresh token, which is the token's `iss`.
    pub id: String,
    /// The name that the token was created with. It is unique among the tokens of the user.
    pub client_name: String,
    /// Home Assistant's `type`, which is always `long_lived_access_token` here.
    #[serde(rename = "type")]
    pub kind: String,
    /// The time of creation in ISO 8601.
    pub created_at: String,
    /// True if the connection was opened with this token.
    pub is_current: bool,
}

impl RealHome {
    /// Returns the id of the refresh token of a long-lived token, or `None` if the text is not a token
    /// of Home Assistant.
    pub fn issuer_of(token: &str) -> Option<String> {
        claims(token)?["iss"].as_str().map(str::to_owned)
    }

    /// Returns the owner's long-lived tokens. They include `control`, the token of the control
    /// connection, which is the current one.
    ///
    /// # Errors
    /// If Home Assistant does not respond.
    pub async fn tokens(&self) -> Result<Vec<TokenEntry>> {
        tokens(&self.control).await
    }

    /// Creates a long-lived token of the owner. `name` must be new.
    ///
    /// # Errors
    /// If Home Assistant rejects the command.
    pub async fn mint_token(&self, name: &str) -> Result<String> {
        mint(&self.control, name).await
    }

    /// Creates another user, who is not the owner, and a long-lived token of that user. Both have
    /// this name. `admin` makes the user an administrator.
    ///
    /// The user logs in, which resets the count of failed logins from this address.
    ///
    /// # Errors
    /// If Home Assistant rejects a command.
    pub async fn mint_token_of_another_user(&self, name: &str, admin: bool) -> Result<String> {
        let group = if admin {
            "system-admin"
        } else {
            "system-users"
        };
        let created = self
            .call(json!({ "type": "config/auth/create", "name": name, "group_ids": [group] }))
            .await?;
        // Unlike names, usernames must be lower case and have no spaces.
        let username = format!("user{}", fresh_number());
        self.call(json!({
            "type": "config/auth_provider/homeassistant/create",
            "user_id": created["user"]["id"],
            "username": username,
            "password": PASSWORD,
        }))
        .await?;
        let access_token = self.log_in(&username).await?;
        let control = Control::connect(authority(self.url()), &access_token).await?;
        let token = mint(&control, name).await?;
        // Only a connection of the user can list and revoke the user's tokens.
        self.others.lock().await.push(control);
        Ok(token)
    }

    /// Returns true if Home Assistant would accept a token that it has issued: the refresh token
    /// exists, and the token's `exp` has not passed. The check covers the owner and the users created
    /// here. The token is not presented, so the count of failed logins does not change. The
    /// signature is not checked.
    ///
    /// # Errors
    /// If Home Assistant does not respond.
    pub async fn accepts(&self, token: &str) -> Result<bool> {
        let Some(claims) = claims(token) else {
            return Ok(false);
        };
        let (Some(issuer), Some(exp)) = (claims["iss"].as_str(), claims["exp"].as_u64()) else {
            return Ok(false);
        };
        Ok(!has_expired(exp) && self.holder_of(issuer).await?.is_some())
    }

    /// Revokes a token of the owner or of a user created here. Home Assistant closes the WebSockets
    /// that were opened with the token.
    ///
    /// # Errors
    /// If the token is not one of this home.
    pub async fn revoke(&self, token: &str) -> Result<()> {
        let unknown = || Error::HomeAssistant("not a token of this home".to_owned());
        let issuer = Self::issuer_of(token).ok_or_else(unknown)?;
        let holder = self.holder_of(&issuer).await?.ok_or_else(unknown)?;
        holder
            .call(json!({ "type": "auth/delete_refresh_token", "refresh_token_id": issuer }))
            .await?;
        Ok(())
    }

    /// Returns the connection of the user of a long-lived token.
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

    /// Logs a user in as a browser would. Returns an access token.
    async fn log_in(&self, username: &str) -> Result<String> {
        let client = http_client()?;
        let client_id = format!("{}/", self.url());
        let post = async |path: &str, body: Value| -> Result<Value> {
            let request = client.post(format!("{}{path}", self.url())).json(&body);
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
        let request = client
            .post(format!("{}/auth/token", self.url()))
            .form(&form);
        let issued: Value = request.send().await?.error_for_status()?.json().await?;
        let token = issued["access_token"].as_str().map(str::to_owned);
        token.ok_or_else(|| {
            Error::HomeAssistant("the response to the login has no access token".to_owned())
        })
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
    token.ok_or_else(|| Error::HomeAssistant("the result has no token".to_owned()))
}

fn unexpected(answer: &Value) -> Error {
    Error::HomeAssistant(format!("unexpected response to the login: {answer}"))
}
