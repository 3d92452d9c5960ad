//! Verifies callers' JSON Web Tokens. There is one verifier, for every door.
//!
//! What a token says of itself decides nothing: the algorithms come from where the keys come from, keys are found by
//! id among those that were configured, and a key inside a token (`jwk`, `x5c`) or a place to get one from (`jku`,
//! `x5u`) is not looked at.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::caller::Caller;
use super::error::AccessError;
use super::keys::KeyStore;
use super::permission::Permission;
use super::signature;
use crate::base::clock::Clock;
use crate::base::home_name::HomeName;
use crate::base::json::Members;

/// By how much clocks may differ.
const LEEWAY: Duration = Duration::from_secs(60);

/// The largest token that is looked at. It also bounds the number of permissions, which are all honoured.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The longest subject.
const MAX_SUBJECT_BYTES: usize = 255;

/// Who issues tokens, for whom, and what the claims are called.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// Who must have issued a token.
    pub issuer: String,
    /// For whom it must have been issued.
    pub audience: String,
    /// The claim with the tenant.
    pub tenant_claim: String,
    /// The claim with the permissions.
    pub permissions_claim: String,
    /// The claim with the plan.
    pub plan_claim: String,
}

/// Verifies tokens.
pub struct Verifier {
    config: VerifierConfig,
    keys: KeyStore,
    clock: Arc<dyn Clock>,
}

impl Verifier {
    /// A verifier with these keys.
    pub fn new(config: VerifierConfig, keys: KeyStore, clock: Arc<dyn Clock>) -> Self {
        signature::install();
        Self {
            config,
            keys,
            clock,
        }
    }

    /// Who has this token, if it is good.
    pub async fn verify(&self, token: &str) -> Result<Caller, AccessError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AccessError::TooLarge);
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(AccessError::Malformed(
                "it has not three parts with dots between them",
            ));
        };
        let (header_json, payload_json) = (decoded(header)?, decoded(payload)?);
        let (algorithm, key_id) = self.header(&header_json)?;
        let key = self.keys.find(key_id.as_deref(), algorithm).await?;
        let signed = &token[..header.len() + 1 + payload.len()];
        let fits = |key: &DecodingKey| {
            jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, algorithm)
                .unwrap_or(false)
        };
        if !fits(&key) {
            let id = key_id.as_deref();
            let newer = self.keys.find_newer(id, algorithm, &key).await;
            if !newer.is_some_and(|key| fits(&key)) {
                return Err(AccessError::Signature);
            }
        }
        self.claims(&payload_json)
    }

    /// The algorithm and the key's id, from the header.
    fn header(&self, json: &str) -> Result<(Algorithm, Option<String>), AccessError> {
        let header = Members::parse(json).map_err(|_| {
            AccessError::Malformed("its header is no JSON object, or has a member twice")
        })?;
        // What a reader must understand, and this one does not; the second would be read by some without the first.
        if header.has("crit") || header.has("b64") {
            return Err(AccessError::Malformed("its header asks for extensions"));
        }
        let named = header
            .word("alg")
            .ok_or(AccessError::Malformed("its header has no `alg`"))?;
        let algorithm = self
            .keys
            .algorithms()
            .iter()
            .find(|algorithm| format!("{algorithm:?}") == named)
            .ok_or(AccessError::Algorithm)?;
        let key_id = match header.has("kid") {
            true => Some(
                header
                    .word("kid")
                    .ok_or(AccessError::Malformed("its `kid` is no short text"))?,
            ),
            false => None,
        };
        Ok((*algorithm, key_id))
    }

    fn claims(&self, json: &str) -> Result<Caller, AccessError> {
        let claims = Members::parse(json).map_err(|_| {
            AccessError::Malformed("its payload is no JSON object, or has a member twice")
        })?;
        let value =
            |name: &str| -> Option<Value> { serde_json::from_str(claims.get(name)?.get()).ok() };
        let text = |name: &str| match value(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        if text("iss").as_deref() != Some(&self.config.issuer) {
            return Err(AccessError::Claim("iss"));
        }
        let is_for_us = match value("aud") {
            Some(Value::String(audience)) => audience == self.config.audience,
            Some(Value::Array(audiences)) => audiences
                .iter()
                .any(|audience| audience.as_str() == Some(&self.config.audience)),
            _ => false,
        };
        if !is_for_us {
            return Err(AccessError::Claim("aud"));
        }
        let now = self.clock.now().unix;
        let expires_at = date(value("exp")).ok_or(AccessError::Claim("exp"))?;
        if expires_at.saturating_add(LEEWAY) <= now {
            return Err(AccessError::Expired);
        }
        for name in ["nbf", "iat"] {
            if claims.has(name) {
                let begins_at = date(value(name)).ok_or(AccessError::Claim(name))?;
                // `iat` tells the token's age alone (RFC 7519, 4.1.6), and clocks of issuers run ahead.
                if name == "nbf" && begins_at > now + LEEWAY {
                    return Err(AccessError::NotYet);
                }
            }
        }
        let subject = text("sub")
            .filter(|subject| (1..=MAX_SUBJECT_BYTES).contains(&subject.len()))
            .ok_or(AccessError::Claim("sub"))?;
        let tenant = match claims.has(&self.config.tenant_claim) {
            false => None,
            true => Some(
                text(&self.config.tenant_claim)
                    .and_then(|tenant| HomeName::new(&tenant))
                    .ok_or(AccessError::Claim("tenant"))?,
            ),
        };
        let mut permissions = permissions(value(&self.config.permissions_claim));
        permissions.extend(self::permissions(value("scope")));
        Ok(Caller {
            subject,
            tenant,
            permissions,
            plan: text(&self.config.plan_claim),
            expires_at,
        })
    }
}

fn decoded(part: &str) -> Result<String, AccessError> {
    URL_SAFE_NO_PAD
        .decode(part)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or(AccessError::Malformed("a part of it is not base64url"))
}

/// A date in seconds since the Unix epoch.
fn date(value: Option<Value>) -> Option<Duration> {
    Duration::try_from_secs_f64(value?.as_f64()?).ok()
}

/// The permissions of an array, or of a text with blanks between them. What is none is passed over: it may be another
/// service's.
fn permissions(value: Option<Value>) -> Vec<Permission> {
    match value {
        Some(Value::String(text)) => text
            .split_whitespace()
            .filter_map(Permission::parse)
            .collect(),
        Some(Value::Array(values)) => values
            .iter()
            .filter_map(Value::as_str)
            .filter_map(Permission::parse)
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
