//! Tests of admission with the store in memory.

use serde_json::json;

use super::memory::MAX_RECORDS;
use super::*;
use crate::base::clock::ManualClock;

fn fixture() -> (Arc<ManualClock>, Idempotency) {
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_000)));
    let store = Box::new(MemoryStore::default());
    let idempotency = Idempotency::new(store, clock.clone(), Random::seeded(1));
    (clock, idempotency)
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text.into()).unwrap()
}

fn commands(kind: &str) -> Vec<Command> {
    vec![Command::new(json!({"type": kind})).unwrap()]
}

async fn ticket(idempotency: &Idempotency, text: &str) -> Ticket {
    match idempotency.admit("home", &key(text), &commands("a")).await {
        Ok(Admission::Run(ticket)) => ticket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_have_1_to_255_characters() {
    assert!(IdempotencyKey::new(String::new()).is_none());
    assert!(IdempotencyKey::new("ü".repeat(255)).is_some());
    assert!(IdempotencyKey::new("x".repeat(256)).is_none());
}

#[tokio::test]
async fn repeated_request_gets_the_first_outcome_for_a_day() {
    let (clock, idempotency) = fixture();
    let first = ticket(&idempotency, "k").await;
    assert!(matches!(
        idempotency.admit("home", &key("k"), &commands("a")).await,
        Ok(Admission::Unknown)
    ));
    idempotency.finish(first, "[1]".into()).await;
    clock.advance(REMEMBERED - Duration::from_secs(1));
    assert!(matches!(
        idempotency.admit("home", &key("k"), &commands("a")).await,
        Ok(Admission::Repeat(results)) if results.get() == "[1]"
    ));
    assert!(matches!(
        idempotency.admit("home", &key("k"), &commands("b")).await,
        Ok(Admission::Mismatch)
    ));
    clock.advance(Duration::from_secs(1));
    ticket(&idempotency, "k").await;
}

#[tokio::test]
async fn forgotten_key_can_be_used_again() {
    let (_, idempotency) = fixture();
    let first = ticket(&idempotency, "k").await;
    idempotency.forget(first).await;
    ticket(&idempotency, "k").await;
}

#[tokio::test]
async fn request_with_a_too_large_outcome_is_not_run_again() {
    let (_, idempotency) = fixture();
    let first = ticket(&idempotency, "k").await;
    idempotency
        .finish(first, "1".repeat(MAX_OUTCOME_BYTES + 1))
        .await;
    assert!(matches!(
        idempotency.admit("home", &key("k"), &commands("a")).await,
        Ok(Admission::TooLarge)
    ));
}

#[tokio::test]
async fn full_memory_store_rejects_new_keys_and_keeps_all_records() {
    let (_, idempotency) = fixture();
    for number in 0..MAX_RECORDS {
        let ticket = ticket(&idempotency, &number.to_string()).await;
        idempotency.finish(ticket, "1".repeat(10_000)).await;
    }
    let refused = idempotency
        .admit("home", &key("one more"), &commands("a"))
        .await;
    assert!(refused.is_err(), "{refused:?}");
    // The oldest results were dropped to make room for the newest.
    let admission = async |number: usize| {
        idempotency
            .admit("home", &key(&number.to_string()), &commands("a"))
            .await
    };
    assert!(matches!(admission(0).await, Ok(Admission::TooLarge)));
    let newest = admission(MAX_RECORDS - 1).await;
    assert!(matches!(newest, Ok(Admission::Repeat(_))));
}
