//! No command ever runs twice, and what a caller is told of it is true: whatever happens to the connection, at
//! whichever byte, and whatever the home does.

mod case;
mod play;
mod stage;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use case::{Bytes, Case, Moment, Shape, Trouble};
use latchkey_dev::relay::{Direction, Ending};
use play::{Fate, Told, measure, play};
use stage::{Maker, hurried, unhurried};
use testkit::seed;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How many cases the randomised test plays.
const CASES: u64 = 2_000;

/// Plays cases, so many at a time. What comes back is in their order.
async fn play_all(
    cases: Vec<Case>,
    latchkey: Maker,
    at_a_time: usize,
) -> Vec<Result<Vec<Fate>, String>> {
    let gate = Arc::new(Semaphore::new(at_a_time));
    let mut tasks = JoinSet::new();
    for (index, case) in cases.into_iter().enumerate() {
        let gate = gate.clone();
        tasks.spawn(async move {
            let _permit = gate.acquire().await.unwrap();
            (index, play(case, latchkey).await)
        });
    }
    let mut fates = tasks.join_all().await;
    fates.sort_by_key(|(index, _)| *index);
    fates.into_iter().map(|(_, fates)| fates).collect()
}

#[tokio::test]
async fn whatever_happens_commands_run_at_most_once_and_callers_are_told_the_truth() {
    let mut bytes: HashMap<Shape, Bytes> = HashMap::new();
    for shape in Shape::all() {
        bytes.insert(shape, measure(shape).await);
    }
    let first = seed::seed();
    let seeds: Vec<u64> = (0..CASES)
        .map(|number| first.wrapping_add(number))
        .collect();
    let cases: Vec<Case> = seeds
        .iter()
        .map(|seed| Case::random(*seed, |shape| bytes[&shape]))
        .collect();
    // Many at once: many of them do nothing but wait for a limit.
    let fates = play_all(cases.clone(), hurried, 16).await;

    let mut tally: BTreeMap<(Told, usize), u64> = BTreeMap::new();
    let mut broken = Vec::new();
    for ((seed, case), fates) in seeds.iter().zip(&cases).zip(&fates) {
        match fates {
            Ok(fates) => {
                for fate in fates {
                    *tally.entry((fate.told, fate.executed)).or_default() += 1;
                }
            }
            Err(laws) => broken.push(format!("{}={seed}: {case:?}: {laws}", seed::VARIABLE)),
        }
    }
    println!("{tally:?}");
    assert!(
        broken.is_empty(),
        "{} of {CASES}:\n{}",
        broken.len(),
        broken.join("\n")
    );
    // It has been a test only if every fate was met.
    for fate in [
        (Told::Answered, 1),
        (Told::NotSent, 0),
        (Told::Unknown, 0),
        (Told::Unknown, 1),
    ] {
        let times = tally.get(&fate).copied().unwrap_or_default();
        assert!(times > CASES / 25, "{fate:?} only {times} times: {tally:?}");
    }
}

#[tokio::test]
async fn a_cut_at_every_single_byte_of_a_warm_command() {
    let shape = Shape {
        is_warm: true,
        callers: 1,
        batch: 1,
    };
    let bytes = measure(shape).await;
    let mut cuts = Vec::new();
    for direction in [Direction::ToServer, Direction::ToClient] {
        for ending in [Ending::Fin, Ending::Reset] {
            let all = 0..=bytes.of(direction);
            cuts.extend(all.map(|bytes| (Moment { direction, bytes }, ending)));
        }
    }
    let cases = cuts.iter().map(|(at, ending)| Case {
        shape,
        trouble: Trouble::Cut(*at, *ending),
        threads: 1,
        patience: None,
    });
    let fates = play_all(cases.collect(), unhurried, 2).await;
    let mut broken = Vec::new();
    for ((at, ending), fates) in cuts.iter().zip(&fates) {
        let is_whole = at.bytes == bytes.of(at.direction);
        // Half a frame is no message; a whole one has been heard, whether the caller comes to know it or not.
        let executed = match at.direction {
            Direction::ToServer => usize::from(is_whole),
            Direction::ToClient => 1,
        };
        let told = match at.direction {
            Direction::ToClient if is_whole => Told::Answered,
            Direction::ToServer | Direction::ToClient => Told::Unknown,
        };
        match fates {
            Ok(fates) if *fates == [Fate { told, executed }] => {}
            other => broken.push(format!("{at:?} {ending:?}: {other:?}")),
        }
    }
    assert!(
        broken.is_empty(),
        "{} of {}:\n{}",
        broken.len(),
        cuts.len(),
        broken.join("\n")
    );
}
