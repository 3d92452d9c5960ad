//! No command runs twice, and each caller gets a true outcome. The tests cut the connection at any byte and play
//! every fault of the home.

mod case;
mod play;
mod stage;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use case::{Bytes, Case, Moment, Route, Shape, Trouble};
use latchkey_dev::relay::{Direction, Ending};
use play::{Fate, Told, measure, play};
use stage::{Maker, hurried, unhurried};
use testkit::seed;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The number of cases in the randomised test.
const CASES: u64 = 2_000;

/// Plays the cases, at most `at_a_time` concurrently. Returns the results in the order of the cases.
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
async fn commands_run_at_most_once_and_callers_get_a_true_outcome_under_random_faults() {
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
    // Cases run concurrently, because many of them only wait for a timeout.
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
    // The test is meaningful only if every fate occurred often enough.
    for fate in [
        (Told::Answered, 1),
        (Told::NotSent, 0),
        (Told::Unknown, 0),
        (Told::Unknown, 1),
    ] {
        let times = tally.get(&fate).copied().unwrap_or_default();
        assert!(
            times > CASES / 25,
            "{fate:?} occurred only {times} times: {tally:?}"
        );
    }
}

#[tokio::test]
async fn connection_cut_at_any_byte_of_a_warm_command_gives_a_true_outcome() {
    cut_at_any_byte(Route::Session).await;
}

#[tokio::test]
async fn connection_cut_at_any_byte_of_a_warm_rest_write_gives_a_true_outcome() {
    cut_at_any_byte(Route::Rest).await;
}

async fn cut_at_any_byte(route: Route) {
    let shape = Shape {
        route,
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
        // The home ignores a part of a frame or request, and executes a complete one, even if the caller does not get
        // the reply.
        let executed = match at.direction {
            Direction::ToServer => usize::from(is_whole),
            Direction::ToClient => 1,
        };
        let told = match at.direction {
            Direction::ToClient if is_whole => Told::Answered,
            Direction::ToServer | Direction::ToClient => Told::Unknown,
        };
        // A home may drop a complete REST request if its connection ends at the same moment.
        let may_be_dropped = route == Route::Rest && executed == 1 && told == Told::Unknown;
        let dropped = Fate { told, executed: 0 };
        match fates {
            Ok(fates) if *fates == [Fate { told, executed }] => {}
            Ok(fates) if may_be_dropped && *fates == [dropped] => {}
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
