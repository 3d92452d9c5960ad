//! Memory after many commands.

use latchkey_dev::home::HomeOptions;
use serde_json::json;

use crate::command::{direct, turn_on};
use crate::error::Error;
use crate::figures::{Figure, rounded};
use crate::network::Network;
use crate::part::Part;
use crate::sandbox::{Memory, Sandbox};
use crate::surroundings::Surroundings;

pub(super) const WHAT: &str = "peak resident set after 10,000 mixed commands, and with large replies; the ratio is to \
    the bare function's after the same number of invocations";

const COMMANDS: usize = 10_000;
/// The number of commands after which the process is warm.
const WARM: usize = 2_000;
const STATES_BYTES: usize = 50_000;
const MANY_STATES_BYTES: usize = 5_000_000;
const BIG_REPLIES: usize = 3;

const PEAK_LIMIT_KIB: u64 = 12_000_000 / 1024;
/// The allowed growth from the 2,000th command to the last one.
const GROWTH_LIMIT_KIB: u64 = 512;

pub(super) async fn measure(surroundings: &Surroundings) -> Result<Vec<Figure>, Error> {
    let bare = bare(surroundings).await?;
    let (start, warm, end) = mixed(surroundings).await?;
    let (before, big, reply_bytes) = big(surroundings).await?;
    let growth = end.resident_kib.saturating_sub(warm.resident_kib);
    let big_growth = big.peak_kib.saturating_sub(before.peak_kib);
    let twice_kib = 2 * u64::try_from(reply_bytes).unwrap_or(u64::MAX) / 1024;
    let held =
        end.peak_kib < PEAK_LIMIT_KIB && growth <= GROWTH_LIMIT_KIB && big_growth < twice_kib;
    let ratio = |kib: u64, of: u64| {
        let [kib, of] = [kib, of].map(|kib| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)));
        rounded(kib / of)
    };
    let figure = Figure {
        name: Part::Memory.name(),
        ratio: ratio(end.peak_kib, bare.peak_kib),
        ..Figure::default()
    };
    Ok(vec![
        figure
            .with("peak_rss_kib", end.peak_kib)
            .with("bare_peak_rss_kib", bare.peak_kib)
            .with("commands", COMMANDS)
            .with("peak_rss_after_1_kib", start.peak_kib)
            .with("rss_after_2000_kib", warm.resident_kib)
            .with("rss_after_10000_kib", end.resident_kib)
            .with("big_reply_bytes", reply_bytes)
            .with("big_reply_peak_rss_kib", big.peak_kib)
            .with("big_reply_growth_kib", big_growth)
            .bound(
                "peak < 12 MB, RSS flat, a 5 MB reply within twice its size",
                held,
            ),
    ])
}

/// Returns the memory of the bare function after the same number of invocations.
async fn bare(surroundings: &Surroundings) -> Result<Memory, Error> {
    let payload = direct(&turn_on());
    let mut bare = Sandbox::start(&surroundings.bare()).await?;
    for _ in 0..COMMANDS {
        bare.invoke(&payload).await?;
    }
    let memory = bare.memory();
    bare.end().await;
    memory
}

/// Runs mixed commands. Returns the memory after the first command, when warm, and at the end.
async fn mixed(surroundings: &Surroundings) -> Result<(Memory, Memory, Memory), Error> {
    let options = HomeOptions {
        states_bytes: Some(STATES_BYTES),
        ..HomeOptions::default()
    };
    let home = surroundings.home(Network::NEAR, options).await?;
    let switch = direct(&turn_on());
    let read = direct(&json!({"type": "get_states"}));
    let mut missing = turn_on();
    missing["service"] = json!("explode");
    let failures = [
        direct(&missing),
        direct(&json!({"type": "no/such/command"})),
    ];
    let mut latchkey = Sandbox::start(&surroundings.latchkey(&home)).await?;
    latchkey.command(&switch, true).await?;
    let start = latchkey.memory()?;
    let mut warm = start;
    for number in 1..COMMANDS {
        match number % 10 {
            0..=5 => latchkey.command(&switch, true).await?,
            6 | 7 => latchkey.command(&read, true).await?,
            8 => latchkey.command(&failures[0], false).await?,
            _ => latchkey.command(&failures[1], false).await?,
        };
        if number == WARM {
            warm = latchkey.memory()?;
        }
    }
    let end = latchkey.memory()?;
    latchkey.end().await;
    Ok((start, warm, end))
}

/// Runs commands with large replies. Returns the memory before and after them, and the size of one reply.
async fn big(surroundings: &Surroundings) -> Result<(Memory, Memory, usize), Error> {
    let options = HomeOptions {
        states_bytes: Some(MANY_STATES_BYTES),
        ..HomeOptions::default()
    };
    let home = surroundings.home(Network::NEAR, options).await?;
    let read = direct(&json!({"type": "get_states"}));
    let mut latchkey = Sandbox::start(&surroundings.latchkey(&home)).await?;
    latchkey.command(&direct(&turn_on()), true).await?;
    let before = latchkey.memory()?;
    let mut bytes = 0;
    for _ in 0..BIG_REPLIES {
        bytes = latchkey.command(&read, true).await?.body.len();
    }
    let after = latchkey.memory()?;
    latchkey.end().await;
    Ok((before, after, bytes))
}
