//! Alexa Smart Home directives: read as far as latchkey needs to, and handed to the home, which knows Alexa.

use std::borrow::Cow;

use serde::Deserialize;

/// What is read of a directive.
#[derive(Debug, Default, Deserialize)]
pub struct Directive<'a> {
    #[serde(borrow, default)]
    directive: Inner<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Inner<'a> {
    #[serde(borrow, default)]
    header: Header<'a>,
    #[serde(borrow)]
    endpoint: Option<Endpoint<'a>>,
    #[serde(borrow)]
    payload: Option<Payload<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    #[serde(borrow)]
    correlation_token: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint<'a> {
    #[serde(borrow)]
    endpoint_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    scope: Option<Scope<'a>>,
}

#[derive(Debug, Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    scope: Option<Scope<'a>>,
    /// Of the grant by which a user lets Alexa in.
    #[serde(borrow)]
    grantee: Option<Scope<'a>>,
}

#[derive(Deserialize)]
struct Scope<'a> {
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

impl<'a> Directive<'a> {
    /// Reads a directive; what cannot be read is as if it were not there.
    pub fn parse(text: &'a str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The token of the user who spoke.
    pub fn token(&self) -> Option<&str> {
        let endpoint = self.directive.endpoint.as_ref();
        let payload = self.directive.payload.as_ref();
        let scope = endpoint
            .and_then(|endpoint| endpoint.scope.as_ref())
            .or_else(|| payload?.scope.as_ref())
            .or_else(|| payload?.grantee.as_ref())?;
        scope.token.as_deref()
    }

    /// By which Alexa knows what an answer belongs to.
    pub fn correlation_token(&self) -> Option<&str> {
        self.directive.header.correlation_token.as_deref()
    }

    /// The device it is for.
    pub fn endpoint_id(&self) -> Option<&str> {
        self.directive.endpoint.as_ref()?.endpoint_id.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_where_alexa_puts_them_and_not_shown() {
        for text in [
            r#"{"directive":{"header":{},"endpoint":{"scope":{"token":"canary"}},"payload":{}}}"#,
            r#"{"directive":{"header":{},"payload":{"scope":{"type":"BearerToken","token":"canary"}}}}"#,
            r#"{"directive":{"header":{},"payload":{"grantee":{"token":"canary"}}}}"#,
        ] {
            let directive = Directive::parse(text);
            assert_eq!(directive.token(), Some("canary"), "{text}");
            assert!(!format!("{directive:?}").contains("canary"));
        }
        assert_eq!(Directive::parse("{}").token(), None);
        assert_eq!(Directive::parse("nonsense").endpoint_id(), None);
    }
}
