//! Searches of answers and logs for each fault of a home.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::stream;
use latchkey_dev::home::{ConnectionFault, Fault, RestFault, SocketFault};
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};
use testkit::canary::{Canary, Captured};
use testkit::{Sandbox, home, light, problem, sample};

/// The number of homes that run at once. Most homes only wait for a timeout.
const AT_ONCE: usize = 16;
const LIMIT_MS: &str = "300";

fn all_faults() -> Vec<Option<Fault>> {
    let connection = ConnectionFault::all().into_iter().map(Fault::from);
    let rest = RestFault::all().into_iter().map(Fault::from);
    let socket = SocketFault::all().into_iter().map(Fault::from);
    let faults = connection.chain(rest).chain(socket).map(Some);
    std::iter::once(None).chain(faults).collect()
}

/// Adds the problems and error codes of an answer to `into`.
fn collect_problems(answer: &Value, into: &mut BTreeSet<String>) {
    let body = answer["body"]
        .as_str()
        .and_then(|body| serde_json::from_str(body).ok());
    let answer = body.as_ref().unwrap_or(answer);
    for document in [answer, &answer["problem"]] {
        if document["type"].is_string() {
            into.insert(problem(document).to_owned());
        }
    }
    for result in answer["results"].as_array().into_iter().flatten() {
        let code = result["error"]["code"].as_str().unwrap_or("success");
        into.insert(code.to_owned());
    }
}

/// Sends every kind of event to a function whose home has this fault. Returns the search for its token, and the
/// answers.
async fn serve_with_fault(aws: &AwsEmulator, fault: Option<Fault>) -> (Canary, Vec<Value>) {
    let home = home().await;
    let token = home.mint_token("latchkey");
    let url = home.url();
    let app = Sandbox::builder()
        .aws(aws)
        .envs([
            ("HA_URL", url.as_str()),
            ("HA_TOKEN", token.as_str()),
            ("HA_VALIDATE_TIMEOUT_MS", LIMIT_MS),
            ("HA_CONNECT_TIMEOUT_MS", LIMIT_MS),
            ("HA_COMMAND_TIMEOUT_MS", LIMIT_MS),
            ("HA_MAX_MESSAGE_BYTES", "65536"),
            ("CALLER_AUTH", "none"),
            ("METRICS_NAMESPACE", "Canary"),
        ])
        .start()
        .await;
    if let Some(fault) = fault {
        home.set_fault(fault);
    }
    let mut answers = Vec::new();
    for event in [
        json!({ "command": light("turn_on", "light.kitchen") }),
        json!({ "source": "keep-warm" }),
        sample("events/http-api-command.json"),
        sample("events/http-api-health.json"),
    ] {
        answers.push(app.handle(&event).await);
    }
    app.deliver_metrics().await;
    (Canary::new(&token), answers)
}

#[tokio::test]
async fn home_faults_do_not_leak_the_token() {
    let (captured, _guard) = Captured::start();
    let aws = AwsEmulator::start().await.unwrap();
    let faults = all_faults();
    assert!(faults.len() > 100);
    let met: Vec<_> = stream::iter(faults)
        .map(|fault| serve_with_fault(&aws, fault))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let log = captured.text();
    let metrics = format!("{:?}", aws.metrics("Canary").await.unwrap());
    let mut names = BTreeSet::new();
    let mut canary = Canary::default();
    let mut answers = Vec::new();
    for (token, answered) in met {
        canary.join(token);
        answers.extend(answered);
    }
    for answer in &answers {
        canary.search("an answer", &answer.to_string());
        collect_problems(answer, &mut names);
    }
    canary.search("the log", &log);
    canary.search("a metric", &metrics);
    canary.search("the AWS emulator's output", &aws.logs());
    // These checks prove that the faults had their effects.
    for name in [
        "command-outcome-unknown",
        "home-banned",
        "home-edge-blocked",
        "home-proxy-not-trusted",
        "home-starting",
        "home-timeout",
        "home-unreachable",
        "message-too-large",
        "not-home-assistant",
        "success",
        "token-rejected",
    ] {
        assert!(names.contains(name), "no {name} among {names:?}");
    }
    for event in [
        "token fetched",
        "token accepted",
        "failed",
        "trying again",
        "connection ended",
    ] {
        assert!(log.contains(event), "{event:?} was not logged");
    }
    assert!(metrics.contains("TokenValid"));
}
