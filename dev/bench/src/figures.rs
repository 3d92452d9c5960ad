//! Samples, the figures from them, their table and the report.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::network::Network;

/// Repeated measurements of a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample(Vec<Duration>);

impl Sample {
    pub(super) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the median in milliseconds.
    pub(super) fn p50_ms(&self) -> f64 {
        self.quantile_ms(50)
    }

    /// Returns the 99th percentile in milliseconds.
    pub(super) fn p99_ms(&self) -> f64 {
        self.quantile_ms(99)
    }

    /// Returns a percentile by nearest rank: the smallest time that this percentage of the times do not exceed.
    fn quantile_ms(&self, percent: usize) -> f64 {
        let mut times = self.0.clone();
        times.sort_unstable();
        let rank = (times.len() * percent).div_ceil(100).max(1);
        times.get(rank - 1).copied().map_or(f64::NAN, ms)
    }
}

impl From<Vec<Duration>> for Sample {
    fn from(times: Vec<Duration>) -> Self {
        Self(times)
    }
}

/// Returns a time in milliseconds.
pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// One figure of the report. Each optional time is `None` if the figure does not have it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Figure {
    /// The name of the part, or of one of its figures.
    pub(super) name: &'static str,
    /// The round trip to the home, in milliseconds.
    pub(super) rtt_ms: f64,
    /// True if the connection to the home uses TLS.
    pub(super) tls: bool,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// The median without latchkey, measured in the same run.
    pub(super) floor_p50_ms: Option<f64>,
    /// The ratio of latchkey's median to the floor.
    pub(super) ratio: f64,
    /// The bound, as text.
    pub(super) bound: String,
    /// True if the bound held.
    pub(super) held: bool,
    /// Additional values.
    #[serde(flatten)]
    pub(super) extra: Map<String, Value>,
}

impl Figure {
    /// Creates a figure of times with its floor.
    pub(super) fn timed(
        name: &'static str,
        network: Network,
        sample: &Sample,
        floor_ms: f64,
    ) -> Self {
        Self {
            name,
            rtt_ms: ms(network.round_trip),
            tls: network.has_tls,
            p50_ms: Some(rounded(sample.p50_ms())),
            p99_ms: Some(rounded(sample.p99_ms())),
            floor_p50_ms: Some(rounded(floor_ms)),
            ratio: rounded(sample.p50_ms() / floor_ms),
            ..Self::default()
        }
        .with("samples", sample.len())
    }

    /// Adds a value.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a rounded number.
    pub(super) fn with_number(self, name: &str, value: f64) -> Self {
        self.with(name, rounded(value))
    }

    /// Sets the bound and whether it held.
    pub(super) fn bound(mut self, bound: impl Into<String>, held: bool) -> Self {
        self.bound = bound.into();
        self.held = held;
        self
    }

    /// Prints the figure.
    pub(super) fn print(&self) {
        let time = |time: Option<f64>| match time {
            Some(time) if time < 0.01 => format!("{time:.6}"),
            Some(time) => format!("{time:.3}"),
            None => "-".to_owned(),
        };
        say(&format!(
            "{:<22}{:>5}{:>5}{:>11}{:>11}{:>11}{:>8.3}   bound: {}: {}",
            self.name,
            self.rtt_ms,
            if self.tls { "yes" } else { "no" },
            time(self.p50_ms),
            time(self.p99_ms),
            time(self.floor_p50_ms),
            self.ratio,
            self.bound,
            if self.held { "held" } else { "NOT held" },
        ));
        let extra: Vec<String> = self
            .extra
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        if !extra.is_empty() {
            say(&format!("{:<22}{}", "", extra.join(", ")));
        }
    }
}

/// Measures a figure on each network.
pub(super) async fn on_each_network(
    measure: impl AsyncFn(Network) -> Result<Figure, Error>,
) -> Result<Vec<Figure>, Error> {
    let mut figures = Vec::new();
    for network in Network::ALL {
        figures.push(measure(network).await?);
    }
    Ok(figures)
}

/// Prints the heads of the table's columns.
pub(super) fn print_heads() {
    say(&format!(
        "{:<22}{:>5}{:>5}{:>11}{:>11}{:>11}{:>8}",
        "", "R/ms", "TLS", "p50/ms", "p99/ms", "floor/ms", "ratio"
    ));
}

/// Writes all figures to a file.
pub(super) fn write(figures: &[Figure], path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Io {
        what: format!("writing {}", path.display()),
        source,
    };
    let mut text = serde_json::to_string_pretty(figures).map_err(|error| failed(error.into()))?;
    text.push('\n');
    std::fs::write(path, text).map_err(failed)
}

/// Rounds a value: times in milliseconds to a tenth of a microsecond, and values below 0.001 to nine decimals.
pub(super) fn rounded(value: f64) -> f64 {
    let scale = if value.abs() < 0.001 {
        1_000_000_000.0
    } else {
        10_000.0
    };
    (value * scale).round() / scale
}

/// Prints one line.
#[expect(clippy::print_stdout, reason = "the output of a command line program")]
pub(super) fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(count: u64) -> Sample {
        Sample::from(
            (1..=count)
                .rev()
                .map(Duration::from_millis)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        assert_eq!((sample(1).p50_ms(), sample(1).p99_ms()), (1.0, 1.0));
        assert_eq!((sample(15).p50_ms(), sample(15).p99_ms()), (8.0, 15.0));
        assert_eq!((sample(200).p50_ms(), sample(200).p99_ms()), (100.0, 198.0));
        assert!(Sample::default().p50_ms().is_nan());
    }

    #[test]
    fn figure_has_the_members_of_the_report() {
        let figure = Figure::timed("warm_command", Network::plain(20), &sample(3), 1.0);
        let figure = serde_json::to_value(figure.bound("none", true)).unwrap();
        for name in [
            "name",
            "rtt_ms",
            "tls",
            "p50_ms",
            "p99_ms",
            "floor_p50_ms",
            "ratio",
        ] {
            assert!(!figure[name].is_null(), "{name}");
        }
        assert_eq!(figure["ratio"], 2.0);
        assert_eq!(figure["samples"], 3);
    }
}
