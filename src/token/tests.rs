//! The service over a scripted source: single flight, expiry, rejection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;
use crate::clock::ManualClock;
use crate::metrics::Metrics;

/// Yields the scripted answers in turn (the last one again and again), each when a permit is given.
struct Script {
    answers: Mutex<VecDeque<Result<String, SourceError>>>,
    gate: Semaphore,
    calls: AtomicUsize,
}

impl SecretSource for Script {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
            let mut answers = self.answers.lock().unwrap();
            let answer = if answers.len() > 1 {
                answers.pop_front().unwrap()
            } else {
                answers[0].clone()
            };
            answer.map(|text| StoredSecret {
                value: text.into(),
                version: Some(7),
            })
        })
    }
}

struct Fixture {
    script: Arc<Script>,
    clock: Arc<ManualClock>,
    service: Arc<TokenService>,
}

fn fixture<const N: usize>(answers: [Result<&str, SourceError>; N]) -> Fixture {
    let script = Arc::new(Script {
        answers: Mutex::new(answers.map(|a| a.map(str::to_owned)).into()),
        gate: Semaphore::new(1_000),
        calls: AtomicUsize::new(0),
    });
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_000)));
    let service = TokenService::new(
        Box::new(script.clone()),
        TokenFormat::Any,
        Duration::from_secs(300),
        clock.clone(),
        Meter::new(Arc::new(Metrics::new(None, clock.clone())), None),
        7,
    );
    Fixture {
        script,
        clock,
        service: Arc::new(service),
    }
}

impl Fixture {
    fn calls(&self) -> usize {
        self.script.calls.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn concurrent_misses_make_one_call_and_share_its_outcome() {
    for answer in [Ok("token-a"), Err(SourceError::Throttled)] {
        let fixture = fixture([answer.clone()]);
        fixture.script.gate.forget_permits(1_000);
        let started = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (service, started) = (fixture.service.clone(), started.clone());
                tokio::spawn(async move {
                    started.fetch_add(1, Ordering::SeqCst);
                    service.current().await
                })
            })
            .collect();
        // Every task runs on from there until it waits for the one fetch.
        while started.load(Ordering::SeqCst) < 100 {
            tokio::task::yield_now().await;
        }
        fixture.script.gate.add_permits(1);
        for task in tasks {
            let outcome = task.await.unwrap();
            assert_eq!(outcome.is_ok(), answer.is_ok());
        }
        assert_eq!(fixture.calls(), 1);
    }
}

#[tokio::test]
async fn warm_reads_make_no_call_until_the_ttl_ends() {
    let fixture = fixture([Ok("token-a"), Ok("token-b")]);
    for _ in 0..1_000 {
        assert_eq!(
            fixture.service.current().await.unwrap().access.expose(),
            "token-a"
        );
    }
    assert_eq!(fixture.calls(), 1);
    fixture.clock.advance(Duration::from_secs(600));
    assert_eq!(
        fixture.service.current().await.unwrap().access.expose(),
        "token-b"
    );
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test]
async fn an_error_is_not_kept() {
    let fixture = fixture([Err(SourceError::Throttled), Ok("token-a")]);
    assert_eq!(
        fixture.service.current().await.unwrap_err(),
        TokenError::Source(SourceError::Throttled)
    );
    assert!(fixture.service.current().await.is_ok());
}

#[tokio::test]
async fn a_rejected_token_is_never_handed_out_again() {
    let fixture = fixture([Ok("token-a"), Ok("token-a"), Ok("token-b"), Ok("token-a")]);
    let rejected = fixture.service.current().await.unwrap();
    fixture.service.reject(rejected.fingerprint());
    let expected = TokenError::Rejected {
        fingerprint: rejected.fingerprint(),
        version: Some(7),
    };
    assert_eq!(fixture.service.current().await.unwrap_err(), expected);
    let mended = fixture.service.current().await.unwrap();
    assert_eq!(mended.access.expose(), "token-b");
    // The mended one stays, whatever late reports of the old one say.
    fixture.service.reject(rejected.fingerprint());
    assert_eq!(
        fixture.service.current().await.unwrap().fingerprint(),
        mended.fingerprint()
    );
    // Rolled back to the rejected one: still not handed out.
    fixture.clock.advance(Duration::from_secs(601));
    assert!(matches!(
        fixture.service.current().await,
        Err(TokenError::Rejected { .. })
    ));
}

#[tokio::test]
async fn a_cancelled_caller_leaves_the_fetch_to_the_next() {
    let fixture = fixture([Ok("token-a")]);
    fixture.script.gate.forget_permits(1_000);
    let first = tokio::spawn({
        let service = fixture.service.clone();
        async move { service.current().await }
    });
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    fixture.script.gate.add_permits(1);
    assert!(fixture.service.current().await.is_ok());
    assert_eq!(fixture.calls(), 1);
}

#[tokio::test]
async fn stored_texts_that_are_no_token_are_named_and_not_kept() {
    let fixture = fixture([Ok("Bearer x"), Ok("")]);
    assert_eq!(
        fixture.service.current().await.unwrap_err(),
        TokenError::Malformed(Defect::BearerPrefix)
    );
    assert_eq!(
        fixture.service.current().await.unwrap_err(),
        TokenError::Malformed(Defect::Empty)
    );
}

#[tokio::test]
async fn an_expired_token_is_not_handed_out() {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let token = format!(
        "{}.{}.{}",
        encode("{}"),
        encode(r#"{"exp":1000}"#),
        encode("s")
    );
    let fixture = fixture([Ok(token.as_str())]);
    assert!(matches!(
        fixture.service.current().await,
        Err(TokenError::Expired { .. })
    ));
}
