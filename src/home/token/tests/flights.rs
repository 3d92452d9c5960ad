//! Reads that overtake each other, callers that leave, and tokens that the home rejects meanwhile.

use tokio::sync::oneshot;

use super::*;
use crate::base::ambient::Ambient;
use crate::base::metrics::Meter;
use crate::base::random::Random;

/// Each read waits for an answer of its own.
struct Desk {
    waiting: Mutex<Vec<oneshot::Sender<Answer>>>,
}

impl SecretSource for Desk {
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

impl Desk {
    /// Waits until so many reads have begun and are not answered.
    async fn until_waiting(&self, reads: usize) {
        while self.waiting.lock().unwrap().len() < reads {
            tokio::task::yield_now().await;
        }
    }

    /// Answers the read that began last.
    fn answer_last(&self, answer: Result<(&str, i64), SourceError>) {
        let answer = answer.map(|(text, version)| (text.to_owned(), version));
        let sender = self.waiting.lock().unwrap().pop().unwrap();
        sender.send(answer).unwrap();
    }
}

type Read = tokio::task::JoinHandle<Result<Token, TokenError>>;

/// A service with two reads under way, the second begun because the token has changed since the first.
async fn two_reads() -> (Arc<TokenService>, Arc<Desk>, [Read; 2]) {
    let desk = Arc::new(Desk {
        waiting: Mutex::default(),
    });
    let clock = Arc::new(ManualClock::at(Duration::from_secs(1_000)));
    let service = Arc::new(TokenService::new(
        Box::new(desk.clone()),
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
    desk.until_waiting(1).await;
    clock.advance(SECOND);
    service.expire();
    let second = read();
    desk.until_waiting(2).await;
    clock.advance(SECOND);
    (service, desk, [first, second])
}

#[tokio::test]
async fn a_slow_read_does_not_undo_a_quicker_one_that_began_after_it() {
    for late in [
        Ok(("token-a", 1)),
        Err(source_error(SourceFault::Throttled)),
        Err(not_found()),
    ] {
        let (service, desk, [first, second]) = two_reads().await;
        desk.answer_last(Ok(("token-b", 2)));
        let newer = second.await.unwrap().unwrap();
        desk.answer_last(late.clone());
        assert_eq!(first.await.unwrap().is_ok(), late.is_ok());
        assert_eq!(service.cached(), Some(newer.fingerprint()), "{late:?}");
        assert_eq!(service.facts().unwrap().version, Some(2));
        assert!(!service.is_due());
    }
}

#[tokio::test]
async fn a_read_that_nobody_overtakes_is_kept() {
    let (service, desk, [first, second]) = two_reads().await;
    desk.answer_last(Err(source_error(SourceFault::Throttled)));
    assert!(second.await.unwrap().is_err());
    desk.answer_last(Ok(("token-a", 1)));
    let token = first.await.unwrap().unwrap();
    assert_eq!(service.cached(), Some(token.fingerprint()));
}

#[tokio::test]
async fn a_token_cleared_is_read_anew_though_a_read_is_under_way() {
    let (service, desk, reads) = two_reads().await;
    service.clear();
    let third = {
        let service = service.clone();
        tokio::spawn(async move { service.current().await })
    };
    desk.until_waiting(3).await;
    desk.answer_last(Ok(("token-c", 3)));
    assert_eq!(third.await.unwrap().unwrap().version, Some(3));
    reads.iter().for_each(tokio::task::JoinHandle::abort);
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
async fn a_rejected_token_is_never_handed_out_again() {
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
    // The mended one stays, whatever late reports of the old one say.
    fixture.service.reject(rejected.fingerprint());
    assert_eq!(fixture.kept().await, "token-b");
    // Rolled back to the rejected one: the mended one is the last good one.
    fixture.clock.advance(TTL);
    assert_eq!(fixture.service.refresh().await.unwrap_err(), expected);
    assert_eq!(fixture.kept().await, "token-b");
    fixture.clock.advance(HARD);
    assert_eq!(fixture.current().await.unwrap(), "token-b");
    // Until the home rejects that as well.
    let mended = fixture.service.current().await.unwrap();
    fixture.service.reject(mended.fingerprint());
    assert_eq!(fixture.service.current().await.unwrap_err(), expected);
}

#[tokio::test]
async fn a_rejected_token_that_is_stored_anew_is_handed_out_once_more() {
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
async fn stored_texts_that_are_no_token_are_named_and_not_kept() {
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
async fn an_expired_token_is_not_handed_out() {
    let ended = ending_at(1_000);
    let fixture = fixture([Ok(ended.as_str())]);
    let error = fixture.service.current().await.unwrap_err();
    assert!(matches!(error, TokenError::Expired { .. }), "{error:?}");
    assert_eq!(fixture.service.cached(), None);
}
