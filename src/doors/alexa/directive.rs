//! Alexa Smart Home directives: read as far as latchkey needs to, and handed to the home, which knows Alexa.

use std::fmt;

use crate::base::json::{MemberError, Members, Object};

/// The namespace in which a user's consent is given.
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
    /// Reads a directive. Each member is read for itself: one that cannot be read takes no other with it.
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
            // Of the grant by which a user lets Alexa in.
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

    /// The token of the user who spoke.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The token by which Alexa matches an answer with its directive.
    pub fn correlation_token(&self) -> Option<&str> {
        self.correlation_token.as_deref()
    }

    /// The device it is for.
    pub fn endpoint_id(&self) -> Option<&str> {
        self.endpoint_id.as_deref()
    }

    /// True if a user gives or changes their consent. Alexa takes other answers to that than to other directives.
    pub fn is_authorization(&self) -> bool {
        self.is_authorization
    }

    /// True if a home's answer can be an answer to this directive. Alexa takes one to a user's consent from its
    /// authorization interface alone, and Home Assistant reports its failures in another namespace.
    pub(crate) fn is_answered_by(&self, answer: &str) -> bool {
        let answer = Members::parse(answer).unwrap_or_default();
        let namespace = answer.object("event").object("header").word("namespace");
        !self.is_authorization || namespace.as_deref() == Some(AUTHORIZATION)
    }

    /// The first member that cannot be read, if there is one.
    pub fn unreadable(&self) -> Option<&MemberError> {
        self.unreadable.as_ref()
    }
}

/// The first error among those of several members.
struct Errors(Option<MemberError>);

impl Errors {
    /// The member, if it can be read.
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

    #[test]
    fn consent_is_answered_by_the_authorization_interface_alone() {
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
    fn a_member_that_cannot_be_read_is_named_and_takes_no_other_with_it() {
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
