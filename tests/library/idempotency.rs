//! A request that is repeated under its idempotency key is run once: over a table that sandboxes share, over the
//! memory of one, and over HTTP.

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
/// The call that takes one back.
const DELETE_ITEM: &str = "dynamodb:DeleteItem";

/// A simulated home, and an emulated AWS with the table in it.
struct TableStage {
    home: SimulatedHome,
    aws: AwsEmulator,
    token: String,
    dynamodb: Client,
}

impl TableStage {
    async fn set() -> Self {
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

    /// What one more sandbox is, sharing the table with all others.
    async fn sandbox(&self) -> Sandbox {
        self.sandbox_with(TABLE, Arc::new(SystemClock::new())).await
    }

    /// A sandbox that keeps its records in the table called `name`, by a clock of its own.
    async fn sandbox_with(&self, name: &str, clock: Arc<dyn Clock>) -> Sandbox {
        let sandbox = Sandbox::builder()
            .aws(&self.aws)
            .local()
            .env("HA_URL", self.home.url())
            .env("HA_TOKEN", &self.token)
            .env("TABLE_NAME", name);
        sandbox.clock(clock).any_seed().start().await
    }

    /// How many service calls the home has executed.
    fn executed(&self) -> usize {
        self.home.counters().service_calls.len()
    }
}

/// The payload of a request for these commands under a key.
fn request(key: &str, commands: &[Value]) -> String {
    json!({ "commands": commands, "idempotency_key": key }).to_string()
}

fn toggle() -> Value {
    testkit::light("toggle", "light.kitchen")
}

/// What became of the first command.
fn outcome(answer: &Value) -> &str {
    assert_eq!(answer["statusCode"], 200, "{answer}");
    answer["results"][0]["outcome"].as_str().unwrap()
}

/// Whether an answer is the one to a record that was begun and never finished.
fn is_begun_before(answer: &Value) -> bool {
    let message = answer["results"][0]["error"]["message"].as_str();
    outcome(answer) == "unknown" && message.is_some_and(|text| text.contains("begun before"))
}
