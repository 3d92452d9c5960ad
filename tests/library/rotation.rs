//! Rotation over a simulated home and an emulated AWS: whatever fails, and wherever, the next run puts right.

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
/// Long enough for any sandbox to have let go of a replaced token.
const DRAINED: Duration = Duration::from_secs(1_000);
/// Waits that end as soon as what they are for has happened.
const WITHIN: Duration = Duration::from_secs(60);

/// A simulated home and an emulated AWS with a good token in it, and a clock that only the test moves.
struct RotationStage {
    home: SimulatedHome,
    aws: AwsEmulator,
    clock: Arc<ManualClock>,
}

impl RotationStage {
    async fn set() -> Self {
        let stage = testkit::Stage::builder().token_named("made by hand");
        let testkit::Stage { home, aws, .. } = stage.table(TABLE).start().await;
        Self {
            home,
            aws,
            clock: stopped_clock(),
        }
    }

    /// The variables of a sandbox.
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

    /// One more sandbox.
    async fn sandbox(&self) -> Sandbox {
        self.sandbox_with(&self.variables()).await
    }

    async fn sandbox_with(&self, variables: &BTreeMap<String, String>) -> Sandbox {
        self.sandbox_at(variables, self.clock.clone()).await
    }

    /// A sandbox by another clock.
    async fn sandbox_at(
        &self,
        variables: &BTreeMap<String, String>,
        clock: Arc<dyn Clock>,
    ) -> Sandbox {
        let sandbox = Sandbox::builder().aws(&self.aws).envs(variables);
        sandbox.clock(clock).any_seed().start().await
    }

    /// Hands an event to a sandbox.
    async fn handle(&self, sandbox: &Sandbox, payload: &str) -> Value {
        sandbox.handle(payload).await
    }

    /// Rotates as far as it goes at once.
    async fn rotate(&self, sandbox: &Sandbox) -> Value {
        self.handle(sandbox, ROTATE).await
    }

    /// Has this call of the lease's table hang that comes after so many others.
    async fn hang_at_renewal(&self, skipped: u32) {
        let fault = Fault::new(PUT_ITEM, "hang")
            .containing("rotation#")
            .skip(skipped)
            .times(1);
        self.aws.inject(&fault).await.unwrap();
    }

    /// Waits until it does.
    async fn until_renewal_hangs(&self) {
        self.aws.until_hanging(PUT_ITEM, WITHIN).await.unwrap();
    }

    fn tokens(&self) -> Vec<HomeToken> {
        self.home.tokens()
    }

    async fn history(&self) -> Vec<StoredVersion> {
        self.aws.history(PARAMETER).await.unwrap()
    }

    /// The token in use.
    async fn stored(&self) -> String {
        self.history().await.pop().unwrap().value
    }

    /// Nothing has been minted, or nothing is left of it, and the token in use is the first one.
    async fn assert_untouched(&self, token: &str) {
        assert_eq!(self.stored().await, token);
        let tokens: Vec<_> = self
            .tokens()
            .into_iter()
            .map(|it| it.access_token)
            .collect();
        assert_eq!(tokens, [token]);
    }

    /// The token in use is good and the home knows no other.
    async fn assert_settled(&self) {
        let stored = self.stored().await;
        let tokens: Vec<_> = self
            .tokens()
            .into_iter()
            .map(|it| it.access_token)
            .collect();
        assert_eq!(tokens, [stored]);
    }

    /// Hands an event to a new sandbox after a run that failed: the lease it may have left has ended, and what it may
    /// have minted will not be stored any more.
    async fn next(&self, payload: &str) -> Value {
        self.clock.advance(Duration::from_secs(30));
        self.handle(&self.sandbox().await, payload).await
    }

    /// Hands an event to a new sandbox by whose clock nobody can use a replaced token any more. The stage's own stays
    /// where it is: what is stored next is dated by the machine's.
    async fn later(&self, payload: &str) -> Value {
        let later = stopped_clock();
        later.advance(DRAINED);
        let sandbox = self.sandbox_at(&self.variables(), later).await;
        sandbox.handle(payload).await
    }

    /// Rotates, waits until the old token is out of use, and resumes, on sandboxes that have nothing in memory:
    /// whatever happened before, that ends with one token, another one than the one in use now.
    async fn rotate_to_the_end(&self) {
        let before = self.stored().await;
        let begun = self.next(ROTATE).await;
        assert_eq!(state(&begun), "draining", "{begun}");
        self.finish().await;
        assert_ne!(self.stored().await, before);
    }

    /// Finishes what was begun.
    async fn finish(&self) {
        let answer = self.later(RESUME).await;
        assert_eq!(state(&answer), "rotated", "{answer}");
        self.assert_settled().await;
    }
}

/// How far a run came.
fn state(answer: &Value) -> &str {
    let state = answer["rotation"]["state"].as_str();
    state.unwrap_or_else(|| panic!("no rotation: {answer}"))
}

/// What it did, in its own words.
fn steps(answer: &Value) -> String {
    answer["rotation"]["steps"].to_string()
}
