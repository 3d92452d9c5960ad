//! Tests of the token refresh. latchkey reads a due token after a response, so no caller waits for the read.

use std::time::Duration;

use latchkey_dev::home::SocketFault;
use latchkey_dev::stack::Fault;
use testkit::{COMMAND, GET_PARAMETER, KEEP_WARM, PARAMETER, fingerprint};

use super::TokenStage;

/// A time past the soft TTL and before the hard TTL.
const DUE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn caller_does_not_wait_for_the_read_of_a_due_token() {
    let stage = TokenStage::start().await;
    let sandbox = stage.sandbox(&[]).await;
    sandbox.command().await;
    let reads = stage.reads().await;
    let fault = Fault::new(GET_PARAMETER, "hang");
    stage.aws.inject(&fault).await.unwrap();
    stage.clock.advance(DUE);
    sandbox.command().await;
    assert_eq!(
        stage.reads().await,
        reads,
        "the answer must not wait for a read"
    );
    // A failed read after the response does not delay the next command either.
    sandbox.after_answer().await;
    assert_eq!(stage.reads().await, reads + 1);
    sandbox.command().await;
    // After the failure, latchkey does not read the token for a while.
    sandbox.after_answer().await;
    assert_eq!(stage.reads().await, reads + 1);
    stage.aws.clear_faults().await.unwrap();
    stage.clock.advance(Duration::from_secs(30));
    sandbox.command().await;
    assert_eq!(stage.reads().await, reads + 1);
    sandbox.after_answer().await;
    assert_eq!(stage.reads().await, reads + 2);
    sandbox.after_answer().await;
    assert_eq!(
        stage.reads().await,
        reads + 2,
        "the token is fresh again, so no read is needed"
    );
}

#[tokio::test]
async fn new_token_is_put_into_use_after_the_response() {
    let stage = TokenStage::start().await;
    let sandbox = stage.sandbox(&[]).await;
    sandbox.command().await;
    stage.clock.advance(DUE);
    let new = stage.home.mint_token("new");
    stage.aws.put_token(PARAMETER, &new).await.unwrap();
    sandbox.command().await;
    assert_eq!(stage.home.counters().presented(&new), 0);

    sandbox.after_answer().await;
    let counters = stage.home.counters();
    assert!(
        counters.presented(&new) >= 2,
        "over REST and over the socket"
    );
    assert_eq!(
        counters.auth_ok, 3,
        "the third login is that of the new token"
    );
    let health = sandbox.health();
    assert_eq!(
        health.token.unwrap().fingerprint.to_string(),
        fingerprint(&new)
    );

    // The next command uses only the new socket.
    assert!(stage.home.revoke(&stage.token));
    let reads = stage.reads().await;
    sandbox.command().await;
    assert_eq!(stage.reads().await, reads);
    let after = stage.home.counters();
    assert_eq!(after.auth_ok, counters.auth_ok);
    assert_eq!(after.config_checks, counters.config_checks);
    assert_eq!(after.failed_logins, 0);
}

#[tokio::test]
async fn command_in_flight_finishes_on_its_original_socket() {
    let stage = TokenStage::start().await;
    // The token is due while the socket is still fresh.
    let sandbox = stage.sandbox(&[("TOKEN_TTL_SECONDS", "20")]).await;
    sandbox.command().await;
    stage.clock.advance(Duration::from_secs(20));
    sandbox.command().await;
    let asked = |commands: u64| {
        stage
            .home
            .wait_for(move |it| it.commands["ping"] >= commands)
    };
    // The reply arrives in pieces and ends after all other steps of the test.
    let fault = SocketFault::SlowReply(Duration::from_millis(100));
    stage.home.set_fault(fault);
    let slow = {
        let sandbox = sandbox.clone();
        tokio::spawn(async move { sandbox.handle(COMMAND).await })
    };
    asked(3).await;
    stage.home.clear_faults();

    let new = stage.home.mint_token("new");
    stage.aws.put_token(PARAMETER, &new).await.unwrap();
    sandbox.after_answer().await;
    assert!(stage.home.counters().presented(&new) >= 2);
    assert!(!slow.is_finished());
    sandbox.command().await;
    assert_eq!(stage.home.counters().open_sockets, 2);
    let slow = slow.await.unwrap();
    assert_eq!(slow["results"][0]["success"], true, "{slow}");
    // The old socket closes after its last command.
    stage.home.wait_for(|it| it.open_sockets == 1).await;
}

#[tokio::test]
async fn rejected_new_token_costs_one_failed_login_and_no_command() {
    let stage = TokenStage::start().await;
    let sandbox = stage.sandbox(&[("TOKEN_TTL_SECONDS", "20")]).await;
    sandbox.command().await;
    stage.clock.advance(Duration::from_secs(20));
    let new = stage.home.mint_token("new");
    assert!(stage.home.revoke(&new));
    stage.aws.put_token(PARAMETER, &new).await.unwrap();
    sandbox.command().await;
    sandbox.after_answer().await;
    assert_eq!(stage.home.counters().failed_logins, 1);
    // The socket of the old token still works.
    for _ in 0..3 {
        sandbox.command().await;
        sandbox.after_answer().await;
        let warm = sandbox.handle(KEEP_WARM).await;
        assert_eq!(warm["statusCode"], 200, "{warm}");
    }
    let counters = stage.home.counters();
    assert_eq!((counters.failed_logins, counters.auth_ok), (1, 1));
}
