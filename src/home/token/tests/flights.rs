//! Tests of overlapping fetches, cancelled callers and tokens that the home rejects.

use tokio::sync::oneshot;

use super::*;
use crate::base::ambient::Ambient;
use crate::base::metrics::Meter;
use crate::base::random::Random;

/// A source in which each fetch waits for its own answer.
struct ManualSource {
    waiting: Mutex<Vec<oneshot::Sender<Answer>>>,
}

impl SecretSource for ManualSource {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap().push(sender);
        Box::pin(async move {
            let answer: Answer = receiver.await.unwrap();
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

impl ManualSource {
    /// Waits until this number of fetches are in flight.
    async fn until_waiting(&self, reads: usize) {
        while self.waiting.lock().unwrap().len() < reads {
            tokio::task::yield_now().await;
        }
    }

    /// Answers the fetch that started last.
    fn answer_last(&self, answer: Result<(&str, i64), SourceError>) {
        let answer = answer.map(|(text, version)| (text.to_owned(), version));
        let sender = self.waiting.lock().unwrap().pop().unwrap();
        sender.send(answer).unwrap();
    }
}

type Read = tokio::task::JoinHandle<Result<Token, TokenError>>;

/// Creates a service with two fetches in flight. The second fetch started because the token has changed since the
/// first.
async fn two_fetches() -> (Arc<TokenService>, Arc<ManualSource>, [Read; 2]) {
    let source = Arc::new(ManualSource {
        waiting: Mutex::default(),
    });
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_000)));
    let service = Arc::new(TokenService::new(
        Box::new(source.clone()),
        TokenFormat::Any,
        TTL,
        Ambient {
            clock: clock.clone(),
            random: Random::seeded(7),
            meter: Meter::new(Arc::new(Metrics::new(None, clock.clone())), None),
        },
    ));
    let read = || {
        let service = service.clone();
        tokio::spawn(async move { service.current().await })
    };
    let first = read();
    source.until_waiting(1).await;
    clock.advance(SECOND);
    service.expire();
    let second = read();
    source.until_waiting(2).await;
    clock.advance(SECOND);
    (service, source, [first, second])
}

#[tokio::test]
async fn slow_fetch_does_not_overwrite_a_later_fetch() {
    for late in [
        Ok(("token-a", 1)),
        Err(source_error(SourceFault::Throttled)),
        Err(not_found()),
    ] {
        let (service, source, [first, second]) = two_fetches().await;
        source.answer_last(Ok(("token-b", 2)));
        let newer = second.await.unwrap().unwrap();
        source.answer_last(late.clone());
        assert_eq!(first.await.unwrap().is_ok(), late.is_ok());
        assert_eq!(service.cached(), Some(newer.fingerprint()), "{late:?}");
        assert_eq!(service.facts().unwrap().version, Some(2));
        assert!(!service.is_due());
    }
}

#[tokio::test]
async fn earlier_fetch_is_cached_if_the_later_fetch_fails() {
    let (service, source, [first, second]) = two_fetches().await;
    source.answer_last(Err(source_error(SourceFault::Throttled)));
    assert!(second.await.unwrap().is_err());
    source.answer_last(Ok(("token-a", 1)));
    let token = first.await.unwrap().unwrap();
    assert_eq!(service.cached(), Some(token.fingerprint()));
}

#[tokio::test]
async fn clear_starts_a_new_fetch_despite_a_fetch_in_flight() {
    let (service, source, reads) = two_fetches().await;
    service.clear();
    let third = {
        let service = service.clone();
        tokio::spawn(async move { service.current().await })
    };
    source.until_waiting(3).await;
    source.answer_last(Ok(("token-c", 3)));
    assert_eq!(third.await.unwrap().unwrap().version, Some(3));
    reads.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn cancelled_caller_leaves_the_fetch_to_the_next_caller() {
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
async fn rejected_token_is_never_returned_again() {
    let fixture = fixture([Ok("token-a"), Ok("token-a"), Ok("token-b"), Ok("token-a")]);
    let rejected = fixture.service.current().await.unwrap();
    fixture.service.reject(rejected.fingerprint());
    assert!(fixture.service.is_rejected(&rejected));
    let expected = TokenError::Rejected {
        origin: origin(),
        fingerprint: rejected.fingerprint(),
        version: Some(7),
    };
    assert_eq!(fixture.service.current().await.unwrap_err(), expected);
    assert_eq!(fixture.current().await.unwrap(), "token-b");
    // The new token stays cached when the old token is reported again.
    fixture.service.reject(rejected.fingerprint());
    assert_eq!(fixture.kept().await, "token-b");
    // The parameter is rolled back to the rejected token. The new token stays the last good token.
    fixture.clock.advance(TTL);
    assert_eq!(fixture.service.refresh().await.unwrap_err(), expected);
    assert_eq!(fixture.kept().await, "token-b");
    fixture.clock.advance(HARD);
    assert_eq!(fixture.current().await.unwrap(), "token-b");
    // Then the home rejects the new token as well.
    let newer = fixture.service.current().await.unwrap();
    fixture.service.reject(newer.fingerprint());
    assert_eq!(fixture.service.current().await.unwrap_err(), expected);
}

#[tokio::test]
async fn rejected_token_stored_as_a_new_version_is_returned_once_more() {
    let versions = [1, 1, 2, 2].map(|version| Ok(("token-a", version)));
    let fixture = fixture_with(versions, TTL, 7);
    for version in [1, 2] {
        let token = fixture.service.current().await.unwrap();
        assert_eq!(token.version, Some(version));
        fixture.service.reject(token.fingerprint());
        let refused = TokenError::Rejected {
            origin: origin(),
            fingerprint: token.fingerprint(),
            version: Some(version),
        };
        assert_eq!(fixture.service.current().await.unwrap_err(), refused);
    }
}

#[tokio::test]
async fn malformed_text_is_reported_and_not_cached() {
    let fixture = fixture([Ok("Bearer x"), Ok("")]);
    for defect in [Defect::BearerPrefix, Defect::Empty] {
        let error = fixture.service.current().await.unwrap_err();
        assert_eq!(
            error,
            TokenError::Malformed {
                origin: origin(),
                defect,
            }
        );
    }
}

#[tokio::test]
async fn expired_token_is_not_returned() {
    let ended = expiring_at(1_000);
    let fixture = fixture([Ok(ended.as_str())]);
    let error = fixture.service.current().await.unwrap_err();
    assert!(matches!(error, TokenError::Expired { .. }), "{error:?}");
    assert_eq!(fixture.service.cached(), None);
}
