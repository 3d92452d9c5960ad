//! The failures of Parameter Store.

use latchkey_dev::relay::{Ending, Relay};
use latchkey_dev::stack::{AwsEmulator, Fault};
use testkit::GET_PARAMETER;

/// The kind of a failure, which decides the reaction of latchkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The call fails at once.
    Unreadable,
    /// The call does not end by itself.
    Hanging,
    /// The parameter does not exist.
    Deleted,
    /// The stored token has expired according to its own claims.
    Expired,
}

/// The cause of a failure of Parameter Store.
#[derive(Clone, Debug)]
enum Cause {
    /// The service answers with this error.
    Answer(&'static str),
    /// The parameter is deleted.
    Deletion,
    /// The parameter holds another text.
    Text(String),
    /// The parameter is stored in clear text.
    ClearText,
    /// The endpoint refuses connections.
    Gone,
}

/// A failure and its name.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The problem in the answer to a caller.
    pub(crate) problem: &'static str,
    cause: Cause,
}

impl Failure {
    /// Returns all failures.
    pub(crate) fn all() -> Vec<Self> {
        use Kind::{Deleted, Expired, Hanging, Unreadable};
        let unavailable = "token-source-unavailable";
        let answer = |code| Cause::Answer(code);
        [
            (
                "access denied",
                Unreadable,
                unavailable,
                answer("AccessDeniedException"),
            ),
            (
                "key denied",
                Unreadable,
                unavailable,
                answer("KMSAccessDenied"),
            ),
            (
                "invalid key",
                Unreadable,
                unavailable,
                answer("InvalidKeyId"),
            ),
            ("deleted", Deleted, "token-missing", Cause::Deletion),
            (
                "not found",
                Deleted,
                "token-missing",
                answer("ParameterNotFound"),
            ),
            (
                "throttled",
                Unreadable,
                unavailable,
                answer("ThrottlingException"),
            ),
            ("broken", Unreadable, unavailable, answer("500")),
            ("hanging", Hanging, unavailable, answer("hang")),
            ("clear text", Unreadable, unavailable, Cause::ClearText),
            (
                "malformed",
                Unreadable,
                "token-malformed",
                Cause::Text("Bearer me".to_owned()),
            ),
            (
                "expired",
                Expired,
                "token-expired",
                Cause::Text(expired_token()),
            ),
            ("gone", Unreadable, unavailable, Cause::Gone),
        ]
        .into_iter()
        .map(|(name, kind, problem, cause)| Self {
            name,
            kind,
            problem,
            cause,
        })
        .collect()
    }

    /// Makes every read of these parameters fail. `relay` leads to AWS.
    pub(crate) async fn inject(&self, aws: &AwsEmulator, relay: &Relay, parameters: &[String]) {
        if matches!(self.cause, Cause::Gone) {
            relay.refuse_connections().await;
            relay.drop_connections(Ending::Reset);
        }
        for parameter in parameters {
            match &self.cause {
                Cause::Gone => {}
                Cause::Answer(code) => {
                    // The quotes prevent a match with a longer name.
                    let fault = Fault::new(GET_PARAMETER, *code);
                    let fault = fault.containing(format!("\"{parameter}\""));
                    aws.inject(&fault).await.unwrap();
                }
                Cause::Deletion => aws.delete_parameter(parameter).await.unwrap(),
                Cause::Text(text) => {
                    aws.put_token(parameter, text).await.unwrap();
                }
                Cause::ClearText => {
                    aws.delete_parameter(parameter).await.unwrap();
                    aws.put_parameter(parameter, "in the clear").await.unwrap();
                }
            }
        }
    }

    /// Accepts connections again, so that metrics are delivered.
    pub(crate) fn clear(&self, relay: &Relay) {
        if matches!(self.cause, Cause::Gone) {
            relay.accept_connections().unwrap();
        }
    }
}

/// Returns an expired token in the format of Home Assistant's tokens.
fn expired_token() -> String {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        encode(r#"{"alg":"HS256","typ":"JWT"}"#),
        encode(r#"{"iss":"00112233445566778899aabbccddeeff","iat":1500000000,"exp":1600000000}"#),
        encode("thirty-two bytes of no signature")
    )
}
