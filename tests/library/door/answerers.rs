//! Who answers in the home's place: every fault of the simulated home over REST, met by each kind of request, on a
//! session that is open already and on one that is yet to be opened.

use std::collections::BTreeMap;
use std::time::Duration;

use latchkey_dev::home::{Fault, HomeOptions, Refusal, RestFault, SimulatedHome, SocketFault};
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};
use testkit::callers::{SECRET, SECRET_PARAMETER, request, run, token, variables};
use testkit::{Sandbox, home, home_with, problem};

/// A kind of request to the home's REST API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surface {
    /// A state, to a caller who may read everything.
    WideRead,
    /// A state, to a caller who may read it alone.
    NarrowRead,
    /// A call, by a caller who may see everything.
    WideCall,
    /// A call, by a caller who may call that alone.
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

    /// The end that has this name here.
    fn end(self, name: &str) -> End {
        match (self, name.parse()) {
            // Alexa has no use for the home's own errors.
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

/// What a request ends in that meets the fault beside an open session: the home's own status, or the name of a problem.
fn warm(fault: &RestFault, surface: Surface) -> &'static str {
    let (read, call) = match fault {
        RestFault::Hang | RestFault::HalfOpen => ("home-timeout", "command-outcome-unknown"),
        // The session tells that the home trusts the proxy and is up, so these are about the request.
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
        // JSON by its type, but not what the home answers: shown to those who may see everything, whatever it is.
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

/// What every request ends in that meets the fault before there is a session.
fn cold(fault: &Fault) -> &'static str {
    match fault {
        Fault::Rest(RestFault::Hang | RestFault::HalfOpen) => "home-timeout",
        Fault::Rest(RestFault::Status(status))
        | Fault::Socket(SocketFault::Refuse(Refusal::Status(
            status @ (400 | 403 | 500 | 502 | 503),
        ))) => match *status {
            400 => "home-proxy-not-trusted",
            403 => "home-banned",
            404 => "not-home-assistant",
            503 => "home-starting",
            500 | 502 | 504 => "home-unreachable",
            _ => "home-edge-blocked",
        },
        Fault::Rest(RestFault::Redirect | RestFault::Html | RestFault::Challenge)
        | Fault::Socket(SocketFault::Refuse(
            Refusal::Redirect | Refusal::Html | Refusal::Status(401),
        )) => "home-edge-blocked",
        Fault::Rest(RestFault::Close | RestFault::Reset | RestFault::CutBody) => "home-unreachable",
        Fault::Rest(_) | Fault::Socket(_) => "not-home-assistant",
        Fault::Connection(_) => unreachable!("tested elsewhere"),
    }
}

/// The faults over REST, those with a parameter with values that end soon.
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
        let home = home().await;
        let (url, token) = (home.url(), home.mint_token("latchkey"));
        let mut lookup: BTreeMap<String, String> = variables(&url)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        for (name, value) in [
            ("HA_TOKEN", token.as_str()),
            ("METRICS", "off"),
            ("HA_VALIDATE_TIMEOUT_MS", "1000"),
            ("HA_CONNECT_TIMEOUT_MS", "1000"),
            ("HA_COMMAND_TIMEOUT_MS", "1000"),
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

async fn on_an_open_session(aws: &AwsEmulator, fault: RestFault) -> Vec<String> {
    let stage = Home::start(aws).await;
    let mut wrong = Vec::new();
    for surface in SURFACES {
        stage.open_session().await;
        let before = stage.home.counters().requests(surface.path());
        stage.home.set_fault(fault.clone());
        let end = surface.ask(&stage.app).await;
        let expected = surface.end(warm(&fault, surface));
        let sent = stage.home.counters().requests(surface.path()) - before;
        if !surface.is_read() && sent != 1 {
            wrong.push(format!("warm {fault:?} {surface:?}: sent {sent} times"));
        }
        if end != expected {
            wrong.push(format!(
                "warm {fault:?} {surface:?}: {end:?}, not {expected:?}"
            ));
        }
        // What the session answers does not meet the fault.
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

async fn before_a_session(aws: &AwsEmulator, fault: Fault) -> Vec<String> {
    let mut wrong = Vec::new();
    for surface in SURFACES {
        let stage = Home::start(aws).await;
        stage.home.set_fault(fault.clone());
        let end = surface.ask(&stage.app).await;
        let expected = surface.end(cold(&fault));
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

async fn all(work: impl IntoIterator<Item = impl Future<Output = Vec<String>>>) {
    use futures_util::StreamExt as _;
    // Many at once: most of them do nothing but wait for a limit.
    let mut work = futures_util::stream::iter(work).buffer_unordered(8);
    let mut wrong = Vec::new();
    while let Some(found) = work.next().await {
        wrong.extend(found);
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What an Alexa directive is answered with that meets the fault beside an open session.
async fn alexas_message(fault: RestFault) -> String {
    let aws = emulator().await;
    let stage = Home::start(&aws).await;
    stage.open_session().await;
    stage.home.set_fault(fault);
    let answer = stage.app.handle(&Surface::Alexa.event()).await;
    let message = answer["event"]["payload"]["message"].as_str();
    message.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn a_directive_cut_off_by_the_home_names_the_step_command() {
    let message = alexas_message(RestFault::Close).await;
    assert!(message.contains("the step `command`"), "{message}");
}

#[tokio::test]
async fn a_home_without_alexa_is_told_that_its_integration_is_missing() {
    let message = alexas_message(RestFault::Status(404)).await;
    assert!(message.contains("`alexa` integration"), "{message}");
    assert!(message.contains("404"), "{message}");
}

/// The address of a page inside Home Assistant's own frontend.
#[tokio::test]
async fn an_address_with_a_path_is_named_as_the_likely_cause() {
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
async fn requests_beside_an_open_session_tell_who_answered() {
    let aws = emulator().await;
    let faults = rest_faults();
    assert!(faults.len() > 20);
    all(faults
        .into_iter()
        .map(|fault| on_an_open_session(&aws, fault)))
    .await;
}

#[tokio::test]
async fn requests_before_a_session_tell_who_answered() {
    let aws = emulator().await;
    let rest = rest_faults().into_iter();
    // Taken for the true configuration.
    let rest = rest.filter(|fault| !matches!(fault, RestFault::SlowBody(_)));
    let mut faults: Vec<Fault> = rest.map(Fault::from).collect();
    let refusals = Refusal::all().into_iter().map(SocketFault::Refuse);
    faults.extend(refusals.map(Fault::from));
    assert!(faults.len() > 30);
    all(faults
        .into_iter()
        .map(|fault| before_a_session(&aws, fault)))
    .await;
}

/// A session may refuse what REST gives, and bounds a message where REST sends what it has as it comes.
#[tokio::test]
async fn what_the_session_does_not_answer_is_read_over_rest() {
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
