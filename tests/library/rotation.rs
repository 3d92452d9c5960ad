//! Tests of token rotation with a simulated home and an emulated AWS. After a failure at any step, the next run
//! recovers.

mod leases;
mod minting;
mod revoking;
mod serving;
mod several;
mod storing;
mod surroundings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use latchkey::base::clock::{Clock, ManualClock};
use latchkey_dev::home::{HomeToken, SimulatedHome};
use latchkey_dev::stack::{AwsEmulator, Fault, StoredVersion};
use serde_json::Value;
use testkit::{PARAMETER, Sandbox, stopped_clock};

const TABLE: &str = "latchkey";
const ROTATE: &str = r#"{"source":"rotate-token"}"#;
const RESUME: &str = r#"{"source":"rotate-token","resume":true}"#;
/// The call that takes and renews the lease.
const PUT_ITEM: &str = "dynamodb:PutItem";
/// The call that stores a token.
const PUT_PARAMETER: &str = "ssm:PutParameter";
/// A time after which every execution environment has dropped a replaced token.
const DRAINED: Duration = Duration::from_secs(1_000);
/// The timeout of waits that normally end early.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A simulated home, an emulated AWS that holds a valid token, and a clock that only the test moves.
struct RotationStage {
    home: SimulatedHome,
    aws: AwsEmulator,
    clock: Arc<ManualClock>,
}

impl RotationStage {
    async fn start() -> Self {
        let stage = testkit::Stage::builder().token_named("made by hand");
        let testkit::Stage { home, aws, .. } = stage.table(TABLE).start().await;
        Self {
            home,
            aws,
            clock: stopped_clock(),
        }
    }

    /// Returns the variables of an execution environment.
    fn variables(&self) -> BTreeMap<String, String> {
        [
            ("HA_URL", self.home.url().as_str()),
            ("TABLE_NAME", TABLE),
            ("CALLER_AUTH", "none"),
            ("METRICS", "off"),
            ("HA_VALIDATE_TIMEOUT_MS", "700"),
            ("HA_CONNECT_TIMEOUT_MS", "700"),
            ("HA_COMMAND_TIMEOUT_MS", "700"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Starts another execution environment.
    async fn sandbox(&self) -> Sandbox {
        self.sandbox_with(&self.variables()).await
    }

    async fn sandbox_with(&self, variables: &BTreeMap<String, String>) -> Sandbox {
        self.sandbox_at(variables, self.clock.clone()).await
    }

    /// Starts an execution environment with another clock.
    async fn sandbox_at(
        &self,
        variables: &BTreeMap<String, String>,
        clock: Arc<dyn Clock>,
    ) -> Sandbox {
        let sandbox = Sandbox::builder().aws(&self.aws).envs(variables);
        sandbox.clock(clock).any_seed().start().await
    }

    /// Sends an event to an execution environment.
    async fn handle(&self, sandbox: &Sandbox, payload: &str) -> Value {
        sandbox.handle(payload).await
    }

    /// Sends an event that begins a rotation.
    async fn rotate(&self, sandbox: &Sandbox) -> Value {
        self.handle(sandbox, ROTATE).await
    }

    /// Makes one lease write hang, after the first `skipped` lease writes.
    async fn hang_at_renewal(&self, skipped: u32) {
        let fault = Fault::new(PUT_ITEM, "hang")
            .containing("rotation#")
            .skip(skipped)
            .times(1);
        self.aws.inject(&fault).await.unwrap();
    }

    /// Waits until a lease write hangs.
    async fn until_renewal_hangs(&self) {
        self.aws
            .until_hanging(PUT_ITEM, WAIT_TIMEOUT)
            .await
            .unwrap();
    }

    fn tokens(&self) -> Vec<HomeToken> {
        self.home.tokens()
    }

    async fn history(&self) -> Vec<StoredVersion> {
        self.aws.history(PARAMETER).await.unwrap()
    }

    /// Returns the stored token.
    async fn stored(&self) -> String {
        self.history().await.pop().unwrap().value
    }

    /// Asserts that the stored token is `token`, and that the home has no other token.
    async fn assert_untouched(&self, token: &str) {
        assert_eq!(self.stored().await, token);
        let tokens: Vec<_> = self
            .tokens()
            .into_iter()
            .map(|it| it.access_token)
            .collect();
        assert_eq!(tokens, [token]);
    }

    /// Asserts that the home has the stored token and no other token.
    async fn assert_settled(&self) {
        let stored = self.stored().await;
        let tokens: Vec<_> = self
            .tokens()
            .into_iter()
            .map(|it| it.access_token)
            .collect();
        assert_eq!(tokens, [stored]);
    }

    /// Sends an event to a new execution environment after a failed run. By then the lease of the failed run has
    /// expired, and a token that the failed run minted can no longer be stored.
    async fn handle_after_failure(&self, payload: &str) -> Value {
        self.clock.advance(Duration::from_secs(30));
        self.handle(&self.sandbox().await, payload).await
    }

    /// Sends an event to a new execution environment whose clock is past the drain time. The stage's clock does not
    /// move, because the machine's clock dates the next stored token.
    async fn handle_after_drain(&self, payload: &str) -> Value {
        let later = stopped_clock();
        later.advance(DRAINED);
        let sandbox = self.sandbox_at(&self.variables(), later).await;
        sandbox.handle(payload).await
    }

    /// Rotates, drains and resumes in new execution environments. Asserts that one token is left and that this token
    /// is new.
    async fn rotate_to_the_end(&self) {
        let before = self.stored().await;
        let begun = self.handle_after_failure(ROTATE).await;
        assert_eq!(state(&begun), "draining", "{begun}");
        self.finish().await;
        assert_ne!(self.stored().await, before);
    }

    /// Resumes a draining rotation. Asserts that one token is left.
    async fn finish(&self) {
        let answer = self.handle_after_drain(RESUME).await;
        assert_eq!(state(&answer), "rotated", "{answer}");
        self.assert_settled().await;
    }
}

/// Returns the state of the rotation in a response.
fn state(answer: &Value) -> &str {
    let state = answer["rotation"]["state"].as_str();
    state.unwrap_or_else(|| panic!("no rotation: {answer}"))
}

/// Returns the steps of the rotation in a response.
fn steps(answer: &Value) -> String {
    answer["rotation"]["steps"].to_string()
}
