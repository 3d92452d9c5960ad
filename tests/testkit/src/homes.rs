//! Homes that are stored by name, events for them, and checks of the answers.

use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};

use crate::answer::problem;
use crate::event::{light, sample};
use crate::home::home_with;

/// The prefix of the parameters that store homes.
pub const PREFIX: &str = "/latchkey/homes";
/// The call that reads one home.
pub const GET_PARAMETERS: &str = "ssm:GetParameters";
/// The call that lists the stored homes.
pub const LIST: &str = "ssm:GetParametersByPath";
/// The light that commands switch.
pub const LIGHT: &str = "light.kitchen";
/// The namespace of the metrics.
pub const NAMESPACE: &str = "LEE/HomeAssistant";

/// A home that is stored by name.
pub struct House {
    /// The name that it is stored by.
    pub name: &'static str,
    /// The home.
    pub home: SimulatedHome,
    /// A token that this home accepts.
    pub token: String,
}

impl House {
    /// Starts a home.
    pub async fn build(name: &'static str) -> Self {
        Self::with(name, HomeOptions::default()).await
    }

    /// Starts a home with these options.
    pub async fn with(name: &'static str, options: HomeOptions) -> Self {
        let home = home_with(options).await;
        let token = home.mint_token(name);
        Self { name, home, token }
    }

    /// Stores the address and the token of the home.
    pub async fn store(&self, aws: &AwsEmulator) {
        self.store_as(aws, self.name).await;
    }

    /// Stores the address and the token of the home by another name.
    pub async fn store_as(&self, aws: &AwsEmulator, name: &str) {
        let url = self.home.url();
        aws.put_parameter(&parameter(name, "url"), &url)
            .await
            .unwrap();
        aws.put_token(&parameter(name, "token"), &self.token)
            .await
            .unwrap();
    }

    /// Returns the number of toggles of the light.
    pub fn toggles(&self) -> usize {
        self.home.counters().calls_of("light", "toggle", LIGHT)
    }

    /// Asserts that the home saw only its own token.
    pub fn assert_saw_only_its_own_token(&self) {
        let presented = self.home.counters().tokens_presented;
        let others: Vec<_> = presented.keys().filter(|it| **it != self.token).collect();
        assert!(others.is_empty(), "{} saw {others:?}", self.name);
    }
}

/// Starts an AWS emulator and homes, and stores the homes by these names.
pub async fn village<const N: usize>(names: [&'static str; N]) -> (AwsEmulator, [House; N]) {
    let aws = AwsEmulator::start().await.unwrap();
    let houses = settle(&aws, names).await;
    (aws, houses)
}

/// Starts homes, and stores them by these names.
pub async fn settle<const N: usize>(aws: &AwsEmulator, names: [&'static str; N]) -> [House; N] {
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

/// Returns the name of a parameter of a home.
pub fn parameter(home: &str, leaf: &str) -> String {
    format!("{PREFIX}/{home}/{leaf}")
}

/// Returns an event that toggles the light of a named home.
pub fn toggle_in(home: &str) -> Value {
    let mut event = toggle();
    event["home"] = json!(home);
    event
}

/// Returns an event that toggles the light and names no home.
pub fn toggle() -> Value {
    json!({ "command": light("toggle", LIGHT) })
}

/// Returns a keep-warm event.
pub fn keep_warm() -> Value {
    json!({ "source": "keep-warm" })
}

/// Returns the event that Parameter Store sends for a changed parameter.
pub fn changed(name: &str) -> Value {
    let mut event = sample("tests/fixtures/events/ssm-parameter-change.json");
    event["detail"]["name"] = json!(name);
    event
}

/// Asserts that the first command succeeded.
pub fn assert_done(answer: &Value) {
    assert_eq!(answer["results"][0]["success"], true, "{answer}");
}

/// Asserts that an answer reports this problem with this status, and that its text contains `part`.
pub fn assert_problem(answer: &Value, name: &str, status: u16, part: &str) {
    assert_eq!(problem(answer), name, "{answer}");
    assert_eq!(answer["statusCode"], status, "{answer}");
    let said = format!("{} {}", answer["detail"], answer["action"]);
    assert!(said.contains(part), "{part:?} is not in {answer}");
}

/// Returns the entry of one home in the answer to a keep-warm event.
pub fn entry<'a>(answer: &'a Value, home: Option<&str>) -> &'a Value {
    let homes = answer["homes"].as_array();
    let homes = homes.unwrap_or_else(|| panic!("no homes: {answer}"));
    let mut found = homes.iter().filter(|it| it["home"].as_str() == home);
    match (found.next(), found.next()) {
        (Some(entry), None) => entry,
        _ => panic!("{home:?} is not once in {answer}"),
    }
}

/// Asserts that a keep-warm event found the home ready and its token valid.
pub fn assert_warm(answer: &Value, home: Option<&str>) {
    let entry = entry(answer, home);
    assert_eq!(entry["token"]["valid"], true, "{answer}");
    assert_eq!(entry["session"], "ready", "{answer}");
    assert_eq!(entry.get("problem"), None, "{answer}");
}
