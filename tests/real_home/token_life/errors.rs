//! Every way in which Parameter Store can fail to give a token.

use latchkey_dev::relay::{Ending, Relay};
use latchkey_dev::stack::{AwsEmulator, Fault};
use testkit::GET_PARAMETER;

/// How a failure is met, wherever in a token's life it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The call fails at once.
    Unreadable,
    /// It does not come to an end by itself.
    Hanging,
    /// There is no such parameter.
    Deleted,
    /// What is stored says of itself that it has ended.
    Expired,
}

/// What makes Parameter Store fail.
#[derive(Clone, Debug)]
enum Cause {
    /// The service answers so.
    Answer(&'static str),
    /// The parameter is deleted.
    Deletion,
    /// The parameter holds another text.
    Text(String),
    /// The parameter is stored in clear text.
    ClearText,
    /// Nothing listens there any more.
    Gone,
}

/// One way to fail, and what it is called.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The problem that callers are told of.
    pub(crate) problem: &'static str,
    cause: Cause,
}

impl Failure {
    /// All of them.
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

    /// Makes every read of these parameters fail; `relay` is the way there.
    pub(crate) async fn strike(&self, aws: &AwsEmulator, relay: &Relay, parameters: &[String]) {
        if matches!(self.cause, Cause::Gone) {
            relay.refuse_connections().await;
            relay.drop_connections(Ending::Reset);
        }
        for parameter in parameters {
            match &self.cause {
                Cause::Gone => {}
                Cause::Answer(code) => {
                    // With its quotes no name is part of another.
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

    /// Lets metrics through again.
    pub(crate) fn relent(&self, relay: &Relay) {
        if matches!(self.cause, Cause::Gone) {
            relay.accept_connections().unwrap();
        }
    }
}

/// In form a token of Home Assistant's that ended long ago.
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
