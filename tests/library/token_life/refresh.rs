//! The token is read again when nobody waits for it, and another one is taken into use without anybody noticing.

use std::time::Duration;

use latchkey_dev::home::SocketFault;
use latchkey_dev::stack::Fault;
use testkit::{COMMAND, GET_PARAMETER, KEEP_WARM, PARAMETER, fingerprint};

use super::TokenStage;

/// Past the soft TTL, and not past the hard one.
const DUE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn nobody_waits_for_a_token_that_is_due() {
    let stage = TokenStage::set().await;
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
        "answered without a read on the way"
    );
    // Nor when the read after the answer comes to nothing.
    sandbox.after_answer().await;
    assert_eq!(stage.reads().await, reads + 1);
    sandbox.command().await;
    // The source is left alone for a while.
    sandbox.after_answer().await;
    assert_eq!(stage.reads().await, reads + 1);
    stage.aws.clear_faults().await.unwrap();
    stage.clock.advance(Duration::from_secs(30));
    sandbox.command().await;
    assert_eq!(stage.reads().await, reads + 1);
    sandbox.after_answer().await;
    assert_eq!(stage.reads().await, reads + 2);
    sandbox.after_answer().await;
    assert_eq!(stage.reads().await, reads + 2, "it is fresh again");
}

#[tokio::test]
async fn another_token_is_taken_into_use_after_the_answer() {
    let stage = TokenStage::set().await;
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
    assert_eq!(counters.auth_ok, 3, "the third is the new token's");
    let health = sandbox.health();
    assert_eq!(
        health.token.unwrap().fingerprint.to_string(),
        fingerprint(&new)
    );

    // The next command needs nothing but the new socket.
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
async fn a_command_under_way_finishes_on_the_socket_it_began_on() {
    let stage = TokenStage::set().await;
    // Due while the socket is still good.
    let sandbox = stage.sandbox(&[("TOKEN_TTL_SECONDS", "20")]).await;
    sandbox.command().await;
    stage.clock.advance(Duration::from_secs(20));
    sandbox.command().await;
    let asked = |commands: u64| {
        stage
            .home
            .wait_for(move |it| it.commands["ping"] >= commands)
    };
    // Its answer comes in pieces, from now until long after all else here is done.
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
    // Nobody needs it any more.
    stage.home.wait_for(|it| it.open_sockets == 1).await;
}

#[tokio::test]
async fn a_new_token_that_the_home_rejects_costs_one_strike_and_no_command() {
    let stage = TokenStage::set().await;
    let sandbox = stage.sandbox(&[("TOKEN_TTL_SECONDS", "20")]).await;
    sandbox.command().await;
    stage.clock.advance(Duration::from_secs(20));
    let new = stage.home.mint_token("new");
    assert!(stage.home.revoke(&new));
    stage.aws.put_token(PARAMETER, &new).await.unwrap();
    sandbox.command().await;
    sandbox.after_answer().await;
    assert_eq!(stage.home.counters().failed_logins, 1);
    // The socket of the one before is as good as ever.
    for _ in 0..3 {
        sandbox.command().await;
        sandbox.after_answer().await;
        let warm = sandbox.handle(KEEP_WARM).await;
        assert_eq!(warm["statusCode"], 200, "{warm}");
    }
    let counters = stage.home.counters();
    assert_eq!((counters.failed_logins, counters.auth_ok), (1, 1));
}
