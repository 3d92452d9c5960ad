//! A request that is repeated under its idempotency key is run once: over a table that sandboxes share, over the
//! memory of one, and over HTTP.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
)]

#[path = "../lambda/app.rs"]
mod in_process;
#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "../lambda/mod.rs"]
mod lambda;

mod commands;
mod http;
mod store;
mod table;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use latchkey::base::clock::{Clock, SystemClock};
use latchkey::base::table::Table;
use latchkey::doors::function::Function;
use latchkey::service::idempotency::{OutcomeStore, SharedStore};
use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};

const TABLE: &str = "latchkey";
/// The call that begins and finishes a record.
const PUT_ITEM: &str = "dynamodb:PutItem";
/// The call that takes one back.
const DELETE_ITEM: &str = "dynamodb:DeleteItem";

/// A simulated home, and an emulated AWS with the table in it.
struct Stage {
    home: SimulatedHome,
    aws: AwsEmulator,
    token: String,
    dynamodb: Client,
}

impl Stage {
    async fn set() -> Self {
        let home = SimulatedHome::start(HomeOptions::default()).await.unwrap();
        let aws = AwsEmulator::start().await.unwrap();
        let token = home.mint_token("latchkey");
        aws.put_token(lambda::PARAMETER, &token).await.unwrap();
        let dynamodb = Client::new(aws.sdk_config());
        aws.create_table(TABLE).await.unwrap();
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
    async fn sandbox(&self) -> Arc<Function> {
        self.sandbox_with(TABLE, Arc::new(SystemClock::new())).await
    }

    /// A sandbox that keeps its records in the table called `name`, by a clock of its own.
    async fn sandbox_with(&self, name: &str, clock: Arc<dyn Clock>) -> Arc<Function> {
        let url = self.home.url();
        let variables = [
            ("HA_URL", url.as_str()),
            ("HA_TOKEN", self.token.as_str()),
            ("TABLE_NAME", name),
            ("CALLER_AUTH", "none"),
            ("METRICS", "off"),
        ];
        in_process::app_with_clock(&self.aws, &variables, clock, fastrand::u64(..)).await
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
    lambda::light("toggle", "light.kitchen")
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
