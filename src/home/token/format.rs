//! Offline checks of a token: its shape and, for a JWT, its expiry.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::time::Duration;

use crate::base::config::TokenFormat;
use crate::base::secret::AccessToken;

/// The largest accepted token. A token of Home Assistant has 183 characters.
const MAX_TOKEN_BYTES: usize = 4 * 1024;

/// The claims of a JWT. The claims are not verified, because only the home can verify them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The expiry time, since the Unix epoch.
    pub expires_at: Option<Duration>,
}

/// The defect of a text that is not a token. The error text never contains the checked text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// The text is larger than 4 KB.
    #[error("it is larger than 4 KB")]
    TooLarge,
    /// The text was copied from an `Authorization` header.
    #[error("it starts with `Bearer `; store the token alone")]
    BearerPrefix,
    /// The text was copied with quotation marks, from JSON or a shell.
    #[error("it contains quotes; store the token without quotes")]
    Quotes,
    /// The text contains white space or control characters.
    #[error(
        "it contains blanks, line breaks or control characters; store the token alone, on one line"
    )]
    Blanks,
    /// The text does not have the three parts of a JWT.
    #[error(
        "it does not have three base64url parts separated by dots; store a token of Home Assistant"
    )]
    NotAJwt,
    /// The middle part is not a JSON object with a valid expiry time.
    #[error(
        "its middle part is not the JSON payload of a Home Assistant token; store the whole token"
    )]
    Payload,
}

/// Checks a token's text. Returns the text without surrounding white space, and its claims.
pub fn inspect(text: &str, format: TokenFormat) -> Result<(&str, Claims), Defect> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Defect::Empty);
    }
    if text.len() > MAX_TOKEN_BYTES {
        return Err(Defect::TooLarge);
    }
    if text
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("bearer "))
    {
        return Err(Defect::BearerPrefix);
    }
    if text.contains(['"', '\'', '`']) {
        return Err(Defect::Quotes);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Defect::Blanks);
    }
    match (claims(text), format) {
        (Ok(claims), _) => Ok((text, claims)),
        // A token is sent in an HTTP header, which accepts only visible ASCII.
        (Err(_), TokenFormat::Any) if text.is_ascii() => Ok((text, Claims::default())),
        (Err(defect), _) => Err(defect),
    }
}

#[derive(Deserialize)]
struct Payload {
    exp: Option<f64>,
    iss: Option<String>,
}

/// Returns the token that would be presented, if the stored text is a token.
pub fn access_token(text: &SecretString) -> Option<AccessToken> {
    let (text, _) = inspect(text.expose_secret(), TokenFormat::Jwt).ok()?;
    Some(AccessToken::new(text.into()))
}

/// Returns the home's id of a token: the id of its refresh token.
pub fn token_id(text: &SecretString) -> Option<String> {
    let (text, _) = inspect(text.expose_secret(), TokenFormat::Jwt).ok()?;
    payload(text).ok()?.iss.filter(|id| !id.is_empty())
}

fn claims(text: &str) -> Result<Claims, Defect> {
    let expires_at = match payload(text)?.exp {
        None => None,
        Some(seconds) => Some(Duration::try_from_secs_f64(seconds).map_err(|_| Defect::Payload)?),
    };
    Ok(Claims { expires_at })
}

fn payload(text: &str) -> Result<Payload, Defect> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        return Err(Defect::NotAJwt);
    };
    let decode = |part: &str| match URL_SAFE_NO_PAD.decode(part) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(Defect::NotAJwt),
    };
    decode(header)?;
    decode(signature)?;
    serde_json::from_slice(&decode(payload)?).map_err(|_| Defect::Payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!(
            "{}.{}.{}",
            encode(r#"{"alg":"HS256","typ":"JWT"}"#),
            encode(payload),
            encode("a signature of 32 bytes, or so..")
        )
    }

    #[test]
    fn inspect_trims_a_token_and_reads_its_expiry() {
        let token = jwt(r#"{"iss":"0123456789abcdef","iat":1700000000,"exp":2015360000}"#);
        let padded = format!("  {token}\n");
        let (text, claims) = inspect(&padded, TokenFormat::Jwt).unwrap();
        assert_eq!(text, token);
        assert_eq!(claims.expires_at, Some(Duration::from_secs(2_015_360_000)));
        assert_eq!(
            token_id(&padded.clone().into()).as_deref(),
            Some("0123456789abcdef")
        );
        assert_eq!(token_id(&jwt("{}").into()), None);
        assert_eq!(token_id(&"nothing".into()), None);
    }

    #[test]
    fn inspect_names_each_defect() {
        let good = jwt(r#"{"iss":"x"}"#);
        assert_eq!(
            inspect(&good, TokenFormat::Jwt).unwrap().1,
            Claims::default()
        );
        for (text, defect) in [
            (String::new(), Defect::Empty),
            (" \n".to_owned(), Defect::Empty),
            ("a".repeat(4_097), Defect::TooLarge),
            (format!("Bearer {good}"), Defect::BearerPrefix),
            (format!("\"{good}\""), Defect::Quotes),
            (format!("'{good}'"), Defect::Quotes),
            (format!("{good} {good}"), Defect::Blanks),
            (good.replacen('.', ".\n", 1), Defect::Blanks),
            (format!("{good}\u{0}"), Defect::Blanks),
            ("changeme".to_owned(), Defect::NotAJwt),
            (format!("{good}.{good}"), Defect::NotAJwt),
            ("..".to_owned(), Defect::NotAJwt),
            (good.replace('.', "=."), Defect::NotAJwt),
            (jwt("[]"), Defect::Payload),
            (jwt("nothing"), Defect::Payload),
            (jwt(r#"{"exp":-5}"#), Defect::Payload),
            (jwt(r#"{"exp":1e300}"#), Defect::Payload),
            (jwt(r#"{"exp":"soon"}"#), Defect::Payload),
        ] {
            assert_eq!(inspect(&text, TokenFormat::Jwt), Err(defect), "{text}");
        }
    }

    #[test]
    fn inspect_accepts_an_opaque_token_only_in_format_any() {
        assert_eq!(
            inspect("opaque-token", TokenFormat::Any),
            Ok(("opaque-token", Claims::default()))
        );
        assert_eq!(inspect("tökén", TokenFormat::Any), Err(Defect::NotAJwt));
        assert_eq!(inspect("two words", TokenFormat::Any), Err(Defect::Blanks));
    }
}
