//! Memory use of large batches.

use std::path::PathBuf;

use latchkey_dev::home::HomeOptions;
use serde_json::{Value, json};
use testkit::{Stage, invoke, sample};

use crate::BOOTSTRAP;

const STATES_BYTES: usize = 1_200_000;
const LIMIT_KIB: u64 = 64 << 10;

/// Returns the peak memory of the function with this home, in KiB, as the kernel reports it.
fn peak_kib(home_url: &str) -> u64 {
    let setting = format!("HA_URL={home_url}");
    let executable = std::fs::canonicalize(testkit::bootstrap(BOOTSTRAP)).unwrap();
    let is_it = |process: &PathBuf| {
        std::fs::read_link(process.join("exe")).is_ok_and(|path| path == executable)
            && std::fs::read(process.join("environ")).is_ok_and(|environment| {
                let mut variables = environment.split(|byte| *byte == 0);
                variables.any(|variable| variable == setting.as_bytes())
            })
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut processes = processes.filter_map(|entry| Some(entry.ok()?.path()));
    let process = processes.find(is_it).unwrap();
    let status = std::fs::read_to_string(process.join("status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().next());
    peak.unwrap().parse().unwrap()
}

/// Asserts that the first results are complete, and that each result beyond the size limit of the reply is an error.
fn assert_results_fill_the_reply(results: &Value) {
    let results = results.as_array().unwrap();
    assert_eq!(results.len(), 100);
    let whole = results.iter().take_while(|one| one["success"] == true);
    let whole = whole.count();
    assert!((2..6).contains(&whole), "{whole} results are there");
    for one in &results[whole..] {
        assert_eq!(one["outcome"], "answered");
        assert_eq!(one["error"]["code"], "message-too-large", "{one}");
    }
}

#[tokio::test]
async fn large_read_batch_stays_within_memory_limit() {
    let options = HomeOptions {
        states_bytes: Some(STATES_BYTES),
        ..HomeOptions::default()
    };
    let stage = Stage::builder().home(options).start().await;
    let function = stage.function(BOOTSTRAP).await;
    let batch = json!({ "commands": vec![json!({ "type": "get_states" }); 100] });
    let answer = invoke(&function, &batch).await;
    assert_eq!(answer["statusCode"], 200);
    assert_results_fill_the_reply(&answer["results"]);
    let mut event = sample("events/http-api-command.json");
    event["body"] = batch.to_string().into();
    let answer = invoke(&function, &event).await;
    assert_eq!(answer["statusCode"], 200, "{}", answer["body"]);
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_results_fill_the_reply(&body["results"]);
    let peak = peak_kib(&stage.home.url());
    println!("peak {peak} KiB");
    assert!(peak < LIMIT_KIB, "{peak} KiB");
}
