//! Tests of the service with a scripted source: single flight, soft and hard TTL, expiry, rejection.

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

/// The configured TTL: tokens are due from an age of 270 to 300 s, and stale from 600 s.
const TTL: Duration = Duration::from_secs(300);
const HARD: Duration = Duration::from_secs(600);

/// The time without a new fetch after a failure.
const BACK_OFF: Duration = Duration::from_secs(30);

const SECOND: Duration = Duration::from_secs(1);

/// A token text with its version, or the error of the source.
type Answer = Result<(String, i64), SourceError>;

/// A source that returns the scripted answers in order and repeats the last answer. Each fetch needs a permit.
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

/// Creates a service whose answers all have the same version.
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

    /// Returns the text of the current token.
    async fn current(&self) -> Result<String, TokenError> {
        let token = self.service.current().await?;
        Ok(token.access.expose().to_owned())
    }

    /// Returns the text of the current token and checks that no fetch was needed.
    async fn kept(&self) -> String {
        let calls = self.calls();
        let text = self.current().await.unwrap();
        assert_eq!(self.calls(), calls, "the token must come from the cache");
        text
    }
}

/// Builds a token in the format of Home Assistant that expires at `unix_seconds`.
fn expiring_at(unix_seconds: u64) -> String {
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
async fn concurrent_cache_misses_share_one_fetch() {
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
        // From there, every task runs until it waits for the shared fetch.
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
async fn token_past_soft_ttl_is_served_and_refreshed_in_the_background() {
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
async fn refresh_before_the_first_request_does_not_fetch() {
    let fixture = fixture([Ok("token-a")]);
    assert!(!fixture.service.is_due());
    fixture.service.refresh().await.unwrap();
    fixture.service.expire();
    fixture.service.refresh().await.unwrap();
    assert_eq!(fixture.calls(), 0);
}

#[tokio::test]
async fn soft_ttl_jitter_spreads_fetches() {
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
async fn token_past_hard_ttl_is_fetched_before_use() {
    let fixture = fixture([Ok("token-a"), Ok("token-b")]);
    fixture.current().await.unwrap();
    fixture.clock.advance(HARD - SECOND);
    assert_eq!(fixture.kept().await, "token-a");
    fixture.clock.advance(SECOND);
    assert_eq!(fixture.current().await.unwrap(), "token-b");
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test]
async fn stale_token_is_not_served_after_expiry_or_rejection() {
    let ending = expiring_at(1_650);
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
async fn ttl_of_zero_fetches_at_each_request() {
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
async fn expire_makes_a_fresh_token_due() {
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
async fn fetch_error_is_not_cached() {
    let fixture = fixture([Err(source_error(SourceFault::Throttled)), Ok("token-a")]);
    let error = fixture.service.current().await.unwrap_err();
    assert_eq!(
        error,
        TokenError::Source(source_error(SourceFault::Throttled))
    );
    assert!(fixture.service.current().await.is_ok());
}
