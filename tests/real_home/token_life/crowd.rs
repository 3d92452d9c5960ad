//! Fifty execution environments with one token, and a home that bans an address after three failed logins.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use latchkey::base::clock::{Clock, SystemClock};
use latchkey_dev::stack::{AwsEmulator, Function, RealHome, RealHomeOptions};
use serde_json::{Value, json};
use testkit::{
    COMMAND, KEEP_WARM, PARAMETER, Sandbox, Stage, fingerprint, invoke, parameter_change, problem,
    stopped_clock,
};

const TABLE: &str = "latchkey";
const ENVIRONMENTS: u64 = 50;
/// The number of processes under Lambda's emulator. One process takes as long as all environments in the test's
/// process.
const FUNCTIONS: u64 = 10;

/// A home that bans addresses, and an AWS emulator that stores its token and a table.
struct Crowd {
    home: RealHome,
    aws: AwsEmulator,
}

impl Crowd {
    async fn start() -> Self {
        let options = RealHomeOptions::default().login_attempts_threshold(3);
        let stage = Stage::real().home(options).table(TABLE).start().await;
        let Stage { home, aws, .. } = stage;
        Self { home, aws }
    }

    /// Starts cold execution environments in this process.
    async fn sandboxes(&self, clock: &Arc<dyn Clock>) -> Vec<Sandbox> {
        let cold = (0..ENVIRONMENTS).map(|seed| {
            let sandbox = Sandbox::builder().aws(&self.aws).patient();
            let sandbox = sandbox.env("HA_URL", self.home.url());
            let sandbox = sandbox.env("TABLE_NAME", TABLE);
            sandbox.clock(clock.clone()).seed(seed).start()
        });
        join_all(cold).await
    }

    /// Returns the answer of a cold function to a command.
    async fn answer_of_cold_function(&self) -> Value {
        let options = testkit::options(crate::BOOTSTRAP, &self.aws, self.home.url())
            .env("TABLE_NAME", TABLE)
            .env("HA_VALIDATE_TIMEOUT_MS", "15000")
            .timeout(Duration::from_secs(60));
        let function = Function::start(options).await.unwrap();
        let answer = invoke(&function, &json!({ "command": { "type": "ping" } })).await;
        function.stop().await;
        answer
    }

    /// Starts cold execution environments in this process, and sends a command to all of them at once. Returns the
    /// environments and the answers.
    async fn cold_crowd(&self) -> (Vec<Sandbox>, Vec<Value>) {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let sandboxes = self.sandboxes(&clock).await;
        let answers = join_all(sandboxes.iter().map(|sandbox| sandbox.handle(COMMAND))).await;
        (sandboxes, answers)
    }

    /// Starts cold functions, and sends a command to all of them at once. Returns the answers.
    async fn cold_functions(&self) -> Vec<Value> {
        join_all((0..FUNCTIONS).map(|_| self.answer_of_cold_function())).await
    }

    /// Stores a token that the home has revoked.
    async fn store_revoked(&self, name: &str) {
        let bad = self.home.mint_token(name).await.unwrap();
        self.home.revoke(&bad).await.unwrap();
        self.aws.put_token(PARAMETER, &bad).await.unwrap();
    }

    async fn failed_logins(&self) -> usize {
        self.home.failed_logins().await.unwrap()
    }

    /// Stores a good token, and asserts that it works at once: with an event and without.
    async fn assert_new_token_works_at_once(&self, name: &str, sandboxes: &[Sandbox]) -> String {
        let good = self.home.mint_token(name).await.unwrap();
        self.aws.put_token(PARAMETER, &good).await.unwrap();
        let told = sandboxes[0].handle(&parameter_change(PARAMETER)).await;
        assert_eq!(told["token"]["valid"], true, "{told}");
        assert_eq!(told["token"]["fingerprint"], fingerprint(&good), "{told}");
        sandboxes[0].command().await;
        sandboxes[1].command().await;
        let warm = sandboxes[2].handle(KEEP_WARM).await;
        assert_eq!(warm["token"]["valid"], true, "{warm}");
        good
    }
}

fn assert_all_rejected(answers: &[Value]) {
    for answer in answers {
        assert_eq!(answer["statusCode"], 503, "{answer}");
        assert_eq!(problem(answer), "token-rejected", "{answer}");
    }
}

fn assert_all_run(answers: &[Value]) {
    for answer in answers {
        assert_eq!(answer["results"][0]["success"], true, "{answer}");
    }
}

#[tokio::test]
async fn cold_environments_with_a_revoked_token_cause_one_failed_login() {
    let stage = Crowd::start().await;
    // A good token does not cause a failed login.
    let (_, answers) = stage.cold_crowd().await;
    assert_all_run(&answers);
    assert_eq!(stage.failed_logins().await, 0);

    stage.store_revoked("revoked").await;
    let (sandboxes, answers) = stage.cold_crowd().await;
    assert_eq!(answers.len() as u64, ENVIRONMENTS);
    assert_all_rejected(&answers);
    assert_eq!(stage.failed_logins().await, 1);
    // Further commands do not cause another failed login.
    let again = sandboxes.iter().map(|sandbox| sandbox.handle(COMMAND));
    assert_all_rejected(&join_all(again).await);
    assert_eq!(stage.failed_logins().await, 1);
    stage
        .assert_new_token_works_at_once("mended", &sandboxes)
        .await;
    assert_eq!(stage.failed_logins().await, 1);
    stage.aws.stop().await;
    stage.home.stop().await;
}

#[tokio::test]
async fn cold_functions_with_a_revoked_token_cause_one_failed_login() {
    let stage = Crowd::start().await;
    assert_all_run(&stage.cold_functions().await);
    assert_eq!(stage.failed_logins().await, 0);
    stage.store_revoked("revoked").await;
    let answers = stage.cold_functions().await;
    assert_eq!(answers.len() as u64, FUNCTIONS);
    assert_all_rejected(&answers);
    assert_eq!(stage.failed_logins().await, 1);
    // The address is not banned.
    let good = stage.home.mint_token("mended").await.unwrap();
    stage.aws.put_token(PARAMETER, &good).await.unwrap();
    assert_all_run(&[stage.answer_of_cold_function().await]);
    stage.aws.stop().await;
    stage.home.stop().await;
}

#[tokio::test]
async fn warm_environments_with_a_revoked_token_cause_one_failed_login() {
    let stage = Crowd::start().await;
    let clock = stopped_clock();
    let shared: Arc<dyn Clock> = clock.clone();
    let sandboxes = stage.sandboxes(&shared).await;
    join_all(sandboxes.iter().map(Sandbox::command)).await;
    // The shared acceptance of the token has expired.
    clock.advance(Duration::from_secs(10));

    stage.home.revoke(stage.home.token()).await.unwrap();
    join_all(sandboxes.iter().map(Sandbox::until_disconnected)).await;
    let answers = join_all(sandboxes.iter().map(|sandbox| sandbox.handle(COMMAND))).await;
    assert_all_rejected(&answers);
    assert_eq!(stage.failed_logins().await, 1);

    let good = stage
        .assert_new_token_works_at_once("second", &sandboxes)
        .await;
    join_all(sandboxes.iter().map(Sandbox::command)).await;
    assert_eq!(stage.failed_logins().await, 1);

    // The token is revoked and replaced. All environments lose their sockets at once, and every command succeeds.
    clock.advance(Duration::from_secs(10));
    let third = stage.home.mint_token("third").await.unwrap();
    stage.aws.put_token(PARAMETER, &third).await.unwrap();
    stage.home.revoke(&good).await.unwrap();
    join_all(sandboxes.iter().map(Sandbox::until_disconnected)).await;
    join_all(sandboxes.iter().map(Sandbox::command)).await;
    assert_eq!(stage.failed_logins().await, 2);
    stage.aws.stop().await;
    stage.home.stop().await;
}
