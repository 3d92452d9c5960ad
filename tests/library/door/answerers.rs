//! Every REST fault of the simulated home, met by each kind of request, with an open session and without a session.
//! The problem shows whether the home or another server answered.

use std::collections::BTreeMap;
use std::time::Duration;

use latchkey_dev::home::{HomeOptions, Refusal, RestFault, SimulatedHome, SocketFault};
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};
use testkit::callers::{SECRET, SECRET_PARAMETER, request, run, token, variables};
use testkit::{Sandbox, home_with, problem};

/// A kind of request to the home's REST API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surface {
    /// A read of a state, by a caller who may read everything.
    WideRead,
    /// A read of a state, by a caller who may read only this state.
    NarrowRead,
    /// A call, by a caller who may read everything.
    WideCall,
    /// A call, by a caller who has permission only for this call.
    NarrowCall,
    /// An Alexa directive.
    Alexa,
}

const SURFACES: [Surface; 5] = [
    Surface::WideRead,
    Surface::NarrowRead,
    Surface::WideCall,
    Surface::NarrowCall,
    Surface::Alexa,
];

impl Surface {
    fn is_read(self) -> bool {
        matches!(self, Self::WideRead | Self::NarrowRead)
    }

    fn is_narrow(self) -> bool {
        matches!(self, Self::NarrowRead | Self::NarrowCall)
    }

    fn path(self) -> &'static str {
        match self {
            Self::WideRead | Self::NarrowRead => "/api/states/light.kitchen",
            Self::WideCall | Self::NarrowCall => "/api/services/light/toggle",
            Self::Alexa => "/api/alexa/smart_home",
        }
    }

    fn event(self) -> Value {
        let path = self.path();
        let body = json!({ "entity_id": "light.kitchen" });
        match self {
            Self::WideRead => request("GET", path, Some(&jwt(&["read"])), None),
            Self::NarrowRead => request("GET", path, Some(&jwt(&["read:light.kitchen"])), None),
            Self::WideCall => request("POST", path, Some(&jwt(&["admin"])), Some(&body)),
            Self::NarrowCall => {
                let jwt = jwt(&["call:light.*:light.kitchen"]);
                request("POST", path, Some(&jwt), Some(&body))
            }
            Self::Alexa => json!({"directive": {
                "header": {"namespace": "Alexa.PowerController", "name": "TurnOn",
                    "messageId": "m", "payloadVersion": "3"},
                "endpoint": {"endpointId": "light#kitchen",
                    "scope": {"type": "BearerToken", "token": jwt(&["call:alexa.smart_home"])}},
                "payload": {},
            }}),
        }
    }

    async fn ask(self, app: &Sandbox) -> End {
        let answer = app.handle(&self.event()).await;
        match self {
            Self::Alexa => match answer["event"]["header"]["name"].as_str() {
                Some("ErrorResponse") => End::Alexa(
                    answer["event"]["payload"]["type"]
                        .as_str()
                        .unwrap()
                        .to_owned(),
                ),
                _ => End::Status(200),
            },
            _ => {
                let body = answer["body"].as_str().unwrap_or_default();
                let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
                match body["type"].as_str() {
                    Some(urn) => End::Problem(urn.rsplit(':').next().unwrap().to_owned()),
                    None => End::Status(answer["statusCode"].as_u64().unwrap()),
                }
            }
        }
    }

    /// Returns the end that a status or a problem name means for this kind of request.
    fn end(self, name: &str) -> End {
        match (self, name.parse()) {
            // Alexa does not understand the home's own errors.
            (Self::Alexa, Ok(status)) if status != 200 => End::Alexa("INTERNAL_ERROR".to_owned()),
            (_, Ok(status)) => End::Status(status),
            (Self::Alexa, Err(_)) => End::Alexa(
                match name {
                    "command-outcome-unknown" => "INTERNAL_ERROR",
                    _ => "BRIDGE_UNREACHABLE",
                }
                .to_owned(),
            ),
            (_, Err(_)) => End::Problem(name.to_owned()),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Status(u64),
    Problem(String),
    Alexa(String),
}

fn jwt(permissions: &[&str]) -> String {
    token(permissions, &json!({}))
}

/// Returns the end of a request that meets the fault with an open session: the home's status, or the name of a
/// problem.
fn expected_with_session(fault: &RestFault, surface: Surface) -> &'static str {
    let (read, call) = match fault {
        RestFault::Hang | RestFault::HalfOpen => ("home-timeout", "command-outcome-unknown"),
        // The open session shows that the home is up and trusts the proxy, so these statuses concern the request.
        RestFault::Status(400) => ("400", "400"),
        RestFault::Status(404) => ("404", "404"),
        RestFault::Status(500) => ("500", "500"),
        RestFault::Status(403) => ("home-banned", "home-banned"),
        RestFault::Status(502..=504) => ("home-unreachable", "command-outcome-unknown"),
        RestFault::Status(520) => ("home-edge-blocked", "command-outcome-unknown"),
        RestFault::Status(429 | 530)
        | RestFault::Redirect
        | RestFault::Html
        | RestFault::Challenge => ("home-edge-blocked", "home-edge-blocked"),
        RestFault::Status(other) => panic!("no row for status {other}"),
        RestFault::Close | RestFault::Reset | RestFault::CutBody => {
            ("home-unreachable", "command-outcome-unknown")
        }
        RestFault::Text | RestFault::EndlessHeaders => {
            ("not-home-assistant", "command-outcome-unknown")
        }
        // The content type is JSON, but the body is not a response of the home. Only a caller with full read
        // permission gets such a body.
        RestFault::NotJson
        | RestFault::EmptyJson
        | RestFault::NoVersion
        | RestFault::JsonArray
        | RestFault::SlowBody(_)
            if surface.is_narrow() =>
        {
            ("not-home-assistant", "command-outcome-unknown")
        }
        RestFault::NotJson if surface == Surface::Alexa => ("", "command-outcome-unknown"),
        RestFault::HugeBody(_) if surface.is_narrow() || surface == Surface::Alexa => {
            ("message-too-large", "command-outcome-unknown")
        }
        RestFault::NotJson
        | RestFault::EmptyJson
        | RestFault::NoVersion
        | RestFault::JsonArray
        | RestFault::SlowBody(_)
        | RestFault::HugeBody(_) => ("200", "200"),
    };
    if surface.is_read() { read } else { call }
}

/// Returns the end of a request that meets the fault without a session: the name of a problem.
fn expected_without_session(fault: &RestFault) -> &'static str {
    match fault {
        RestFault::Hang | RestFault::HalfOpen => "home-timeout",
        RestFault::Status(status) => match *status {
            400 => "home-proxy-not-trusted",
            403 => "home-banned",
            404 => "not-home-assistant",
            503 => "home-starting",
            500 | 502 | 504 => "home-unreachable",
            _ => "home-edge-blocked",
        },
        RestFault::Redirect | RestFault::Html | RestFault::Challenge => "home-edge-blocked",
        RestFault::Close | RestFault::Reset | RestFault::CutBody => "home-unreachable",
        RestFault::Text
        | RestFault::NotJson
        | RestFault::EmptyJson
        | RestFault::NoVersion
        | RestFault::JsonArray
        | RestFault::SlowBody(_)
        | RestFault::HugeBody(_)
        | RestFault::EndlessHeaders => "not-home-assistant",
    }
}

/// Returns the REST faults. Slow and large faults get small parameters.
fn rest_faults() -> Vec<RestFault> {
    let faults = RestFault::all().into_iter().map(|fault| match fault {
        RestFault::SlowBody(_) => RestFault::SlowBody(Duration::from_micros(100)),
        RestFault::HugeBody(_) => RestFault::HugeBody(2 << 20),
        other => other,
    });
    faults.collect()
}

struct Home {
    home: SimulatedHome,
    app: Sandbox,
}

impl Home {
    async fn start(aws: &AwsEmulator) -> Self {
        let home = home_with(HomeOptions {
            has_alexa: true,
            ..HomeOptions::default()
        })
        .await;
        let (url, token) = (home.url(), home.mint_token("latchkey"));
        let mut lookup: BTreeMap<String, String> = variables(&url)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        for (name, value) in [
            ("HA_TOKEN", token.as_str()),
            ("METRICS", "off"),
            ("HA_VALIDATE_TIMEOUT_MS", "1500"),
            ("HA_CONNECT_TIMEOUT_MS", "1500"),
            ("HA_COMMAND_TIMEOUT_MS", "1500"),
            ("HA_MAX_MESSAGE_BYTES", "1048576"),
        ] {
            lookup.insert(name.to_owned(), value.to_owned());
        }
        let app = Sandbox::builder().aws(aws).envs(lookup).start().await;
        Self { home, app }
    }

    async fn open_session(&self) {
        self.home.clear_faults();
        let ping = run(Some(&jwt(&["admin"])), &json!({"type": "ping"}));
        let answer = self.app.handle(&ping).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
    }

    fn executed(&self) -> usize {
        let counters = self.home.counters();
        counters.calls_of("light", "toggle", "light.kitchen")
    }
}

async fn check_with_session(aws: &AwsEmulator, fault: RestFault) -> Vec<String> {
    let stage = Home::start(aws).await;
    let mut wrong = Vec::new();
    for surface in SURFACES {
        stage.open_session().await;
        let before = stage.home.counters().requests(surface.path());
        stage.home.set_fault(fault.clone());
        let end = surface.ask(&stage.app).await;
        let expected = surface.end(expected_with_session(&fault, surface));
        let sent = stage.home.counters().requests(surface.path()) - before;
        if !surface.is_read() && sent != 1 {
            wrong.push(format!("warm {fault:?} {surface:?}: sent {sent} times"));
        }
        if end != expected {
            wrong.push(format!(
                "warm {fault:?} {surface:?}: {end:?}, not {expected:?}"
            ));
        }
        // The session answers this request, so the request does not meet the fault.
        let states = request("GET", "/api/states", Some(&jwt(&["read:light.*"])), None);
        let answer = stage.app.handle(&states).await;
        let body = answer["body"].as_str().unwrap();
        if answer["statusCode"] != 200 || !body.contains("light.kitchen") {
            wrong.push(format!("warm {fault:?}: states {answer}"));
        }
    }
    if stage.executed() > 0 {
        wrong.push(format!("warm {fault:?}: executed"));
    }
    if stage.home.counters().failed_logins > 0 {
        wrong.push(format!("warm {fault:?}: a failed login"));
    }
    wrong
}

async fn check_without_session(aws: &AwsEmulator, fault: RestFault) -> Vec<String> {
    let mut wrong = Vec::new();
    for surface in SURFACES {
        let stage = Home::start(aws).await;
        stage.home.set_fault(fault.clone());
        let end = surface.ask(&stage.app).await;
        let expected = surface.end(expected_without_session(&fault));
        if end != expected {
            wrong.push(format!(
                "cold {fault:?} {surface:?}: {end:?}, not {expected:?}"
            ));
        }
        if stage.executed() > 0 || stage.home.counters().failed_logins > 0 {
            wrong.push(format!(
                "cold {fault:?} {surface:?}: executed, or a failed login"
            ));
        }
    }
    wrong
}

async fn assert_no_complaints(work: impl IntoIterator<Item = impl Future<Output = Vec<String>>>) {
    use futures_util::StreamExt as _;
    // Several cases run concurrently, because most of them only wait for a timeout.
    let mut work = futures_util::stream::iter(work).buffer_unordered(8);
    let mut wrong = Vec::new();
    while let Some(found) = work.next().await {
        wrong.extend(found);
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the message of the response to an Alexa directive that meets the fault with an open session.
async fn alexa_message(fault: RestFault) -> String {
    let aws = emulator().await;
    let stage = Home::start(&aws).await;
    stage.open_session().await;
    stage.home.set_fault(fault);
    let answer = stage.app.handle(&Surface::Alexa.event()).await;
    let message = answer["event"]["payload"]["message"].as_str();
    message.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn directive_cut_off_by_the_home_names_the_step_command() {
    let message = alexa_message(RestFault::Close).await;
    assert!(message.contains("the step `command`"), "{message}");
}

#[tokio::test]
async fn missing_alexa_integration_is_named_in_the_response() {
    let message = alexa_message(RestFault::Status(404)).await;
    assert!(message.contains("`alexa` integration"), "{message}");
    assert!(message.contains("404"), "{message}");
}

/// `HA_URL` is the address of a page in Home Assistant's frontend.
#[tokio::test]
async fn html_response_to_a_url_with_a_path_names_the_path_as_the_cause() {
    let home = home_with(HomeOptions {
        prefix: "/lovelace/0".to_owned(),
        ..HomeOptions::default()
    })
    .await;
    home.set_fault(RestFault::Html);
    let url = format!("{}/lovelace/0", home.url());
    let token = home.mint_token("latchkey");
    let lookup = [
        ("HA_URL", url.as_str()),
        ("HA_TOKEN", token.as_str()),
        ("CALLER_AUTH", "none"),
        ("METRICS", "off"),
    ];
    let aws = emulator().await;
    let app = Sandbox::builder().aws(&aws).envs(lookup).start().await;
    let answer = app.handle(r#"{"command":{"type":"ping"}}"#).await;
    assert_eq!(problem(&answer), "home-edge-blocked");
    let action = answer["action"].as_str().unwrap();
    assert!(action.starts_with("the path in HA_URL"), "{action}");
}

async fn emulator() -> AwsEmulator {
    let aws = AwsEmulator::start().await.unwrap();
    aws.put_token(SECRET_PARAMETER, SECRET).await.unwrap();
    aws
}

#[tokio::test]
async fn request_with_an_open_session_gets_the_problem_of_each_fault() {
    let aws = emulator().await;
    let faults = rest_faults();
    assert!(faults.len() > 20);
    assert_no_complaints(
        faults
            .into_iter()
            .map(|fault| check_with_session(&aws, fault)),
    )
    .await;
}

#[tokio::test]
async fn request_without_a_session_gets_the_problem_of_each_fault() {
    let aws = emulator().await;
    let rest = rest_faults().into_iter();
    // The home accepts a slow body as its configuration.
    let rest = rest.filter(|fault| !matches!(fault, RestFault::SlowBody(_)));
    let faults: Vec<RestFault> = rest.collect();
    assert!(faults.len() > 20);
    assert_no_complaints(
        faults
            .into_iter()
            .map(|fault| check_without_session(&aws, fault)),
    )
    .await;
}

/// A request to the REST API needs no session: the token check comes first, on the same connection.
#[tokio::test]
async fn refused_websocket_does_not_affect_rest_requests() {
    let aws = emulator().await;
    for refusal in Refusal::all() {
        let stage = Home::start(&aws).await;
        stage.home.set_fault(SocketFault::Refuse(refusal));
        for surface in SURFACES {
            let end = surface.ask(&stage.app).await;
            assert_eq!(end, End::Status(200), "{refusal:?} {surface:?}");
        }
        assert_eq!(stage.home.counters().failed_logins, 0, "{refusal:?}");
    }
}

/// A session may reject a request that REST allows. A session also limits the size of a message, and REST streams a
/// response.
#[tokio::test]
async fn read_that_fails_over_the_session_is_sent_over_rest() {
    let aws = emulator().await;
    for fault in [
        SocketFault::HugeReply(2 << 20),
        SocketFault::ErrorReply("unauthorized"),
    ] {
        let stage = Home::start(&aws).await;
        stage.open_session().await;
        stage.home.set_fault(fault.clone());
        let before = stage.home.counters().requests("/api/states");
        let states = request("GET", "/api/states", Some(&jwt(&["admin"])), None);
        let answer = stage.app.handle(&states).await;
        assert_eq!(answer["statusCode"], 200, "{fault:?}: {answer}");
        let body = answer["body"].as_str().unwrap();
        assert!(body.contains("light.kitchen"), "{fault:?}: {body}");
        assert_eq!(
            stage.home.counters().requests("/api/states") - before,
            1,
            "{fault:?}"
        );
        assert_eq!(stage.home.counters().failed_logins, 0, "{fault:?}");
    }
}
