//! Tests of a token's expiry, and of the health status during a token's life. latchkey never presents a token after
//! its expiry time.

use std::time::Duration;

use latchkey::base::clock::Clock as _;
use latchkey::home::bridge::{BridgeError, Status};
use latchkey::home::home_assistant::HomeError;
use latchkey::home::token::TokenError;
use latchkey_dev::home::RestFault;
use latchkey_dev::stack::Fault;
use testkit::{
    COMMAND, GET_PARAMETER, KEEP_WARM, PARAMETER, fingerprint, parameter_change, problem,
};

use super::TokenStage;

#[tokio::test]
async fn cached_token_is_not_presented_after_its_expiry() {
    let stage = TokenStage::start().await;
    let left = Duration::from_secs(1_000);
    let end = (stage.clock.now().unix + left).as_secs();
    let token = stage.home.mint_expiring_token("expiring", end);
    stage.aws.put_token(PARAMETER, &token).await.unwrap();
    let sandbox = stage.sandbox(&[("TOKEN_TTL_SECONDS", "86400")]).await;
    sandbox.command().await;
    stage.clock.advance(left - Duration::from_secs(100));
    sandbox.command().await;
    assert_eq!(stage.reads().await, 1);
    let presented = stage.home.counters().presented(&token);

    // The home itself would still accept the token.
    stage.clock.advance(Duration::from_secs(100));
    for payload in [COMMAND, COMMAND] {
        let refused = sandbox.handle(payload).await;
        assert_eq!(problem(&refused), "token-expired", "{refused}");
    }
    let warm = sandbox.handle(KEEP_WARM).await;
    assert_eq!(warm["token"]["valid"], false, "{warm}");
    assert_eq!(problem(&warm["problem"]), "token-expired", "{warm}");
    assert_eq!(stage.home.counters().presented(&token), presented);
    let health = sandbox.health().token.unwrap();
    assert_eq!(health.days_to_expiry, Some(0.0));

    stage.aws.put_token(PARAMETER, &stage.token).await.unwrap();
    sandbox.command().await;
}

#[tokio::test]
async fn health_status_follows_the_state_of_the_token() {
    let stage = TokenStage::start().await;
    let sandbox = stage.sandbox(&[]).await;
    let assert_is = |status: Status, sandbox: &testkit::Sandbox| {
        assert_eq!(sandbox.function.app.status(), status);
        let health = sandbox.health();
        assert_eq!(health.status, status);
        health
    };
    let health = assert_is(Status::Degraded, &sandbox);
    assert!(health.verdict.is_none() && health.token.is_none());

    sandbox.command().await;
    stage.clock.advance(Duration::from_secs(40));
    let health = assert_is(Status::Healthy, &sandbox);
    let (verdict, age) = health.verdict.unwrap();
    assert_eq!((verdict, age), (Ok(()), Duration::from_secs(40)));
    let token = health.token.unwrap();
    assert_eq!(token.fingerprint.to_string(), fingerprint(&stage.token));
    assert_eq!(token.version, Some(1));
    assert_eq!(token.age, Duration::from_secs(40));
    assert!(token.days_to_expiry.unwrap() > 3_000.0);

    // Parameter Store fails, but the token in memory is still valid.
    let fault = Fault::new(GET_PARAMETER, "AccessDeniedException");
    stage.aws.inject(&fault).await.unwrap();
    stage.clock.advance(Duration::from_secs(260));
    sandbox.command().await;
    sandbox.after_answer().await;
    let health = assert_is(Status::Healthy, &sandbox);
    assert_eq!(health.token.unwrap().age, Duration::from_secs(300));
    stage.aws.clear_faults().await.unwrap();

    // The home is starting, so the status is degraded.
    stage.home.set_fault(RestFault::Status(503));
    stage.clock.advance(Duration::from_secs(600));
    let answer = sandbox.handle(COMMAND).await;
    assert_eq!(problem(&answer), "home-starting", "{answer}");
    assert_is(Status::Degraded, &sandbox);
    stage.home.clear_faults();
    sandbox.command().await;
    assert_is(Status::Healthy, &sandbox);

    stage.revoke(&stage.token, &[&sandbox]).await;
    let answer = sandbox.handle(COMMAND).await;
    assert_eq!(problem(&answer), "token-rejected", "{answer}");
    let health = assert_is(Status::Unhealthy, &sandbox);
    let (verdict, _) = health.verdict.unwrap();
    assert!(
        matches!(
            verdict,
            Err(BridgeError::Token(TokenError::Rejected { .. })
                | BridgeError::Home(HomeError::Rejected))
        ),
        "{verdict:?}"
    );
    assert_eq!(
        health.token.unwrap().version,
        Some(1),
        "the report still names the version of the token"
    );

    stage.aws.delete_parameter(PARAMETER).await.unwrap();
    let answer = sandbox.handle(COMMAND).await;
    assert_eq!(problem(&answer), "token-missing", "{answer}");
    assert_is(Status::Unhealthy, &sandbox);

    let mended = stage.home.mint_token("mended");
    stage.aws.put_token(PARAMETER, &mended).await.unwrap();
    let told = sandbox.handle(&parameter_change(PARAMETER)).await;
    assert_eq!(told["token"]["valid"], true, "{told}");
    let health = assert_is(Status::Healthy, &sandbox);
    assert_eq!(
        health.token.unwrap().fingerprint.to_string(),
        fingerprint(&mended)
    );
}
