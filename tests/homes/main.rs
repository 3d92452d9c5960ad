//! Several homes behind one latchkey: each is reached with its own token and settings, and what befalls one befalls no
//! other.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
)]

#[path = "../lambda/app.rs"]
mod in_process;
#[path = "../lambda/mod.rs"]
mod lambda;

mod authority;
mod cache;
mod changes;
mod function;
mod moved;
mod naming;
mod settings;
mod tenants;
mod warmth;

use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::Context;
use latchkey::base::clock::{Clock as _, ManualClock, SystemClock};
use latchkey::doors::function::Function;
use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};

/// Below which homes are stored.
const PREFIX: &str = "/latchkey/homes";
/// The call that reads a home.
const GET_PARAMETERS: &str = "ssm:GetParameters";
/// The call that finds out which homes there are.
const LIST: &str = "ssm:GetParametersByPath";
/// The light that commands are about.
const LIGHT: &str = "light.kitchen";
/// Where metrics go.
const NAMESPACE: &str = "LEE/HomeAssistant";

/// A home that is stored by name.
struct House {
    name: &'static str,
    home: SimulatedHome,
    token: String,
}

impl House {
    async fn build(name: &'static str) -> Self {
        Self::with(name, HomeOptions::default()).await
    }

    async fn with(name: &'static str, options: HomeOptions) -> Self {
        let home = SimulatedHome::start(options).await.unwrap();
        let token = home.mint_token(name);
        Self { name, home, token }
    }

    /// Stores its address and its token.
    async fn store(&self, aws: &AwsEmulator) {
        self.store_as(aws, self.name).await;
    }

    /// As [`House::store`], under another name.
    async fn store_as(&self, aws: &AwsEmulator, name: &str) {
        let url = self.home.url();
        aws.put_parameter(&parameter(name, "url"), &url)
            .await
            .unwrap();
        aws.put_token(&parameter(name, "token"), &self.token)
            .await
            .unwrap();
    }

    /// How often the light was switched over.
    fn toggles(&self) -> usize {
        self.home.counters().calls_of("light", "toggle", LIGHT)
    }

    /// Asserts that no token but its own was ever presented to it.
    fn assert_saw_only_its_own_token(&self) {
        let presented = self.home.counters().tokens_presented;
        let others: Vec<_> = presented.keys().filter(|it| **it != self.token).collect();
        assert!(others.is_empty(), "{} saw {others:?}", self.name);
    }
}

/// Some homes, built and stored.
async fn village<const N: usize>(aws: &AwsEmulator, names: [&'static str; N]) -> [House; N] {
    let mut houses = Vec::new();
    for name in names {
        let house = House::build(name).await;
        house.store(aws).await;
        houses.push(house);
    }
    match houses.try_into() {
        Ok(houses) => houses,
        Err(_) => panic!("one house for each name"),
    }
}

/// A parameter of a home's.
fn parameter(home: &str, leaf: &str) -> String {
    format!("{PREFIX}/{home}/{leaf}")
}

/// An application that serves the stored homes, and nobody who names none.
async fn app(aws: &AwsEmulator) -> Arc<Function> {
    in_process::app(aws, &[("HOMES_PARAMETER_PREFIX", PREFIX)]).await
}

/// As [`app`], with a clock that stands still until it is told to move.
async fn app_out_of_time(aws: &AwsEmulator) -> (Arc<Function>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock::new().now().unix));
    let variables = [("HOMES_PARAMETER_PREFIX", PREFIX)];
    let app = in_process::app_with_clock(aws, &variables, clock.clone(), 1).await;
    (app, clock)
}

/// Hands an event to the application as Lambda does for a tenant.
async fn handle_for(app: &Arc<Function>, tenant: &str, event: &Value) -> Value {
    let mut context = Context::default();
    context.request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned();
    context.tenant_id = Some(tenant.to_owned());
    let end = SystemClock::new().now().after(Duration::from_secs(20));
    context.deadline = u64::try_from(end.unix.as_millis()).unwrap();
    serde_json::to_value(app.handle(&event.to_string(), context).await).unwrap()
}

/// Hands an event to the application.
async fn handle(app: &Arc<Function>, event: &Value) -> Value {
    in_process::handle(app, &event.to_string()).await
}

/// The command that switches the light over, in one home of several.
fn toggle_in(home: &str) -> Value {
    let mut event = toggle();
    event["home"] = json!(home);
    event
}

/// The same for those who name none.
fn toggle() -> Value {
    json!({ "command": lambda::light("toggle", LIGHT) })
}

fn keep_warm() -> Value {
    json!({ "source": "keep-warm" })
}

/// What Parameter Store tells of a changed parameter.
fn changed(name: &str) -> Value {
    let mut event = lambda::sample("tests/fixtures/events/ssm-parameter-change.json");
    event["detail"]["name"] = json!(name);
    event
}

/// Asserts that commands were run.
fn assert_done(answer: &Value) {
    assert_eq!(answer["results"][0]["success"], true, "{answer}");
}

/// Asserts which problem an answer reports, with what status and what in its text.
fn assert_problem(answer: &Value, name: &str, status: u16, part: &str) {
    assert_eq!(lambda::problem(answer), name, "{answer}");
    assert_eq!(answer["statusCode"], status, "{answer}");
    let said = format!("{} {}", answer["detail"], answer["action"]);
    assert!(said.contains(part), "{part:?} is not in {answer}");
}

/// What a keep-warm event found of one home.
fn entry<'a>(answer: &'a Value, home: Option<&str>) -> &'a Value {
    let homes = answer["homes"].as_array();
    let homes = homes.unwrap_or_else(|| panic!("no homes: {answer}"));
    let mut found = homes.iter().filter(|it| it["home"].as_str() == home);
    match (found.next(), found.next()) {
        (Some(entry), None) => entry,
        _ => panic!("{home:?} is not once in {answer}"),
    }
}

/// Asserts that a keep-warm event found a home all well.
fn assert_warm(answer: &Value, home: Option<&str>) {
    let entry = entry(answer, home);
    assert_eq!(entry["token"]["valid"], true, "{answer}");
    assert_eq!(entry["session"], "ready", "{answer}");
    assert_eq!(entry.get("problem"), None, "{answer}");
}
