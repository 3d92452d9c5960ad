//! The service over a scripted source: single flight, soft and hard TTL, expiry, rejection.

mod failing;
mod flights;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use std::sync::Mutex;

use super::*;
use crate::base::ambient::Ambient;
use crate::base::clock::Clock as _;
use crate::base::clock::ManualClock;
use crate::base::metrics::Meter;
use crate::base::metrics::Metrics;
use crate::base::random::Random;
use crate::home::source::{Origin, Setting, SourceError, SourceFault, StoredSecret};

/// How long tokens are kept: due from 270 to 300 s on, stale from 600 s on.
const TTL: Duration = Duration::from_secs(300);
const HARD: Duration = Duration::from_secs(600);

/// How long a source that failed is left alone.
const BACK_OFF: Duration = Duration::from_secs(30);

const SECOND: Duration = Duration::from_secs(1);

/// A text with its version, or why there is none.
type Answer = Result<(String, i64), SourceError>;

/// Yields the scripted answers in turn (the last one again and again), each when a permit is given.
struct Script {
    answers: Mutex<VecDeque<Answer>>,
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
            answer.map(|(text, version)| StoredSecret {
                value: text.into(),
                version: Some(version),
            })
        })
    }

    fn origin(&self) -> Origin {
        origin()
    }
}

struct Fixture {
    script: Arc<Script>,
    clock: Arc<ManualClock>,
    service: Arc<TokenService>,
}

/// A service over answers that all have one version.
fn fixture<const N: usize>(answers: [Result<&str, SourceError>; N]) -> Fixture {
    fixture_with(answers.map(|answer| answer.map(|text| (text, 7))), TTL, 7)
}

fn fixture_with<const N: usize>(
    answers: [Result<(&str, i64), SourceError>; N],
    ttl: Duration,
    seed: u64,
) -> Fixture {
    let answers = answers.map(|answer| answer.map(|(text, version)| (text.to_owned(), version)));
    let script = Arc::new(Script {
        answers: Mutex::new(answers.into()),
        gate: Semaphore::new(1_000),
        calls: AtomicUsize::new(0),
    });
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_000)));
    let service = TokenService::new(
        Box::new(script.clone()),
        TokenFormat::Any,
        ttl,
        Ambient {
            clock: clock.clone(),
            random: Random::seeded(seed),
            meter: Meter::new(Arc::new(Metrics::new(None, clock.clone())), None),
        },
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

    /// The text that is handed out now.
    async fn current(&self) -> Result<String, TokenError> {
        let token = self.service.current().await?;
        Ok(token.access.expose().to_owned())
    }

    /// The text that is handed out now, which there must be, and without a read.
    async fn kept(&self) -> String {
        let calls = self.calls();
        let text = self.current().await.unwrap();
        assert_eq!(self.calls(), calls, "nobody is to wait");
        text
    }
}

/// In form a token of Home Assistant's that ends then.
fn ending_at(unix_seconds: u64) -> String {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"exp":{unix_seconds}}}"#);
    format!("{}.{}.{}", encode("{}"), encode(&claims), encode("s"))
}

fn origin() -> Origin {
    Origin::new(Setting::Token, "/p")
}

fn source_error(fault: SourceFault) -> SourceError {
    origin().failed(fault)
}

fn not_found() -> SourceError {
    source_error(SourceFault::NotFound)
}

#[tokio::test]
async fn concurrent_misses_make_one_call_and_share_its_outcome() {
    for answer in [Ok("token-a"), Err(source_error(SourceFault::Throttled))] {
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
async fn a_token_past_its_soft_ttl_is_served_and_read_again_when_nobody_waits() {
    let fixture = fixture([Ok("token-a"), Ok("token-b")]);
    assert_eq!(fixture.current().await.unwrap(), "token-a");
    fixture.clock.advance(TTL.mul_f64(0.9) - SECOND);
    fixture.service.refresh().await.unwrap();
    assert_eq!(fixture.kept().await, "token-a");
    assert!(!fixture.service.is_due());
    fixture.clock.advance(TTL - TTL.mul_f64(0.9) + SECOND);
    for _ in 0..1_000 {
        assert_eq!(fixture.kept().await, "token-a");
    }
    assert!(fixture.service.is_due());
    fixture.service.refresh().await.unwrap();
    assert_eq!((fixture.calls(), fixture.service.fetches()), (2, 2));
    assert_eq!(fixture.kept().await, "token-b");
    assert!(!fixture.service.is_due());
}

#[tokio::test]
async fn what_was_never_asked_for_is_not_read_again() {
    let fixture = fixture([Ok("token-a")]);
    assert!(!fixture.service.is_due());
    fixture.service.refresh().await.unwrap();
    fixture.service.expire();
    fixture.service.refresh().await.unwrap();
    assert_eq!(fixture.calls(), 0);
}

#[tokio::test]
async fn sandboxes_started_together_do_not_read_together() {
    let mut due_after = Vec::new();
    for seed in 0..20 {
        let fixture = fixture_with([Ok(("token-a", 1))], TTL, seed);
        fixture.current().await.unwrap();
        let start = fixture.clock.now();
        while !fixture.service.is_due() {
            fixture.clock.advance(Duration::from_millis(100));
        }
        due_after.push(fixture.clock.now().since(start));
    }
    assert!(
        due_after
            .iter()
            .all(|after| (TTL.mul_f64(0.9)..=TTL).contains(after))
    );
    due_after.sort();
    due_after.dedup();
    assert!(due_after.len() > 10, "{due_after:?}");
}

#[tokio::test]
async fn a_token_past_its_hard_ttl_is_read_first() {
    let fixture = fixture([Ok("token-a"), Ok("token-b")]);
    fixture.current().await.unwrap();
    fixture.clock.advance(HARD - SECOND);
    assert_eq!(fixture.kept().await, "token-a");
    fixture.clock.advance(SECOND);
    assert_eq!(fixture.current().await.unwrap(), "token-b");
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test]
async fn neither_its_own_end_nor_a_rejection_is_outlived() {
    let ending = ending_at(1_650);
    let fixture = fixture([
        Ok(ending.as_str()),
        Err(source_error(SourceFault::Throttled)),
    ]);
    fixture.current().await.unwrap();
    fixture.clock.advance(HARD);
    assert_eq!(fixture.current().await.unwrap(), ending);
    fixture.clock.advance(Duration::from_secs(50));
    let failed = Err(TokenError::Source(source_error(SourceFault::Throttled)));
    assert_eq!(fixture.current().await, failed);

    let fixture = self::fixture([Ok("token-a"), Err(source_error(SourceFault::Throttled))]);
    let rejected = fixture.service.current().await.unwrap();
    fixture.service.reject(rejected.fingerprint());
    assert_eq!(fixture.current().await, failed);
}

#[tokio::test]
async fn a_ttl_of_nothing_keeps_nothing() {
    let answers = [
        Ok(("token-a", 1)),
        Ok(("token-b", 2)),
        Err(source_error(SourceFault::TimedOut)),
    ];
    let fixture = fixture_with(answers, Duration::ZERO, 7);
    assert_eq!(fixture.current().await.unwrap(), "token-a");
    assert_eq!(fixture.current().await.unwrap(), "token-b");
    assert_eq!(
        fixture.current().await,
        Err(source_error(SourceFault::TimedOut).into())
    );
    assert!(!fixture.service.is_due());
}

#[tokio::test]
async fn a_token_known_to_have_changed_is_due_though_it_is_fresh() {
    let fixture = fixture([Ok("token-a"), Ok("token-b")]);
    fixture.current().await.unwrap();
    fixture.service.expire();
    assert!(fixture.service.is_due());
    assert_eq!(fixture.kept().await, "token-a");
    fixture.service.refresh().await.unwrap();
    assert_eq!(fixture.kept().await, "token-b");
    assert!(!fixture.service.is_due());
}

#[tokio::test]
async fn an_error_is_not_kept() {
    let fixture = fixture([Err(source_error(SourceFault::Throttled)), Ok("token-a")]);
    let error = fixture.service.current().await.unwrap_err();
    assert_eq!(
        error,
        TokenError::Source(source_error(SourceFault::Throttled))
    );
    assert!(fixture.service.current().await.is_ok());
}
