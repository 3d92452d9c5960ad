//! Reads the members of Alexa Smart Home directives that latchkey needs. The home handles the directives.

use std::fmt;

use crate::base::json::{MemberError, Members, Object};

/// The namespace of directives by which a user gives consent.
pub(crate) const AUTHORIZATION: &str = "Alexa.Authorization";

/// The members of a directive that latchkey needs.
#[derive(Default)]
pub struct Directive {
    is_authorization: bool,
    token: Option<String>,
    correlation_token: Option<String>,
    endpoint_id: Option<String>,
    unreadable: Option<MemberError>,
}

impl fmt::Debug for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directive").finish_non_exhaustive()
    }
}

impl Directive {
    /// Parses a directive. Each member is read separately, so an unreadable member does not affect the other members.
    pub fn parse(text: &str) -> Self {
        let mut errors = Errors(None);
        let Ok(members) = Members::parse(text) else {
            let error = MemberError::new("directive", "is not in a JSON object");
            return Self {
                unreadable: Some(error),
                ..Self::default()
            };
        };
        let directive = errors.member(Object::outermost(members).object("directive"));
        let directive = directive.unwrap_or_default();
        let [header, endpoint, payload] = ["header", "endpoint", "payload"]
            .map(|name| errors.member(directive.object(name)).unwrap_or_default());
        let scopes = [
            (&endpoint, "scope"),
            (&payload, "scope"),
            // An `AcceptGrant` directive, by which a user links Alexa, has its token here.
            (&payload, "grantee"),
        ];
        let scope = scopes
            .into_iter()
            .find_map(|(object, name)| errors.member(object.object(name)))
            .unwrap_or_default();
        let namespace = errors.member(header.text("namespace"));
        Self {
            is_authorization: namespace.as_deref() == Some(AUTHORIZATION),
            token: errors.member(scope.text("token")),
            correlation_token: errors.member(header.text("correlationToken")),
            endpoint_id: errors.member(endpoint.text("endpointId")),
            unreadable: errors.0,
        }
    }

    /// Returns the token of the user who spoke.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Returns the token that links a response to its directive.
    pub fn correlation_token(&self) -> Option<&str> {
        self.correlation_token.as_deref()
    }

    /// Returns the ID of the device that the directive is for.
    pub fn endpoint_id(&self) -> Option<&str> {
        self.endpoint_id.as_deref()
    }

    /// Returns true if a user gives or changes consent. Alexa accepts other responses to such a directive than to other
    /// directives.
    pub fn is_authorization(&self) -> bool {
        self.is_authorization
    }

    /// Returns true if a home's response is valid for this directive. Alexa accepts only a response of its
    /// authorization interface to a user's consent, and Home Assistant reports failures in another namespace.
    pub(crate) fn is_answered_by(&self, answer: &str) -> bool {
        let answer = Members::parse(answer).unwrap_or_default();
        let namespace = answer.object("event").object("header").word("namespace");
        !self.is_authorization || namespace.as_deref() == Some(AUTHORIZATION)
    }

    /// Returns the first unreadable member, if there is one.
    pub fn unreadable(&self) -> Option<&MemberError> {
        self.unreadable.as_ref()
    }
}

/// Collects the first error of several members.
struct Errors(Option<MemberError>);

impl Errors {
    /// Returns the member, or records the error.
    fn member<T>(&mut self, read: Result<Option<T>, MemberError>) -> Option<T> {
        read.unwrap_or_else(|error| {
            self.0.get_or_insert(error);
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_found_in_each_scope_and_not_shown() {
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

    #[test]
    fn only_the_authorization_interface_answers_a_consent() {
        let directive = |namespace: &str| {
            Directive::parse(&format!(
                r#"{{"directive":{{"header":{{"namespace":"{namespace}"}}}}}}"#
            ))
        };
        let [good, other] = ["Alexa.Authorization", "Alexa"].map(|namespace| {
            format!(r#"{{"event":{{"header":{{"namespace":"{namespace}"}},"payload":{{}}}}}}"#)
        });
        let grant = directive("Alexa.Authorization");
        assert!(grant.is_authorization() && grant.is_answered_by(&good));
        for answer in [other.as_str(), "{}", "[]", ""] {
            assert!(!grant.is_answered_by(answer), "{answer}");
            let discovery = directive("Alexa.Discovery");
            assert!(!discovery.is_authorization() && discovery.is_answered_by(answer));
        }
    }

    #[test]
    fn unreadable_member_is_named_and_does_not_affect_others() {
        let good = serde_json::json!({ "directive": {
            "header": { "namespace": "Alexa.PowerController", "correlationToken": "c" },
            "endpoint": { "endpointId": "e", "scope": { "token": "t" } },
            "payload": {},
        }});
        let read = |directive: &Directive| {
            [
                directive.correlation_token(),
                directive.endpoint_id(),
                directive.token(),
            ]
            .map(|member| member.is_some())
        };
        let directive = Directive::parse(&good.to_string());
        assert_eq!(read(&directive), [true; 3]);
        assert_eq!(directive.unreadable(), None);
        for (member, seen) in [
            ("directive.header.correlationToken", [false, true, true]),
            ("directive.endpoint.endpointId", [true, false, true]),
            ("directive.endpoint.scope", [true, true, false]),
            ("directive.endpoint.scope.token", [true, true, false]),
            ("directive.endpoint", [true, false, false]),
            ("directive.payload", [true, true, true]),
            ("directive.header", [false, true, true]),
        ] {
            let pointer = format!("/{}", member.replace('.', "/"));
            for (value, is_named) in [("5", true), ("[]", true), ("null", false)] {
                let mut changed = good.clone();
                *changed.pointer_mut(&pointer).unwrap() = serde_json::from_str(value).unwrap();
                let directive = Directive::parse(&changed.to_string());
                assert_eq!(read(&directive), seen, "{member} {value}");
                let named = directive.unreadable().map(|error| error.member.as_str());
                assert_eq!(named, is_named.then_some(member), "{member} {value}");
            }
        }
    }
}
