//! Tests with a source that fails, hangs or returns an invalid token after it has returned a valid token.

use super::*;

/// All source failures that do not invalidate the cached token.
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
async fn last_good_token_is_served_while_the_source_fails() {
    for error in failures() {
        let fixture = fixture([Ok("token-a"), Err(error.clone()), Ok("token-b")]);
        fixture.current().await.unwrap();
        fixture.clock.advance(HARD);
        assert_eq!(fixture.current().await.unwrap(), "token-a", "{error}");
        assert_eq!(fixture.calls(), 2);
        // No fetch takes place for a while. Then the source is tried again.
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
async fn last_good_token_is_served_while_the_stored_text_is_invalid() {
    for text in ["Bearer x", "", &expiring_at(1_000)] {
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
async fn failed_refresh_returns_the_error_and_is_retried_later() {
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
async fn deleted_token_is_dropped() {
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
async fn concurrent_callers_past_hard_ttl_share_one_failed_fetch() {
    let fixture = fixture([Ok("token-a"), Err(source_error(SourceFault::Throttled))]);
    fixture.current().await.unwrap();
    fixture.clock.advance(HARD);
    let all = futures_util::future::join_all((0..100).map(|_| fixture.current())).await;
    assert!(all.iter().all(|it| it.as_deref() == Ok("token-a")));
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test]
async fn hanging_source_delays_callers_with_a_stale_token_only_briefly() {
    let fixture = fixture([Ok("token-a"), Ok("token-b")]);
    fixture.current().await.unwrap();
    fixture.clock.advance(HARD);
    fixture.script.gate.forget_permits(1_000);
    assert_eq!(fixture.current().await.unwrap(), "token-a");
    assert_eq!(fixture.calls(), 2);
    // A later caller does not wait for a fetch that other callers have already waited for.
    fixture.clock.advance(WAIT_WITH_STALE_TOKEN);
    assert_eq!(fixture.kept().await, "token-a");
    fixture
        .clock
        .advance(FETCH_LIMIT - WAIT_WITH_STALE_TOKEN - Duration::from_millis(1));
    assert_eq!(fixture.kept().await, "token-a");
    // The fetch fills the cache although no caller waits for it.
    fixture.script.gate.add_permits(1);
    while fixture.service.fetches() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.kept().await, "token-b");
    assert_eq!(fixture.calls(), 2);
}

#[tokio::test]
async fn fetch_that_never_ends_is_replaced() {
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
