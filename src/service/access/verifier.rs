//! Verifies callers' JSON Web Tokens. All doors use the same verifier.
//!
//! The verifier does not trust the token's header. The key source sets the accepted algorithms. The key id selects one
//! of the configured keys. A key inside a token (`jwk`, `x5c`) and a URL of a key (`jku`, `x5u`) are ignored.

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

/// The maximum difference between the clocks of issuer and latchkey.
const LEEWAY: Duration = Duration::from_secs(60);

/// The maximum size of a token. It also limits the number of permissions, which has no other limit.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The maximum length of a subject.
const MAX_SUBJECT_BYTES: usize = 255;

/// The required issuer and audience of tokens, and the names of their claims.
#[derive(Clone, Debug)]
pub struct VerifierConfig {
    /// The required value of the claim `iss`.
    pub issuer: String,
    /// The required value of the claim `aud`.
    pub audience: String,
    /// The name of the claim with the tenant.
    pub tenant_claim: String,
    /// The name of the claim with the permissions.
    pub permissions_claim: String,
    /// The name of the claim with the plan.
    pub plan_claim: String,
}

/// A verifier for tokens.
pub struct Verifier {
    config: VerifierConfig,
    keys: KeyStore,
    clock: Arc<dyn Clock>,
}

impl Verifier {
    /// Creates a verifier with these keys.
    pub fn new(config: VerifierConfig, keys: KeyStore, clock: Arc<dyn Clock>) -> Self {
        signature::install();
        Self {
            config,
            keys,
            clock,
        }
    }

    /// Reads the keys before the first token needs them.
    pub async fn read_ahead(&self) {
        self.keys.read_ahead().await;
    }

    /// Verifies a token and returns its caller.
    pub async fn verify(&self, token: &str) -> Result<Caller, AccessError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AccessError::TooLarge);
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(AccessError::Malformed(
                "it does not have three parts separated by dots",
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

    /// Parses a header and returns the algorithm and the key id.
    fn header(&self, json: &str) -> Result<(Algorithm, Option<String>), AccessError> {
        let header = Members::parse(json).map_err(|_| {
            AccessError::Malformed("its header is not a JSON object, or has a duplicate member")
        })?;
        // `crit` names extensions that a verifier must understand, and latchkey supports none. Some verifiers read
        // `b64` even if `crit` does not name it.
        if header.has("crit") || header.has("b64") {
            return Err(AccessError::Malformed(
                "its header requires unsupported extensions",
            ));
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
                    .ok_or(AccessError::Malformed("its `kid` is not a short string"))?,
            ),
            false => None,
        };
        Ok((*algorithm, key_id))
    }

    fn claims(&self, json: &str) -> Result<Caller, AccessError> {
        let claims = Members::parse(json).map_err(|_| {
            AccessError::Malformed("its payload is not a JSON object, or has a duplicate member")
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
                // `iat` only states the token's age (RFC 7519, 4.1.6). It may be in the future: clocks of issuers run
                // ahead.
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

/// Parses a date in seconds since the Unix epoch.
fn date(value: Option<Value>) -> Option<Duration> {
    Duration::try_from_secs_f64(value?.as_f64()?).ok()
}

/// Parses the permissions in an array, or in a text with white space between them. Other texts are ignored, because
/// they may be permissions of another service.
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
