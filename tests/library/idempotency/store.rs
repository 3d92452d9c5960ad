//! Tests of the admission of a key, over the table and over memory, and of the records in the table.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use latchkey::base::clock::ManualClock;
use latchkey::base::random::Random;
use latchkey::base::table::Table;
use latchkey::home::home_assistant::Command;
use latchkey::service::idempotency::{
    Admission, Idempotency, IdempotencyKey, MemoryStore, OutcomeStore, REMEMBERED, SharedStore,
    Ticket,
};
use latchkey_dev::relay::{Direction, Ending, Relay, RelayOptions};
use latchkey_dev::stack::Fault;
use serde_json::json;

use super::{DELETE_ITEM, PUT_ITEM, TABLE, TableStage};

const NOW: Duration = Duration::from_secs(1_750_000_000);

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text.into()).unwrap()
}

fn commands(kind: &str) -> [Command; 1] {
    [Command::new(json!({ "type": kind })).unwrap()]
}

const HOME: &str = "http://home";

async fn admit(idempotency: &Idempotency, text: &str) -> Admission {
    admit_in(idempotency, HOME, text).await
}

async fn admit_in(idempotency: &Idempotency, home: &str, text: &str) -> Admission {
    let (key, commands) = (key(text), commands("ping"));
    idempotency.admit(home, &key, &commands).await.unwrap()
}

/// Returns a ticket for a key. The key must be free.
async fn ticket(idempotency: &Idempotency, text: &str) -> Ticket {
    match admit(idempotency, text).await {
        Admission::Run(ticket) => ticket,
        other => panic!("`{text}` is not free: {other:?}"),
    }
}

/// Returns the results that are recorded under a key.
async fn remembered(idempotency: &Idempotency, text: &str) -> String {
    match admit(idempotency, text).await {
        Admission::Repeat(results) => results.get().to_owned(),
        other => panic!("`{text}` has no results: {other:?}"),
    }
}

fn idempotency_over(store: Box<dyn OutcomeStore>) -> (Arc<ManualClock>, Idempotency) {
    let clock = Arc::new(ManualClock::at(NOW));
    let idempotency = Idempotency::new(store, clock.clone(), Random::seeded(fastrand::u64(..)));
    (clock, idempotency)
}

#[tokio::test]
async fn table_store_and_memory_store_behave_the_same() {
    let stage = TableStage::start().await;
    for (name, store) in [
        ("table", stage.table()),
        ("memory", Box::new(MemoryStore::default())),
    ] {
        let (clock, idempotency) = idempotency_over(store);
        let begun = ticket(&idempotency, "k").await;
        assert!(
            matches!(admit(&idempotency, "k").await, Admission::Unknown),
            "{name}"
        );
        idempotency.forget(begun).await;
        let begun = ticket(&idempotency, "k").await;
        clock.advance(Duration::from_secs(60));
        idempotency.finish(begun, r#"[{"a":"ü\n"}]"#.into()).await;
        let other = idempotency
            .admit(HOME, &key("k"), &commands("get_states"))
            .await;
        assert!(
            matches!(other, Ok(Admission::Mismatch)),
            "{name}: {other:?}"
        );
        // The expiry time counts from the end of the request.
        clock.advance(REMEMBERED - Duration::from_secs(1));
        assert_eq!(remembered(&idempotency, "k").await, r#"[{"a":"ü\n"}]"#);
        clock.advance(Duration::from_secs(2));
        let renewed = ticket(&idempotency, "k").await;
        // A record that is begun and never finished also expires after a day.
        drop(renewed);
        clock.advance(REMEMBERED - Duration::from_secs(1));
        assert!(matches!(admit(&idempotency, "k").await, Admission::Unknown));
        clock.advance(Duration::from_secs(2));
        ticket(&idempotency, "k").await;
        // Keys are compared exactly.
        for text in ["K", "k ", "k\u{0}", "\u{212a}", &"k".repeat(255)] {
            ticket(&idempotency, text).await;
        }
    }
}

#[tokio::test]
async fn command_with_results_too_large_for_the_table_is_not_run_again() {
    let stage = TableStage::start().await;
    let (_, idempotency) = idempotency_over(stage.table());
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let largest = text(350 * 1024);
    let begun = ticket(&idempotency, "fits").await;
    idempotency.finish(begun, largest.clone()).await;
    assert!(remembered(&idempotency, "fits").await == largest);
    let begun = ticket(&idempotency, "large").await;
    idempotency.finish(begun, text(350 * 1024 + 1)).await;
    assert!(matches!(
        admit(&idempotency, "large").await,
        Admission::TooLarge
    ));
}

#[tokio::test]
async fn homes_that_share_a_table_do_not_share_keys() {
    let stage = TableStage::start().await;
    let (_, idempotency) = idempotency_over(stage.table());
    for (home, results) in [("http://one", "[1]"), ("http://two", "[2]")] {
        match admit_in(&idempotency, home, "k").await {
            Admission::Run(ticket) => idempotency.finish(ticket, results.into()).await,
            other => panic!("the key is not free in {home}: {other:?}"),
        }
    }
    for (home, results) in [("http://one", "[1]"), ("http://two", "[2]")] {
        match admit_in(&idempotency, home, "k").await {
            Admission::Repeat(remembered) => assert_eq!(remembered.get(), results),
            other => panic!("nothing is remembered in {home}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn record_has_an_expiry_time_and_hides_its_key() {
    let stage = TableStage::start().await;
    let (clock, idempotency) = idempotency_over(stage.table());
    let begun = ticket(&idempotency, "order-4711").await;
    clock.advance(Duration::from_secs(60));
    idempotency.finish(begun, "[1]".into()).await;
    let items = stage.dynamodb.scan().table_name(TABLE).send().await;
    let items = items.unwrap().items.unwrap();
    let [item] = &items[..] else {
        panic!("{items:?}");
    };
    let ends = (NOW + REMEMBERED).as_secs() + 60;
    assert_eq!(item["expires_at"], AttributeValue::N(ends.to_string()));
    assert!(item["pk"].as_s().unwrap().starts_with("idempotency#"));
    assert!(!format!("{item:?}").contains("4711"));
    idempotency
        .forget(ticket(&idempotency, "another").await)
        .await;
    let items = stage.dynamodb.scan().table_name(TABLE).send().await;
    assert_eq!(items.unwrap().count, 1);
}

#[tokio::test]
async fn damaged_record_rejects_the_request() {
    let stage = TableStage::start().await;
    let (_, idempotency) = idempotency_over(stage.table());
    let begun = ticket(&idempotency, "k").await;
    idempotency.finish(begun, "[1]".into()).await;
    let items = stage.dynamodb.scan().table_name(TABLE).send().await;
    let item = items.unwrap().items.unwrap().remove(0);
    let text = |text: &str| AttributeValue::S(text.into());
    for (attribute, value) in [
        ("results", Some(text("{"))),
        ("results", Some(text(""))),
        ("request", None),
        ("request", Some(AttributeValue::Bool(true))),
    ] {
        let mut damaged = item.clone();
        damaged.remove(attribute);
        damaged.extend(value.map(|value| (attribute.to_owned(), value)));
        let put = stage.dynamodb.put_item().table_name(TABLE);
        put.set_item(Some(damaged)).send().await.unwrap();
        let found = idempotency.admit(HOME, &key("k"), &commands("ping")).await;
        assert!(
            found
                .as_ref()
                .is_err_and(|error| error.0.contains("damaged")),
            "{attribute}: {found:?}"
        );
    }
}

#[tokio::test]
async fn unrecorded_outcome_is_unknown() {
    let stage = TableStage::start().await;
    let (_, idempotency) = idempotency_over(stage.table());
    let begun = ticket(&idempotency, "k").await;
    let fault = Fault::new(PUT_ITEM, "AccessDeniedException");
    stage.aws.inject(&fault).await.unwrap();
    idempotency.finish(begun, "[1]".into()).await;
    stage.aws.clear_faults().await.unwrap();
    assert!(matches!(admit(&idempotency, "k").await, Admission::Unknown));
}

/// Returns an idempotency store over the table. The calls of the store go through a relay and are retried many times.
async fn behind_relay(stage: &TableStage) -> (Relay, Idempotency) {
    let address = stage.aws.endpoint().strip_prefix("http://").unwrap();
    let relay = Relay::start(address.parse().unwrap(), RelayOptions::default());
    let relay = relay.await.unwrap();
    let retries = RetryConfig::standard()
        .with_max_attempts(50)
        .with_initial_backoff(Duration::from_millis(50))
        .with_max_backoff(Duration::from_millis(200));
    let config = aws_sdk_dynamodb::config::Builder::from(stage.aws.sdk_config())
        .endpoint_url(format!("http://{}", relay.addr()))
        .retry_config(retries);
    let store = SharedStore::new(Table::new(Client::from_conf(config.build()), TABLE.into()));
    let (_, idempotency) = idempotency_over(Box::new(store));
    (relay, idempotency)
}

#[tokio::test]
async fn run_recognises_its_own_record_after_a_lost_response() {
    let stage = TableStage::start().await;
    let (relay, idempotency) = behind_relay(&stage).await;
    // DynamoDB writes the record. The SDK does not get the response and retries.
    relay.cut_after(Direction::ToClient, 0, Ending::Reset);
    ticket(&idempotency, "k").await;
    assert_eq!(stage.aws.calls_of(PUT_ITEM).await.unwrap(), 2);
    assert!(matches!(admit(&idempotency, "k").await, Admission::Unknown));
}

#[tokio::test]
async fn retried_release_does_not_release_the_key_of_another_run() {
    let stage = TableStage::start().await;
    let (relay, one) = behind_relay(&stage).await;
    let (_, two) = idempotency_over(stage.table());
    let begun = ticket(&one, "k").await;
    // DynamoDB deletes the record, and the SDK does not get the response. Another run takes the key before the SDK's
    // retry arrives.
    relay.cut_after(Direction::ToClient, 0, Ending::Reset);
    relay.refuse_connections().await;
    let give_back = tokio::spawn(async move { one.forget(begun).await });
    relay
        .wait_for(|counters| counters.open_connections == 0)
        .await;
    let taken = ticket(&two, "k").await;
    relay.accept_connections().unwrap();
    give_back.await.unwrap();
    assert_eq!(stage.aws.calls_of(DELETE_ITEM).await.unwrap(), 2);
    assert!(matches!(admit(&two, "k").await, Admission::Unknown));
    two.finish(taken, "[2]".into()).await;
    assert_eq!(remembered(&two, "k").await, "[2]");
}
