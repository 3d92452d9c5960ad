//! A whole rotation in one invocation, while another execution environment serves commands.
//!
//! Every command succeeds, and the output redacts both tokens.

use std::cell::Cell;

use latchkey_dev::stack::Function;
use serde_json::{Value, json};
use testkit::canary::Canary;
use testkit::{invoke, light, sample};

use super::{KEY, PARAMETER, SHORT, Stage, TABLE, issuer, operator, state};

const LIGHT: &str = "light.bed_light";
const NAMESPACE: &str = "LEE/HomeAssistant";

/// Toggles the light through a function, and asserts the success.
async fn toggle(function: &Function) -> Value {
    let answer = invoke(function, &json!({ "command": light("toggle", LIGHT) })).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(answer["results"][0]["outcome"], "answered", "{answer}");
    assert_eq!(answer["results"][0]["success"], true, "{answer}");
    answer
}

/// Returns the id of the token that opened the connection of a function.
pub(crate) async fn in_use(function: &Function) -> String {
    let answer = invoke(
        function,
        &json!({ "command": { "type": "auth/refresh_tokens" } }),
    )
    .await;
    let tokens = answer["results"][0]["result"].as_array().unwrap();
    let current = tokens.iter().find(|token| token["is_current"] == true);
    current.unwrap()["id"].as_str().unwrap().to_owned()
}

/// Returns the timestamp of the first log line that contains all `parts`.
fn logged_at(log: &str, parts: &[&str]) -> String {
    let line = log
        .lines()
        .find(|line| parts.iter().all(|part| line.contains(part)));
    let line = line.unwrap_or_else(|| panic!("{parts:?} is not in {log}"));
    let line: Value = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
    line["timestamp"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn rotation_does_not_interrupt_commands_and_redacts_tokens() {
    let stage = Stage::start().await;
    let old = stage.home.token().to_owned();
    let mut options = stage.function().env("LOG_LEVEL", "trace");
    for (name, value) in SHORT {
        options = options.env(name, value);
    }
    let serving = Function::start(options.clone()).await.unwrap();
    let rotator = Function::start(options).await.unwrap();
    let before = stage.home.state(LIGHT).await.unwrap();
    let mut answers = vec![toggle(&serving).await];
    assert_eq!(in_use(&serving).await, issuer(&old));

    let done = Cell::new(false);
    let (rotated, served) = tokio::join!(
        async {
            let answer = invoke(&rotator, &sample("events/rotate-token.json")).await;
            done.set(true);
            answer
        },
        async {
            let mut served = Vec::new();
            while !done.get() {
                served.push(toggle(&serving).await);
            }
            served
        }
    );
    assert_eq!(state(&rotated), "rotated", "{rotated}");
    assert_eq!(rotated["statusCode"], 200);
    assert_eq!(rotated["rotation"]["revoked"], 1, "{rotated}");
    assert_eq!(rotated["rotation"]["token"]["version"], 2, "{rotated}");
    answers.extend(served);
    answers.push(toggle(&serving).await);
    // Each toggle was executed exactly once.
    let after = stage.home.state(LIGHT).await.unwrap();
    assert_eq!(before == after, answers.len() % 2 == 0, "{}", answers.len());

    stage.assert_settled().await;
    let history = stage.history().await;
    let new = history[1].value.clone();
    assert_eq!(history.len(), 2);
    assert_eq!(history[0].value, old);
    assert_ne!(new, old);
    for version in &history {
        assert_eq!(version.key_id.as_deref(), Some(KEY), "{}", version.version);
    }
    assert_eq!(in_use(&serving).await, issuer(&new));
    let warm = invoke(&serving, &json!({ "source": "keep-warm" })).await;
    assert_eq!(warm["token"]["valid"], true, "{warm}");
    assert_eq!(
        warm["token"]["fingerprint"], rotated["rotation"]["token"]["fingerprint"],
        "{warm}"
    );

    // The operator plans a rotation and then rotates.
    let plan = operator::run(&stage, &["rotate", "--dry-run"]).await;
    assert_eq!(state(&plan.answer), "planned");
    let by_hand = operator::run(&stage, &["rotate"]).await;
    assert!(by_hand.succeeded, "{}", by_hand.printed);
    assert_eq!(state(&by_hand.answer), "rotated", "{}", by_hand.answer);
    stage.assert_settled().await;
    answers.push(toggle(&serving).await);
    assert_eq!(stage.home.failed_logins().await.unwrap(), 0);

    let mut canary = Canary::new(&old);
    canary.watch(&new);
    canary.watch(&stage.stored().await);
    assert_eq!(stage.aws.history(PARAMETER).await.unwrap().len(), 3);
    let items = serde_json::to_string(&stage.aws.items(TABLE).await.unwrap()).unwrap();
    assert!(items.contains("verdict#"), "{items}");
    let metrics = format!("{:?}", stage.aws.metrics(NAMESPACE).await.unwrap());
    let (rotators, servers) = (rotator.stop().await, serving.stop().await);
    answers.extend([rotated, warm]);
    for answer in &answers {
        canary.search("an answer", &answer.to_string());
    }
    for (what, text) in [
        ("the rotating function's output", &rotators),
        ("the serving function's output", &servers),
        ("the operator's plan", &plan.printed),
        ("the operator's output", &by_hand.printed),
        ("the table", &items),
        ("a metric", &metrics),
        ("the AWS emulator's output", &stage.aws.logs()),
    ] {
        canary.search(what, text);
    }
    // These texts prove that both runs logged their steps.
    for told in ["minted the token", "stored it as version", "token accepted"] {
        assert!(rotators.contains(told), "{told:?} is not in {rotators}");
        assert!(by_hand.printed.contains(told), "{}", by_hand.printed);
    }
    // The serving environment used the new token before the old token was revoked.
    let renewed = logged_at(&servers, &["token accepted", "\"version\":2"]);
    let revoked = logged_at(&rotators, &["revoked the token", &issuer(&old)]);
    assert!(renewed < revoked, "{renewed} {revoked}");
    stage.stop().await;
}
