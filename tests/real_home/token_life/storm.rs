//! The token is revoked while warm execution environments are under load and cold ones start.

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
/// The interval between two requests to a warm environment.
const INTERVAL: Duration = Duration::from_millis(10);
/// The number of answers of each warm environment before the revocation, and of reported rejections after it.
const ANSWERS: usize = 20;

/// A home that bans addresses, and warm environments that share a table.
struct Storm {
    home: RealHome,
    aws: AwsEmulator,
    warm: Vec<Sandbox>,
}

impl Storm {
    async fn start(login_attempts_threshold: u32) -> Self {
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

    /// Revokes the token while each warm environment handles all of `events` in turn, and cold environments start.
    /// Returns the number of failed logins after the environments have reported the rejection.
    async fn revoke_under_load(&self, events: &[String]) -> usize {
        let calm = Arc::new(AtomicBool::new(false));
        let served = Arc::new(AtomicUsize::new(0));
        let rejected = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for sandbox in &self.warm {
            let (sandbox, calm) = (sandbox.clone(), calm.clone());
            let (served, rejected) = (served.clone(), rejected.clone());
            let events = events.to_vec();
            tasks.spawn(async move {
                let mut pace = tokio::time::interval(INTERVAL);
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

    /// Asserts that the address is not banned: a good token works at once. Then stops the home and AWS.
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

async fn until(condition: impl Fn() -> bool) {
    let mut poll = tokio::time::interval(Duration::from_millis(2));
    while !condition() {
        poll.tick().await;
    }
}

fn get(path: &str) -> String {
    request("GET", path, None, None).to_string()
}

#[tokio::test]
async fn revocation_during_session_reads_causes_at_most_one_failed_login() {
    let storm = Storm::start(3).await;
    let events = [
        get("/api/states"),
        get("/api/config"),
        COMMAND.to_owned(),
        get("/api/services"),
        get("/api/"),
    ];
    let failed = storm.revoke_under_load(&events).await;
    assert!(failed <= 1, "{failed} failed logins");
    storm.assert_not_banned_and_end().await;
}

/// A single state is read over REST. Each environment with such a request in flight may cause a failed login.
#[tokio::test]
async fn revocation_during_rest_reads_causes_at_most_one_failed_login_per_environment() {
    let storm = Storm::start(30).await;
    let failed = storm
        .revoke_under_load(&[get("/api/states/light.bed_light")])
        .await;
    assert!(failed <= WARM, "{failed} failed logins");
    storm.assert_not_banned_and_end().await;
}
