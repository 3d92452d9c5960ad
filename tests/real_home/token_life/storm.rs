//! Warm environments under load whose token is revoked, and cold ones that start just then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use latchkey_dev::stack::{AwsEmulator, RealHome, RealHomeOptions};
use testkit::callers::request;
use testkit::{COMMAND, PARAMETER, Sandbox, Stage};
use tokio::task::JoinSet;

const TABLE: &str = "latchkey";
const WARM: usize = 6;
const COLD: usize = 10;
/// How often each warm environment is asked.
const EVERY: Duration = Duration::from_millis(10);
/// How many answers each warm environment has given before the token is revoked, and gives of the rejection after it.
const ANSWERS: usize = 20;

/// A home that bans, and warm environments that share a table.
struct Storm {
    home: RealHome,
    aws: AwsEmulator,
    warm: Vec<Sandbox>,
}

impl Storm {
    async fn brew(login_attempts_threshold: u32) -> Self {
        let options = RealHomeOptions::default().login_attempts_threshold(login_attempts_threshold);
        let stage = Stage::real().home(options).table(TABLE).start().await;
        let Stage { home, aws, .. } = stage;
        let mut storm = Self {
            home,
            aws,
            warm: Vec::new(),
        };
        storm.warm = storm.sandboxes(WARM).await;
        join_all(storm.warm.iter().map(Sandbox::command)).await;
        storm
    }

    async fn sandboxes(&self, count: usize) -> Vec<Sandbox> {
        let new = (0..count).map(|_| {
            let sandbox = Sandbox::builder().aws(&self.aws).patient();
            let sandbox = sandbox.env("HA_URL", self.home.url());
            sandbox.env("TABLE_NAME", TABLE).any_seed().start()
        });
        join_all(new).await
    }

    /// Revokes the token while every warm environment is asked all of `events` in turn, and cold ones start. Returns
    /// how many failed logins that costs, once all have told of the rejection.
    async fn break_loose(&self, events: &[String]) -> usize {
        let calm = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicUsize::new(0));
        let rejected = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for sandbox in &self.warm {
            let (sandbox, calm) = (sandbox.clone(), calm.clone());
            let (served, rejected) = (served.clone(), rejected.clone());
            let events = events.to_vec();
            tasks.spawn(async move {
                let mut pace = tokio::time::interval(EVERY);
                for event in events.iter().cycle() {
                    pace.tick().await;
                    let answer = sandbox.handle(event).await;
                    let counter = match answer["statusCode"].as_u64() {
                        Some(200) => &served,
                        _ => &rejected,
                    };
                    counter.fetch_add(1, Ordering::SeqCst);
                    if calm.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        until(|| served.load(Ordering::SeqCst) >= WARM * ANSWERS).await;
        let cold = self.sandboxes(COLD).await;
        let cold = async {
            join_all(cold.iter().map(|sandbox| sandbox.handle(COMMAND))).await;
        };
        let (revoked, ()) = tokio::join!(self.home.revoke(self.home.token()), cold);
        revoked.unwrap();
        until(|| rejected.load(Ordering::SeqCst) >= WARM * ANSWERS).await;
        calm.store(true, Ordering::SeqCst);
        tasks.join_all().await;
        self.home.failed_logins().await.unwrap()
    }

    /// The address is not banned: a good token works at once.
    async fn assert_not_banned_and_end(self) {
        let good = self.home.mint_token("good").await.unwrap();
        self.aws.put_token(PARAMETER, &good).await.unwrap();
        for sandbox in &self.warm {
            sandbox.command().await;
        }
        self.aws.stop().await;
        self.home.stop().await;
    }
}

async fn until(is_so: impl Fn() -> bool) {
    let mut poll = tokio::time::interval(Duration::from_millis(2));
    while !is_so() {
        poll.tick().await;
    }
}

fn get(path: &str) -> String {
    request("GET", path, None, None).to_string()
}

#[tokio::test]
async fn a_storm_of_reads_that_the_session_answers_costs_one_failed_login() {
    let storm = Storm::brew(3).await;
    let events = [
        get("/api/states"),
        get("/api/config"),
        COMMAND.to_owned(),
        get("/api/services"),
        get("/api/"),
    ];
    let failed = storm.break_loose(&events).await;
    assert!(failed <= 1, "{failed} failed logins");
    storm.assert_not_banned_and_end().await;
}

/// A single state is asked for over REST: each environment with such a request in flight may cost a failed login.
#[tokio::test]
async fn a_storm_of_single_states_costs_one_failed_login_an_environment() {
    let storm = Storm::brew(30).await;
    let failed = storm
        .break_loose(&[get("/api/states/light.bed_light")])
        .await;
    assert!(failed <= WARM, "{failed} failed logins");
    storm.assert_not_banned_and_end().await;
}
