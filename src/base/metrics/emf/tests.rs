//! The shape of the lines, and the statistics of their values.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::base::metrics::Unit;

fn set(samples: u64, sum: f64, minimum: f64, maximum: f64) -> StatisticSet {
    StatisticSet {
        name: "TokenValid",
        unit: Unit::Count,
        home: None,
        minute: Duration::from_secs(1_700_000_040),
        samples,
        sum,
        minimum,
        maximum,
    }
}

fn lines(set: StatisticSet) -> Vec<Value> {
    let bytes = EmfSink::new("LEE/HomeAssistant".into())
        .lines(&[set])
        .unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_line_has_the_shape_of_the_format() {
    let expected = json!({
        "_aws": {
            "Timestamp": 1_700_000_040_000_u64,
            "CloudWatchMetrics": [{
                "Namespace": "LEE/HomeAssistant",
                "Dimensions": [[]],
                "Metrics": [{"Name": "TokenValid", "Unit": "Count"}],
            }],
        },
        "TokenValid": [0.0, 1.0, 1.0],
    });
    assert_eq!(lines(set(3, 2.0, 0.0, 1.0)), [expected]);
}

#[test]
fn line_of_a_home_has_the_home_dimension_and_its_value() {
    let of_home = StatisticSet {
        home: Some(Arc::from("cabin")),
        ..set(1, 1.0, 1.0, 1.0)
    };
    let [line] = &lines(of_home)[..] else {
        panic!("expected one line");
    };
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Dimensions"], json!([["Home"]]));
    assert_eq!(line["Home"], "cabin");
    assert_eq!(line["TokenValid"], json!([1.0]));
}

#[test]
fn more_values_than_one_line_holds_are_split_over_lines() {
    let lines = lines(set(250, 100.0, 0.0, 1.0));
    let values: Vec<Vec<f64>> = lines
        .iter()
        .map(|line| serde_json::from_value(line["TokenValid"].clone()).unwrap())
        .collect();
    assert_eq!(
        values.iter().map(Vec::len).collect::<Vec<_>>(),
        [100, 100, 50]
    );
    assert_eq!(values.concat().iter().sum::<f64>(), 100.0);
}

/// Generates values as the recorded metrics have them.
fn measured() -> impl Strategy<Value = Vec<f64>> {
    let yes_or_no = prop::sample::select(vec![0.0, 1.0]);
    let counts = (0..50_u32).prop_map(f64::from);
    let latencies = 0.0..5_000.0;
    prop_oneof![
        prop::collection::vec(yes_or_no, 1..300),
        prop::collection::vec(counts, 1..300),
        prop::collection::vec(latencies, 1..300),
        // Equal values, which make rounding errors visible.
        (-100.0..100.0, 1..300_usize).prop_map(|(value, count)| vec![value; count]),
    ]
}

proptest! {
    #[test]
    fn values_have_the_statistics_of_their_set(measured in measured()) {
        let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = measured.iter().sum();
        let values = values(&set(measured.len() as u64, sum, least(&measured), most(&measured)));
        prop_assert_eq!(values.len(), measured.len());
        prop_assert_eq!(least(&values), least(&measured));
        prop_assert_eq!(most(&values), most(&measured));
        let difference = (values.iter().sum::<f64>() - sum).abs();
        if measured.iter().all(|value| value.fract() == 0.0) {
            prop_assert_eq!(difference, 0.0);
        } else {
            // The largest rounding error of so many additions.
            let scale: f64 = measured.iter().map(|value| value.abs()).sum();
            prop_assert!(difference <= scale * 1e-12, "{difference} of {sum}");
        }
    }
}
