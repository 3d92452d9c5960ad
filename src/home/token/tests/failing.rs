//! A source that fails, hangs, or yields what is of no use, after it has yielded a token.

use super::*;

/// Every failure that says nothing of the token read before.
fn failures() -> Vec<SourceError> {
    [
        SourceFault::AccessDenied,
        SourceFault::Decryption {
            code: "InvalidKeyId".to_owned(),
        },
        SourceFault::NotSecure {
            kind: "String".to_owned(),
        },
        SourceFault::Throttled,
        SourceFault::TimedOut,
        SourceFault::Unreachable { reason: "gone" },
        SourceFault::Failed {
            code: "500".to_owned(),
        },
    ]
    .map(source_error)
    .into()
}

#[tokio::test]
async fn the_last_good_token_outlives_a_failing_source() {
    for error in failures() {
        let fixture = fixture([Ok("token-a"), Err(error.clone()), Ok("token-b")]);
        fixture.current().await.unwrap();
        fixture.clock.advance(HARD);
        assert_eq!(fixture.current().await.unwrap(), "token-a", "{error}");
        assert_eq!(fixture.calls(), 2);
        // The source is left alone for a while, and asked again after it.
        fixture.clock.advance(BACK_OFF - SECOND);
        assert_eq!(fixture.kept().await, "token-a");
        fixture.service.refresh().await.unwrap();
        assert_eq!(fixture.calls(), 2);
        fixture.clock.advance(SECOND);
        assert_eq!(fixture.current().await.unwrap(), "token-b", "{error}");
        assert_eq!(fixture.calls(), 3);
    }
}

#[tokio::test]
async fn a_stored_text_that_is_of_no_use_does_no_harm_to_the_token_before_it() {
    for text in ["Bearer x", "", &ending_at(1_000)] {
        let fixture = fixture([Ok("token-a"), Ok(text)]);
        fixture.current().await.unwrap();
        fixture.clock.advance(TTL);
        assert!(fixture.service.refresh().await.is_err(), "{text}");
        assert_eq!(fixture.kept().await, "token-a", "{text}");
        fixture.clock.advance(HARD);
        assert_eq!(fixture.current().await.unwrap(), "token-a", "{text}");
    }
}

#[tokio::test]
async fn a_refresh_that_fails_is_told_of_and_made_again_after_a_while() {
    let fixture = fixture([
        Ok("token-a"),
        Err(source_error(SourceFault::Throttled)),
        Ok("token-b"),
    ]);
    fixture.current().await.unwrap();
    fixture.clock.advance(TTL);
    let error = fixture.service.refresh().await.unwrap_err();
    assert_eq!(error, source_error(SourceFault::Throttled).into());
    for _ in 0..2 {
        fixture.clock.advance(BACK_OFF / 2);
        assert_eq!(fixture.kept().await, "token-a");
    }
    fixture.service.refresh().await.unwrap();
    assert_eq!(fixture.kept().await, "token-b");
}

#[tokio::test]
async fn a_deleted_token_is_dropped() {
    for waits in [false, true] {
        let fixture = fixture([Ok("token-a"), Err(not_found()), Ok("token-b")]);
        fixture.current().await.unwrap();
        let error = if waits {
            fixture.clock.advance(HARD);
            fixture.current().await.unwrap_err()
        } else {
            fixture.clock.advance(TTL);
            fixture.service.refresh().await.unwrap_err()
        };
        assert_eq!(error, not_found().into());
        assert_eq!(fixture.service.cached(), None);
        assert_eq!(fixture.service.facts().unwrap().version, Some(7));
        assert_eq!(fixture.current().await.unwrap(), "token-b");
    }
}

#[tokio::test]
async fn everyone_past_the_hard_ttl_shares_one_failed_read() {
    let fixture = fixture([Ok("token-a"), Err(source_error(SourceFault::Throttled))]);
    fixture.current().await.unwrap();
    fixture.clock.advance(HARD);
    let all = futures_util::future::join_all((0..100).map(|_| fixture.current())).await;
    assert!(all.iter().all(|it| it.as_deref() == Ok("token-a")));
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test]
async fn a_source_that_hangs_holds_up_nobody_for_long_who_has_a_stale_token() {
    let fixture = fixture([Ok("token-a"), Ok("token-b")]);
    fixture.current().await.unwrap();
    fixture.clock.advance(HARD);
    fixture.script.gate.forget_permits(1_000);
    assert_eq!(fixture.current().await.unwrap(), "token-a");
    assert_eq!(fixture.calls(), 2);
    // Whoever comes later does not wait for what others have waited for in vain.
    fixture.clock.advance(WAIT_WITH_A_STALE_ONE);
    assert_eq!(fixture.kept().await, "token-a");
    fixture
        .clock
        .advance(FETCH_LIMIT - WAIT_WITH_A_STALE_ONE - Duration::from_millis(1));
    assert_eq!(fixture.kept().await, "token-a");
    // The read lands though nobody waits for it any more.
    fixture.script.gate.add_permits(1);
    while fixture.service.fetches() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.kept().await, "token-b");
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test]
async fn a_read_that_never_ends_is_given_up() {
    let fixture = fixture([Ok("token-a"), Ok("token-b")]);
    fixture.current().await.unwrap();
    fixture.clock.advance(HARD);
    let permits = fixture.script.gate.forget_permits(1_000);
    assert_eq!(fixture.current().await.unwrap(), "token-a");
    fixture.clock.advance(FETCH_LIMIT);
    fixture.script.gate.add_permits(permits);
    assert_eq!(fixture.current().await.unwrap(), "token-b");
    assert_eq!(fixture.calls(), 3);
}
