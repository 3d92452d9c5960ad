//! A request that is repeated under its idempotency key is run once: over a table that sandboxes share, over the memory of
//! one, and over HTTP.

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
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use latchkey::app::App;
use latchkey::bridge::{Bridge, Retry};
use latchkey::clock::{Clock, SystemClock};
use latchkey::config::{CallerAuth, Config};
use latchkey::home_assistant::{Extras, Session};
use latchkey::idempotency::{DynamoDbStore, Idempotency, OutcomeStore};
use latchkey::metrics::Metrics;
use latchkey::source::VariableSource;
use latchkey::token::TokenService;
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
        create_table(&dynamodb).await;
        Self {
            home,
            aws,
            token,
            dynamodb,
        }
    }

    fn table(&self) -> Box<dyn OutcomeStore> {
        Box::new(DynamoDbStore::new(self.dynamodb.clone(), TABLE.into()))
    }

    /// What one more sandbox is, sharing the table with all others.
    fn sandbox(&self) -> Arc<App> {
        self.sandbox_with(self.table(), Arc::new(SystemClock::new()))
    }

    /// A sandbox that keeps its records in `store`, by a clock of its own.
    fn sandbox_with(&self, store: Box<dyn OutcomeStore>, records_by: Arc<dyn Clock>) -> Arc<App> {
        let config = Config::read(&[("HA_URL", self.home.url().as_str())]).unwrap();
        let idempotency = Idempotency::new(
            store,
            config.home.address.to_string(),
            records_by,
            fastrand::u64(..),
        );
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let metrics = Arc::new(Metrics::new(None, clock.clone()));
        let tokens = TokenService::new(
            Box::new(VariableSource::new(self.token.clone().into())),
            config.token.format,
            config.token.ttl,
            clock.clone(),
            metrics.clone(),
            1,
        );
        let session = Session::new(config.home, Extras::default(), clock.clone());
        let retry = Retry {
            base: Duration::from_millis(1),
            ..Retry::default()
        };
        let bridge = Bridge::new(tokens, session, retry, clock.clone(), metrics.clone(), 1);
        Arc::new(App::new(
            bridge,
            idempotency,
            CallerAuth::None,
            clock,
            metrics,
        ))
    }

    /// How many service calls the home has executed.
    fn executed(&self) -> usize {
        self.home.counters().service_calls.len()
    }
}

/// The table as template.yaml has it. (What it says of backups and encryption, nobody notices here.)
async fn create_table(dynamodb: &Client) {
    let mut table = dynamodb
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest);
    for (name, key) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        let element = KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(key);
        table = table
            .attribute_definitions(attribute.build().unwrap())
            .key_schema(element.build().unwrap());
    }
    table.send().await.unwrap();
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
