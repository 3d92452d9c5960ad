//! Tests of execution environments that share token verdicts over a table. One environment presents a token, and the
//! others wait for the verdict. Without the table, each environment presents the token itself.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::Clock;
use latchkey::base::config::HomeAddress;
use latchkey::base::random::Random;
use latchkey::base::secret::AccessToken;
use latchkey::base::table::Table;
use latchkey::home::verdict::{SharedVerdicts, Standing, Verdict, Verdicts};
use latchkey_dev::home::{RestFault, SocketFault};
use latchkey_dev::stack::Fault;
use serde_json::Value;
use testkit::{COMMAND, KEEP_WARM, PARAMETER, fingerprint, parameter_change, problem};

use super::{TABLE, TokenStage};

const PUT_ITEM: &str = "dynamodb:PutItem";

/// The longest time of a presentation by the test, which acts as an execution environment.
const PRESENTATION: Duration = Duration::from_secs(3);

impl TokenStage {
    /// Returns the verdicts on this home's tokens, as another environment uses them.
    fn verdicts(&self) -> Verdicts {
        let address = HomeAddress::parse(&self.home.url()).unwrap();
        let client = aws_sdk_dynamodb::Client::new(self.aws.sdk_config());
        let table = Table::new(client, TABLE.to_owned());
        let clock: Arc<dyn Clock> = self.clock.clone();
        Verdicts {
            store: Arc::new(SharedVerdicts::new(table)),
            // The scope of a home without a name is its address.
            scope: format!("{address} {address}"),
            presentation_limit: PRESENTATION,
            clock,
            random: Random::seeded(9),
        }
    }

    /// Asserts that the table does not contain a token, its signature or its fingerprint.
    async fn assert_table_does_not_reveal(&self, token: &str) {
        let items = self.aws.items(TABLE).await.unwrap();
        assert!(!items.is_empty());
        let text = serde_json::to_string(&items).unwrap();
        let signature = token.rsplit('.').next().unwrap();
        for secret in [token, signature, &fingerprint(token)] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    fn failed_logins(&self) -> u64 {
        self.home.counters().failed_logins
    }
}

fn assert_rejected(answer: &Value) {
    assert_eq!(answer["statusCode"], 503, "{answer}");
    assert_eq!(problem(answer), "token-rejected", "{answer}");
}

#[tokio::test]
async fn each_later_environment_takes_its_own_claim() {
    let stage = TokenStage::start().await;
    for presented in 1..=3 {
        let sandbox = stage.sharing_sandbox().await;
        sandbox.command().await;
        // An acceptance is shared after the response.
        sandbox.after_answer().await;
        assert_eq!(stage.writes().await, 2 * presented, "a claim and a verdict");
        stage.clock.advance(Duration::from_millis(1));
    }
    stage.assert_table_does_not_reveal(&stage.token).await;
}

#[tokio::test]
async fn environment_waits_for_the_verdict_of_a_running_presentation() {
    for (verdict, presented) in [(Verdict::Rejected, 0), (Verdict::Accepted, 1)] {
        let stage = TokenStage::start().await;
        // The test plays the environment that presents the token.
        let verdicts = stage.verdicts();
        let token = AccessToken::new(stage.token.as_str().into()).fingerprint();
        let Standing::Present(claim) = verdicts.await_turn(token, Some(1)).await else {
            panic!("the test must get the claim");
        };
        let waiting = stage.sharing_sandbox().await;
        let answer = {
            let waiting = waiting.clone();
            tokio::spawn(async move { waiting.handle(COMMAND).await })
        };
        // The waiting environment has polled the table more than once and has not sent a request to the home.
        while stage.writes().await < 4 {
            assert!(!answer.is_finished());
        }
        assert_eq!(stage.home.counters().config_checks, 0);
        stage.clock.advance(Duration::from_millis(1));
        verdicts.settle(claim, verdict).await;
        let answer = answer.await.unwrap();
        match verdict {
            Verdict::Rejected => assert_rejected(&answer),
            _ => assert_eq!(answer["results"][0]["success"], true, "{answer}"),
        }
        assert_eq!(stage.home.counters().config_checks, presented);
        // The waiting environment does not overwrite the verdict.
        let states = stage.aws.items(TABLE).await.unwrap();
        let state = if presented == 0 {
            "rejected"
        } else {
            "accepted"
        };
        assert_eq!(states[0]["state"], state, "{states:?}");
        stage.assert_table_does_not_reveal(&stage.token).await;
    }
}

#[tokio::test]
async fn claim_of_a_dead_environment_expires() {
    let stage = TokenStage::start().await;
    let verdicts = stage.verdicts();
    let token = AccessToken::new(stage.token.as_str().into()).fingerprint();
    let standing = verdicts.await_turn(token, Some(1)).await;
    assert!(matches!(standing, Standing::Present(_)), "{standing:?}");
    drop(standing);
    let waiting = stage.sharing_sandbox().await;
    let answer = tokio::spawn(async move { waiting.handle(COMMAND).await });
    while stage.writes().await < 3 {
        assert!(!answer.is_finished());
    }
    assert_eq!(stage.home.counters().config_checks, 0);
    // The longest presentation would have ended by now.
    stage.clock.advance(PRESENTATION * 2);
    let answer = answer.await.unwrap();
    assert_eq!(answer["results"][0]["success"], true, "{answer}");
    assert_eq!(stage.home.counters().config_checks, 1);
}

#[tokio::test]
async fn presentation_without_a_verdict_passes_the_turn_to_the_next_environment() {
    let stage = TokenStage::start().await;
    stage.home.set_fault_times(RestFault::Status(502), 1);
    let (first, second) = (stage.sharing_sandbox().await, stage.sharing_sandbox().await);
    let answer = first.handle(COMMAND).await;
    assert_eq!(answer["statusCode"], 503, "{answer}");
    second.command().await;
    assert_eq!(stage.home.counters().config_checks, 2);
}

#[tokio::test]
async fn rejection_stands_until_another_version_is_stored() {
    let stage = TokenStage::start().await;
    assert!(stage.home.revoke(&stage.token));
    let (first, second) = (stage.sharing_sandbox().await, stage.sharing_sandbox().await);
    assert_rejected(&first.handle(COMMAND).await);
    stage.clock.advance(Duration::from_secs(86_400));
    for _ in 0..3 {
        assert_rejected(&second.handle(COMMAND).await);
        let warm = second.handle(KEEP_WARM).await;
        assert_eq!(warm["token"]["valid"], false, "{warm}");
        assert_eq!(problem(&warm["problem"]), "token-rejected", "{warm}");
    }
    assert_eq!(stage.failed_logins(), 1);

    // A newly stored version of the same token is presented once more, by one environment.
    stage.aws.put_token(PARAMETER, &stage.token).await.unwrap();
    for sandbox in [&first, &second, &stage.sharing_sandbox().await] {
        assert_rejected(&sandbox.handle(COMMAND).await);
        assert_eq!(stage.failed_logins(), 2);
    }
    let mended = stage.home.mint_token("mended");
    stage.aws.put_token(PARAMETER, &mended).await.unwrap();
    first.command().await;
    second.command().await;
    assert_eq!(stage.failed_logins(), 2);
    stage.assert_table_does_not_reveal(&stage.token).await;
    stage.assert_table_does_not_reveal(&mended).await;
}

#[tokio::test]
async fn rejection_on_the_websocket_is_shared() {
    let stage = TokenStage::start().await;
    let (first, second) = (stage.sharing_sandbox().await, stage.sharing_sandbox().await);
    stage.home.set_fault_times(SocketFault::AuthInvalid, 1);
    assert_rejected(&first.handle(COMMAND).await);
    first.after_answer().await;
    let before = stage.home.counters();
    assert_eq!((before.auth_invalid, before.failed_logins), (1, 1));
    // The home would accept the token now.
    assert_rejected(&second.handle(COMMAND).await);
    let after = stage.home.counters();
    assert_eq!(after.tokens_presented, before.tokens_presented);
    stage.assert_table_does_not_reveal(&stage.token).await;

    stage.aws.put_token(PARAMETER, &stage.token).await.unwrap();
    let told = second.handle(&parameter_change(PARAMETER)).await;
    assert_eq!(told["token"]["valid"], true, "{told}");
    first.command().await;
}

#[tokio::test]
async fn token_is_presented_without_a_claim_when_the_table_fails() {
    let stage = TokenStage::start().await;
    let mut presented = 0;
    for code in [
        "500",
        "AccessDeniedException",
        "ThrottlingException",
        "hang",
    ] {
        let fault = Fault::new(PUT_ITEM, code);
        stage.aws.inject(&fault).await.unwrap();
        stage.sharing_sandbox().await.command().await;
        presented += 1;
        assert_eq!(stage.home.counters().config_checks, presented, "{code}");
        stage.aws.clear_faults().await.unwrap();
    }
    let misled = stage.sandbox(&[("TABLE_NAME", "nowhere")]).await;
    misled.command().await;
    assert_eq!(stage.home.counters().config_checks, presented + 1);

    // Without the table, each environment presents the rejected token once.
    assert!(stage.home.revoke(&stage.token));
    let fault = Fault::new(PUT_ITEM, "AccessDeniedException");
    stage.aws.inject(&fault).await.unwrap();
    for strikes in 1..=2 {
        let sandbox = stage.sharing_sandbox().await;
        for _ in 0..3 {
            assert_rejected(&sandbox.handle(COMMAND).await);
        }
        assert_eq!(stage.failed_logins(), strikes);
    }
}

#[tokio::test]
async fn unwritable_verdict_does_not_fail_the_command() {
    let stage = TokenStage::start().await;
    // The claim is written and the verdict is lost.
    for code in ["500", "hang"] {
        let fault = Fault::new(PUT_ITEM, code).skip(1);
        stage.aws.inject(&fault).await.unwrap();
        let sandbox = stage.sharing_sandbox().await;
        sandbox.command().await;
        sandbox.after_answer().await;
        stage.aws.clear_faults().await.unwrap();
        // The claim has expired by then.
        stage.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(stage.home.counters().config_checks, 2);
}

#[tokio::test]
async fn many_environments_that_lose_their_sockets_cost_one_failed_login() {
    let stage = TokenStage::start().await;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        let sandbox = stage.sharing_sandbox().await;
        sandbox.command().await;
        crowd.push(sandbox);
    }
    // Only 1 ms has passed since the home accepted the token.
    stage.clock.advance(Duration::from_millis(1));
    stage
        .revoke(&stage.token, &crowd.iter().collect::<Vec<_>>())
        .await;
    let answers = crowd.iter().map(|sandbox| sandbox.handle(COMMAND));
    for answer in futures_util::future::join_all(answers).await {
        assert_rejected(&answer);
    }
    assert_eq!(stage.failed_logins(), 1);
}
