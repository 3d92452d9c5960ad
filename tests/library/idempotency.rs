//! Tests of idempotency keys. A request that is repeated under its key runs once, over a table that execution
//! environments share and over the memory of one environment.

mod commands;
mod store;
mod table;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use latchkey::base::clock::{Clock, SystemClock};
use latchkey::base::table::Table;
use latchkey::service::idempotency::{OutcomeStore, SharedStore};
use latchkey_dev::home::SimulatedHome;
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};
use testkit::Sandbox;

const TABLE: &str = "latchkey";
/// The call that begins and finishes a record.
const PUT_ITEM: &str = "dynamodb:PutItem";
/// The call that deletes a record.
const DELETE_ITEM: &str = "dynamodb:DeleteItem";

/// A simulated home, and an emulated AWS that holds the table.
struct TableStage {
    home: SimulatedHome,
    aws: AwsEmulator,
    token: String,
    dynamodb: Client,
}

impl TableStage {
    async fn start() -> Self {
        let testkit::Stage { home, aws, token } =
            testkit::Stage::builder().table(TABLE).start().await;
        let dynamodb = Client::new(aws.sdk_config());
        Self {
            home,
            aws,
            token,
            dynamodb,
        }
    }

    fn table(&self) -> Box<dyn OutcomeStore> {
        let table = Table::new(self.dynamodb.clone(), TABLE.into());
        Box::new(SharedStore::new(table))
    }

    /// Starts another execution environment, which shares the table with the others.
    async fn sandbox(&self) -> Sandbox {
        self.sandbox_with(TABLE, Arc::new(SystemClock::new())).await
    }

    /// Starts an execution environment that keeps its records in the table `name` and uses this clock.
    async fn sandbox_with(&self, name: &str, clock: Arc<dyn Clock>) -> Sandbox {
        let sandbox = Sandbox::builder()
            .aws(&self.aws)
            .local()
            .env("HA_URL", self.home.url())
            .env("HA_TOKEN", &self.token)
            .env("TABLE_NAME", name);
        sandbox.clock(clock).any_seed().start().await
    }

    /// Returns the number of service calls that the home has executed.
    fn executed(&self) -> usize {
        self.home.counters().service_calls.len()
    }
}

/// Returns the payload of a request with these commands and an idempotency key.
fn request(key: &str, commands: &[Value]) -> String {
    json!({ "commands": commands, "idempotency_key": key }).to_string()
}

fn toggle() -> Value {
    testkit::light("toggle", "light.kitchen")
}

/// Returns the outcome of the first command.
fn outcome(answer: &Value) -> &str {
    assert_eq!(answer["statusCode"], 200, "{answer}");
    answer["results"][0]["outcome"].as_str().unwrap()
}

/// Returns true if the response reports a record that was begun and never finished.
fn is_begun_before(answer: &Value) -> bool {
    let message = answer["results"][0]["error"]["message"].as_str();
    outcome(answer) == "unknown" && message.is_some_and(|text| text.contains("begun before"))
}
