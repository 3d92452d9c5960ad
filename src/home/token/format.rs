//! What can be said of a token without asking anybody: its shape and, for a JWT, its dates.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::time::Duration;

use crate::base::config::TokenFormat;
use crate::base::secret::AccessToken;

/// The largest text that is taken for a token. A real one has 183 characters.
const MAX_TOKEN_BYTES: usize = 4 * 1024;

/// What a JWT says of itself. Nothing is verified: only the home can do that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// When the token ends, since the Unix epoch.
    pub expires_at: Option<Duration>,
}

/// Why a text cannot be a token. Each names what is wrong, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// Larger than any token.
    #[error("it is larger than 4 KB")]
    TooLarge,
    /// Pasted from a header.
    #[error("it starts with `Bearer `; store the token alone")]
    BearerPrefix,
    /// Pasted from JSON or a shell.
    #[error("it holds quotes; store the token without them")]
    Quotes,
    /// Blanks or line breaks inside.
    #[error(
        "it holds blanks, line breaks or control characters; store the token alone, on one line"
    )]
    Blanks,
    /// Not the three parts of a JWT.
    #[error(
        "it is not made of three base64url parts with dots between them, as Home Assistant's tokens are"
    )]
    NotAJwt,
    /// The middle part is not a JSON object with sensible dates.
    #[error(
        "its middle part is not the JSON payload of a Home Assistant token; it may be cut short"
    )]
    Payload,
}

/// A token's text without the white space around it, and what it says of itself.
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
        // A token goes into an HTTP header, which takes visible ASCII alone.
        (Err(_), TokenFormat::Any) if text.is_ascii() => Ok((text, Claims::default())),
        (Err(defect), _) => Err(defect),
    }
}

#[derive(Deserialize)]
struct Payload {
    exp: Option<f64>,
    iss: Option<String>,
}

/// A stored token as it would be presented, if the text is one.
pub fn access_token(text: &SecretString) -> Option<AccessToken> {
    let (text, _) = inspect(text.expose_secret(), TokenFormat::Jwt).ok()?;
    Some(AccessToken::new(text.into()))
}

/// By what a home knows a token: the id of the refresh token that it stands for.
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
    fn a_real_token_is_trimmed_and_its_end_is_read() {
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
    fn each_defect_is_told_apart() {
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
    fn other_tokens_pass_only_where_they_are_allowed() {
        assert_eq!(
            inspect("opaque-token", TokenFormat::Any),
            Ok(("opaque-token", Claims::default()))
        );
        assert_eq!(inspect("tökén", TokenFormat::Any), Err(Defect::NotAJwt));
        assert_eq!(inspect("two words", TokenFormat::Any), Err(Defect::Blanks));
    }
}
