//! Detects the trigger of the function by members that only one kind of payload has. It does not try types in turn.

use serde_json::Value;

use crate::base::json::{JsonError, Members, kind_of, kind_of_text, shown};
use crate::service::failure::EventError;

/// The trigger of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A keep-warm event: `{"source":"keep-warm"}`, or a scheduled event of EventBridge (a rule's or Scheduler's).
    KeepWarm,
    /// A change of a parameter in SSM Parameter Store.
    ParameterChange,
    /// An HTTP request through a REST API of API Gateway (payload 1.0).
    HttpV1,
    /// An HTTP request through an HTTP API of API Gateway (payload 2.0).
    HttpV2,
    /// An HTTP request through a function URL (payload 2.0).
    FunctionUrl,
    /// An HTTP request through an Application Load Balancer.
    Alb,
    /// An event of a WebSocket API of API Gateway.
    WebSocket,
    /// Messages of an SQS queue.
    Queue,
    /// An Alexa Smart Home directive.
    Alexa,
    /// A request to rotate the token.
    RotateToken,
    /// A request for a diagnosis.
    Doctor,
    /// Commands of a caller who may invoke the function directly.
    Direct,
}

impl Trigger {
    /// Returns the trigger of a payload.
    pub fn of(payload: &str) -> Result<Self, EventError> {
        if payload.trim_start().starts_with('{') {
            return classify(&Members::parse(payload)?);
        }
        let value: Value = serde_json::from_str(payload).map_err(JsonError::from)?;
        unsupported(format!(
            "the payload is {}; an event is an object",
            kind_of(&value)
        ))
    }

    /// Returns the name of the trigger in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeepWarm => "keep_warm",
            Self::ParameterChange => "parameter_change",
            Self::HttpV1 => "http_v1",
            Self::HttpV2 => "http_v2",
            Self::FunctionUrl => "function_url",
            Self::Alb => "alb",
            Self::WebSocket => "websocket",
            Self::Queue => "queue",
            Self::Alexa => "alexa",
            Self::RotateToken => "rotate_token",
            Self::Doctor => "doctor",
            Self::Direct => "direct",
        }
    }
}

/// Finds the trigger. Senders write null for an absent member, so null members are ignored.
fn classify(event: &Members<'_>) -> Result<Trigger, EventError> {
    if let Some(trigger) = http(event)? {
        return Ok(trigger);
    }
    let source = event.word("source");
    let detail_type = event.word("detail-type");
    match (source.as_deref(), detail_type.as_deref()) {
        (Some("keep-warm"), None) | (Some("aws.events" | "aws.scheduler"), Some(SCHEDULED)) => {
            return Ok(Trigger::KeepWarm);
        }
        (Some("aws.ssm"), Some("Parameter Store Change")) => return Ok(Trigger::ParameterChange),
        (Some("rotate-token"), None) => return Ok(Trigger::RotateToken),
        (Some("doctor"), None) => return Ok(Trigger::Doctor),
        _ => {}
    }
    // An event with a detail type comes from EventBridge, regardless of its other members.
    if event.holds("detail-type")
        || source
            .as_deref()
            .is_some_and(|name| name.starts_with("aws."))
    {
        let [source, detail_type] = ["source", "detail-type"].map(|name| described(event, name));
        return unsupported(format!("`source` {source}, `detail-type` {detail_type}"));
    }
    if event.holds("directive") {
        let namespace = event.object("directive").object("header").word("namespace");
        return match namespace {
            Some(namespace) if namespace.starts_with("Alexa") => Ok(Trigger::Alexa),
            _ => unsupported("a `directive` whose header's namespace is not Alexa's".into()),
        };
    }
    if is_of_queue(event) {
        return Ok(Trigger::Queue);
    }
    // A null command counts as a command, so that the error names the command.
    if event.has("command") || event.has("commands") {
        return Ok(Trigger::Direct);
    }
    if let Some(source) = source {
        return unsupported(format!("`source` is {}", shown(&source)));
    }
    let names: Vec<String> = event.names().take(8).map(shown).collect();
    let seen = match names.as_slice() {
        [] => "an empty object".to_owned(),
        names => format!("an object with {}", names.join(", ")),
    };
    unsupported(format!("{seen}; {KNOWN_BY}"))
}

/// The members that identify an event.
const KNOWN_BY: &str =
    "an event has `source`, `directive`, `command`, `commands`, `requestContext` or `Records`";

/// Returns true for an event whose records come from an SQS queue.
fn is_of_queue(event: &Members<'_>) -> bool {
    let Some(records) = event.value("Records") else {
        return false;
    };
    let records: Result<Vec<Members<'_>>, _> = serde_json::from_str(records.get());
    records.is_ok_and(|records| {
        let source = |record: &Members<'_>| record.word("eventSource");
        !records.is_empty()
            && records
                .iter()
                .all(|it| source(it).as_deref() == Some("aws:sqs"))
    })
}

/// The detail type of a scheduled event.
const SCHEDULED: &str = "Scheduled Event";

/// Describes the value of a member in the second half of a sentence, for messages.
fn described(event: &Members<'_>, name: &str) -> String {
    match (event.word(name), event.value(name)) {
        (Some(word), _) => format!("is {}", shown(&word)),
        (None, Some(raw)) => format!("is {}", kind_of_text(raw.get())),
        (None, None) => "is missing".to_owned(),
    }
}

/// Returns the trigger of an event from API Gateway, a function URL or a load balancer, or `None` for another event.
///
/// Such an event is recognised by members that only its kind has. An event with a missing member therefore still gets a
/// reply in its sender's format.
fn http(event: &Members<'_>) -> Result<Option<Trigger>, EventError> {
    let context = event.object("requestContext");
    let is_v2 = context.holds("http") || event.holds("rawPath");
    let is_v1 = event.holds("httpMethod") || event.has("resource");
    let is_request = is_v2 || (is_v1 && event.holds("path"));
    if !is_request && !event.holds("requestContext") {
        return Ok(None);
    }
    // The event of an authorizer is similar, but its reply must be a policy.
    if event.has("methodArn") || event.has("routeArn") {
        return unsupported("an event for an authorizer".into()).map(Some);
    }
    if context.holds("connectionId") && context.holds("eventType") {
        return Ok(Some(Trigger::WebSocket));
    }
    if context.has("elb") {
        return Ok(Some(Trigger::Alb));
    }
    // The version distinguishes two payloads of the same sender. Without a readable version, the members distinguish
    // them.
    let version = event.word("version").filter(|version| !version.is_empty());
    let trigger = match version.as_deref() {
        Some("2.0") | None if is_v2 => {
            let domain = context.word("domainName").unwrap_or_default();
            if domain.contains(".lambda-url.") {
                Trigger::FunctionUrl
            } else {
                Trigger::HttpV2
            }
        }
        // The context of a load balancer contains only its target group.
        None if is_v1 && !event.has("resource") && context.names().next().is_none() => Trigger::Alb,
        Some("1.0") | None if is_v1 => Trigger::HttpV1,
        _ => {
            let version = described(event, "version");
            return unsupported(format!(
                "a `requestContext` of an unsupported API, and `version` {version}"
            ))
            .map(Some);
        }
    };
    Ok(Some(trigger))
}

/// Returns the name of the parameter that changed. A rule with an input transformer turns `detail` into a string.
pub fn changed_parameter(payload: &str) -> Result<String, EventError> {
    let event = Members::parse(payload)?;
    let name = match &event.text("detail") {
        Some(text) => Members::parse(text).unwrap_or_default().text("name"),
        None => event.object("detail").text("name"),
    };
    name.ok_or_else(|| EventError::Unsupported {
        seen: "a Parameter Store Change without `detail.name`".into(),
    })
}

fn unsupported(seen: String) -> Result<Trigger, EventError> {
    Err(EventError::Unsupported { seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_payload_error_names_what_was_seen() {
        for (payload, part) in [
            ("", "ends too early"),
            ("nonsense", "syntax error"),
            ("-", "JSON"),
            ("null", "null"),
            ("hello", "syntax error"),
            ("[1]", "an array"),
            ("\"x\"", "a string"),
            ("-4", "a number"),
            ("{", "ends too early"),
            ("{}", "an empty object"),
            (r#"{"Records":[],"x":1}"#, "`Records`, `x`"),
            (r#"{"source":"aws.ec2","detail-type":"X"}"#, "aws.ec2"),
            (
                r#"{"source":"aws.events"}"#,
                "`source` is `aws.events`, `detail-type` is missing",
            ),
            (
                r#"{"source":null,"detail-type":"Scheduled Event"}"#,
                "`source` is missing",
            ),
            (
                r#"{"source":"aws.scheduler","detail-type":5}"#,
                "`detail-type` is a number",
            ),
            (
                r#"{"version":"3.0","rawPath":"/","requestContext":{}}"#,
                "`version` is `3.0`",
            ),
            (r#"{"source":"keepwarm"}"#, "keepwarm"),
            (r#"{"source":5}"#, "`source`"),
            (r#"{"directive":{"header":{}}}"#, "directive"),
            (r#"{"requestContext":5}"#, "requestContext"),
        ] {
            let error = Trigger::of(payload).unwrap_err().to_string();
            assert!(error.contains(part), "{payload}: {error}");
        }
    }

    /// The sample events are latchkey's own and those of dozens of AWS services.
    #[test]
    fn every_sample_event_gets_its_expected_trigger() {
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events");
        let read = |path: &str| std::fs::read_to_string(format!("{samples}/{path}")).unwrap();
        let expected: std::collections::BTreeMap<String, String> =
            serde_json::from_str(&read("expected.json")).unwrap();
        assert!(expected.len() > 90, "the samples are missing");
        for (path, expected) in expected {
            let seen = Trigger::of(&read(&path)).map_or("unsupported", Trigger::name);
            assert_eq!(seen, expected, "{path}");
        }
    }

    #[test]
    fn null_members_do_not_affect_the_trigger() {
        for (payload, trigger) in [
            (
                r#"{"source":"keep-warm","detail-type":null,"requestContext":null,"directive":null}"#,
                Trigger::KeepWarm,
            ),
            (
                r#"{"command":{},"requestContext":null,"directive":null}"#,
                Trigger::Direct,
            ),
            (
                r#"{"requestContext":{"elb":null},"httpMethod":"GET","path":"/"}"#,
                Trigger::Alb,
            ),
            (
                r#"{"version":null,"requestContext":{"http":{},"elb":null,"connectionId":null}}"#,
                Trigger::Alb,
            ),
            (
                r#"{"version":null,"requestContext":null,"rawPath":"/"}"#,
                Trigger::HttpV2,
            ),
            (
                r#"{"version":null,"requestContext":{},"resource":null,"httpMethod":"GET"}"#,
                Trigger::HttpV1,
            ),
        ] {
            assert_eq!(Trigger::of(payload), Ok(trigger), "{payload}");
        }
    }

    #[test]
    fn changed_parameter_is_found_in_both_forms_of_detail() {
        let event = |detail: &str| {
            format!(
                r#"{{"source":"aws.ssm","detail-type":"Parameter Store Change","detail":{detail}}}"#
            )
        };
        let text = serde_json::to_string(r#"{"name":"/a/b","operation":"Update"}"#).unwrap();
        for detail in [r#"{"operation":"Update","name":"/a/b"}"#, &text] {
            assert_eq!(changed_parameter(&event(detail)).unwrap(), "/a/b");
        }
        for detail in [
            "{}",
            "5",
            "null",
            r#""{}""#,
            r#""nonsense""#,
            r#""""#,
            r#"{"name":5}"#,
        ] {
            let error = changed_parameter(&event(detail)).unwrap_err().to_string();
            assert!(error.contains("`detail.name`"), "{detail}: {error}");
        }
    }

    #[test]
    fn deep_and_large_payloads_get_their_trigger() {
        let deep = format!(
            r#"{{"a":{}{},"source":"keep-warm"}}"#,
            "[".repeat(200_000),
            "]".repeat(200_000)
        );
        assert_eq!(Trigger::of(&deep), Ok(Trigger::KeepWarm));
        let huge = format!(
            r#"{{"command":{{"type":"x","a":"{}"}}}}"#,
            "x".repeat(6 << 20)
        );
        assert_eq!(Trigger::of(&huge), Ok(Trigger::Direct));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".*") {
            let _ = Trigger::of(&text);
        }

        #[test]
        fn arbitrary_members_never_panic(
            name in "source|detail-type|requestContext|httpMethod|version|directive|command",
            value in r#"\{"[a-z]*":[0-9]\}|\[[0-9,]*\]|"[a-z.]*"|null|true|-?[0-9]{1,40}"#,
        ) {
            let _ = Trigger::of(&format!("{{\"{name}\":{value}}}"));
        }
    }
}
