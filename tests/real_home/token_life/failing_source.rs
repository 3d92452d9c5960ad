//! Each failure of Parameter Store at each point of a token's life.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use latchkey_dev::stack::{RealHome, RealHomeOptions};
use testkit::{Stage, relay_to};

use super::cell::{Act, Cell, Point};
use super::errors::{Failure, Kind};

/// The expected outcomes.
///
/// A cell starts with the outcome of a command, or with `token.valid` and the problem in the answer to an event. `!`
/// stands for the problem of the failure. The counts follow: tokens presented over REST (`p`), uses of a stale token
/// (`s`), successful / failed reads (`r`).
///
/// A failed read does not fail a command while the cached token is good. Keep-warm then reports a valid token and the
/// problem of the read. A deleted parameter ends the use of the cached token. A token that the home has rejected is
/// reported as invalid.
const TABLE: &str = "
point                  | act       | unreadable          | hanging             | deleted             | expired
cold                   | command   | ! p0 s0 r0/1        | ! p0 s0 r0/1        | ! p0 s0 r0/1        | ! p0 s0 r0/1
cold                   | keep-warm | null ! p0 s0 r0/1   | null ! p0 s0 r0/1   | null ! p0 s0 r0/1   | false ! p0 s0 r0/1
cold                   | event     | null ! p0 s0 r0/1   | null ! p0 s0 r0/1   | null ! p0 s0 r0/1   | false ! p0 s0 r0/1
fresh                  | command   | ok p0 s0 r0/0       | ok p0 s0 r0/0       | ok p0 s0 r0/0       | ok p0 s0 r0/0
fresh                  | keep-warm | true p0 s0 r0/0     | true p0 s0 r0/0     | true p0 s0 r0/0     | true p0 s0 r0/0
fresh                  | event     | true ! p1 s0 r0/1   | true ! p1 s0 r0/1   | null ! p0 s0 r0/1   | true ! p1 s0 r0/1
past soft              | command   | ok p0 s0 r0/1       | ok p0 s0 r0/1       | ok p0 s0 r0/1       | ok p0 s0 r0/1
past soft              | keep-warm | true ! p1 s0 r0/1   | true ! p1 s0 r0/1   | null ! p0 s0 r0/1   | true ! p1 s0 r0/1
past hard, live socket | command   | ok p0 s0 r0/1       | ok p0 s0 r0/1       | ok p0 s0 r0/1       | ok p0 s0 r0/1
past hard, live socket | keep-warm | true ! p1 s1 r0/1   | true ! p1 s1 r0/1   | null ! p0 s0 r0/1   | true ! p1 s1 r0/1
past hard, dead socket | command   | ok p1 s1 r0/1       | ok p1 s1 r0/1       | ! p0 s0 r0/1        | ok p1 s1 r0/1
past hard, dead socket | keep-warm | true ! p1 s1 r0/1   | true ! p1 s1 r0/1   | null ! p0 s0 r0/1   | true ! p1 s1 r0/1
revoked                | command   | ! p1 s0 r0/1        | ! p1 s0 r0/1        | ! p1 s0 r0/1        | ! p1 s0 r0/1
revoked                | keep-warm | false ! p1 s0 r0/1  | false ! p1 s0 r0/1  | false ! p1 s0 r0/1  | false ! p1 s0 r0/1
revoked                | event     | false ! p1 s0 r0/2  | false ! p1 s0 r0/2  | null ! p0 s0 r0/1   | false ! p1 s0 r0/2
";

/// The number of execution environments that start concurrently.
const STARTS_AT_ONCE: usize = 4;

/// A row of the table.
struct Row {
    point: &'static str,
    act: &'static str,
    unreadable: &'static str,
    hanging: &'static str,
    deleted: &'static str,
    expired: &'static str,
}

impl Row {
    fn all() -> Vec<Self> {
        let lines = TABLE.trim().lines().skip(1);
        lines
            .map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                let [point, act, unreadable, hanging, deleted, expired] = cells[..] else {
                    panic!("{line}");
                };
                Self {
                    point,
                    act,
                    unreadable,
                    hanging,
                    deleted,
                    expired,
                }
            })
            .collect()
    }

    fn expected(&self, failure: &Failure) -> String {
        let cell = match failure.kind {
            Kind::Unreadable => self.unreadable,
            Kind::Hanging => self.hanging,
            Kind::Deleted => self.deleted,
            Kind::Expired => self.expired,
        };
        cell.replace('!', failure.problem)
    }
}

/// Runs all rows of one failure at once. Returns the cells that differ from the table.
async fn differences(world: &Stage<RealHome>, number: usize, failure: &Failure) -> Vec<String> {
    let rows = Row::all();
    let relay = relay_to(world.aws.endpoint()).await;
    let cells = rows.iter().enumerate().map(|(row, of)| {
        let (point, act) = (Point::named(of.point), Act::named(of.act));
        let id = format!("{number}-{row}");
        let (world, relay) = (world, &relay);
        async move { Cell::start(world, relay, &id, point, act).await }
    });
    let cells: Vec<Cell> = stream::iter(cells).buffered(STARTS_AT_ONCE).collect().await;
    // One delivery at a time, and none together with the events: a delivery that times out on a busy machine is
    // repeated, and its values then count twice.
    for cell in &cells {
        cell.sandbox.deliver_metrics().await;
    }
    let parameters: Vec<String> = cells.iter().map(|cell| cell.parameter.clone()).collect();
    failure.inject(&world.aws, &relay, &parameters).await;
    let outcomes = join_all(cells.iter().map(Cell::handle_event)).await;
    failure.clear(&relay);
    let mut differences = Vec::new();
    for ((row, cell), outcome) in rows.iter().zip(&cells).zip(outcomes) {
        let seen = format!("{outcome} {}", cell.measured(world).await);
        let expected = row.expected(failure);
        if seen != expected {
            let place = format!("{}, {}, {}", failure.name, row.point, row.act);
            differences.push(format!("{place}: {seen}, not {expected}"));
        }
    }
    differences
}

#[tokio::test]
async fn each_failure_at_each_point_matches_the_table() {
    // Home Assistant logs failed logins only if their number is limited.
    let options = RealHomeOptions::default().login_attempts_threshold(1_000);
    let world = Stage::real().home(options).start().await;
    let failures = Failure::all();
    let mut wrong = Vec::new();
    for (number, failure) in failures.iter().enumerate() {
        wrong.extend(differences(&world, number, failure).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The log of the home shows that each revoked token was presented once.
    let rows = Row::all();
    let presented = failures.iter().flat_map(|failure| {
        let revoked = rows.iter().filter(|row| row.point == "revoked");
        revoked.filter(|row| row.expected(failure).contains(" p1 "))
    });
    let strikes = world.home.failed_logins().await.unwrap();
    assert_eq!(strikes, presented.count());
    world.aws.clear_faults().await.unwrap();
    world.stop().await;
}
