//! Searches of the executable's output while it maintains tokens.
//!
//! The test covers several homes, changed parameters, refreshes after an answer, verdicts in a shared table and a
//! rotation.

use latchkey_dev::home::HomeOptions;
use latchkey_dev::stack::{AwsEmulator, Fault, Function};
use serde_json::{Value, json};
use testkit::canary::Canary;
use testkit::{GET_PARAMETER, PARAMETER, home, home_with, invoke, light, sample};

const PREFIX: &str = "/latchkey/homes";
const TABLE: &str = "latchkey";
const NAMESPACE: &str = "LEE/HomeAssistant";

fn parameter(home: &str, leaf: &str) -> String {
    format!("{PREFIX}/{home}/{leaf}")
}

fn changed(name: &str, as_text: bool) -> Value {
    let mut event = sample("tests/fixtures/events/ssm-parameter-change.json");
    event["detail"]["name"] = json!(name);
    if as_text {
        event["detail"] = json!(event["detail"].to_string());
    }
    event
}

fn toggle(home: Option<&str>) -> Value {
    let mut event = json!({ "command": light("toggle", "light.kitchen") });
    if let Some(home) = home {
        event["home"] = json!(home);
    }
    event
}

#[tokio::test]
async fn token_maintenance_redacts_tokens() {
    let aws = AwsEmulator::start().await.unwrap();
    aws.create_table(TABLE).await.unwrap();
    let main = home().await;
    let token = main.mint_token("main");
    aws.put_token(PARAMETER, &token).await.unwrap();
    let mut canary = Canary::new(&token);
    let mut homes = Vec::new();
    for name in ["cabin", "beach"] {
        let fence = main.mint_token("fence");
        let options = HomeOptions {
            required_headers: vec![("x-fence".into(), fence.clone())],
            ..HomeOptions::default()
        };
        let home = home_with(options).await;
        let token = home.mint_token(name);
        canary.watch(&token);
        canary.watch(&fence);
        aws.put_parameter(&parameter(name, "url"), &home.url())
            .await
            .unwrap();
        aws.put_token(&parameter(name, "token"), &token)
            .await
            .unwrap();
        let headers = json!({ "X-Fence": fence }).to_string();
        aws.put_token(&parameter(name, "headers"), &headers)
            .await
            .unwrap();
        homes.push((home, token));
    }
    let options = testkit::options(crate::BOOTSTRAP, &aws, &main.url())
        .env("LOG_LEVEL", "trace")
        .env("HOMES_PARAMETER_PREFIX", PREFIX)
        .env("TABLE_NAME", TABLE)
        // With a short TTL a token is soon due for a refresh and soon out of use.
        .env("TOKEN_TTL_SECONDS", "1")
        .env("HA_VALIDATE_TIMEOUT_MS", "500")
        .env("HA_CONNECT_TIMEOUT_MS", "500")
        .env("HA_COMMAND_TIMEOUT_MS", "500");
    let function = Function::start(options).await.unwrap();
    let mut answers = Vec::new();
    let keep_warm = json!({ "source": "keep-warm" });
    let mut once = toggle(Some("beach"));
    once["idempotency_key"] = json!("once");
    for event in [
        toggle(None),
        toggle(Some("cabin")),
        once.clone(),
        once,
        keep_warm.clone(),
        toggle(Some("nowhere")),
    ] {
        answers.push(invoke(&function, &event).await);
    }

    // The token is refreshed after an answer, once the token is due.
    let reads = async || aws.calls_of(GET_PARAMETER).await.unwrap();
    let before = reads().await;
    while reads().await == before {
        answers.push(invoke(&function, &toggle(None)).await);
    }

    // The token is replaced, stored in a wrong form, or made unreadable. An event reports each change.
    let (cabin, _) = &homes[0];
    let second = cabin.mint_token("second");
    canary.watch(&second);
    let name = parameter("cabin", "token");
    for (as_text, stored) in [
        (false, second.clone()),
        (true, format!("Bearer {second}")),
        (false, second[..120].to_owned()),
        (true, format!("{second}\n")),
    ] {
        aws.put_token(&name, &stored).await.unwrap();
        answers.push(invoke(&function, &changed(&name, as_text)).await);
        answers.push(invoke(&function, &toggle(Some("cabin"))).await);
    }
    for (leaf, stored) in [
        ("url", format!("http://{second}@cabin")),
        ("headers", second.clone()),
        ("headers", json!({ "x y": second }).to_string()),
        ("ca", second.clone()),
        ("client-cert", second.clone()),
    ] {
        let name = parameter("cabin", leaf);
        aws.delete_parameter(&name).await.ok();
        aws.put_token(&name, &stored).await.unwrap();
        answers.push(invoke(&function, &changed(&name, false)).await);
        answers.push(invoke(&function, &toggle(Some("cabin"))).await);
        aws.delete_parameter(&name).await.unwrap();
        aws.put_parameter(&parameter("cabin", "url"), &cabin.url())
            .await
            .unwrap();
        answers.push(invoke(&function, &changed(&name, false)).await);
    }
    for code in ["KMSAccessDenied", "500"] {
        let fault = Fault::new("ssm:GetParameters", code);
        aws.inject(&fault).await.unwrap();
        answers.push(invoke(&function, &changed(&name, false)).await);
        aws.clear_faults().await.unwrap();
    }

    // The token is rejected, and the table shares the rejection.
    let (beach, token) = &homes[1];
    beach.revoke(token);
    beach.wait_for(|counters| counters.open_sockets == 0).await;
    for event in [toggle(Some("beach")), keep_warm.clone()] {
        answers.push(invoke(&function, &event).await);
    }
    let presented = beach.counters().presented(token);

    // The tokens are rotated in the homes that support rotation.
    for event in [
        json!({ "source": "rotate-token", "home": "nowhere", "dry_run": true }),
        json!({ "source": "rotate-token", "dry_run": true }),
        json!({ "source": "rotate-token" }),
        keep_warm,
        toggle(None),
    ] {
        answers.push(invoke(&function, &event).await);
    }
    let versions = aws.history(PARAMETER).await.unwrap();
    assert!(versions.len() > 1, "nothing was rotated: {answers:?}");
    for home in [&main, cabin, beach] {
        for minted in home.tokens() {
            canary.watch(&minted.access_token);
        }
    }
    for version in &versions {
        canary.watch(&version.value);
    }

    let items = aws.items(TABLE).await.unwrap();
    let log = function.stop().await;
    let metrics = format!("{:?}", aws.metrics(NAMESPACE).await.unwrap());
    for answer in &answers {
        canary.search("an answer", &answer.to_string());
    }
    for item in &items {
        let item = serde_json::to_string(item).unwrap();
        canary.search("an item of the table", &item);
    }
    canary.search("the function's output", &log);
    canary.search("a metric", &metrics);
    canary.search("the AWS emulator's output", &aws.logs());

    // These checks prove that the function took the paths.
    assert_eq!(beach.counters().presented(token), presented);
    let kinds: Vec<&str> = items
        .iter()
        .filter_map(|item| item["pk"].as_str())
        .collect();
    assert!(
        kinds.iter().any(|pk| pk.starts_with("verdict#")),
        "{kinds:?}"
    );
    let statuses: Vec<&Value> = answers.iter().map(|it| &it["statusCode"]).collect();
    for status in [200, 404, 500, 503] {
        assert!(
            statuses.contains(&&json!(status)),
            "no {status}: {statuses:?}"
        );
    }
    for told in [
        "token fetched",
        "rejected the token",
        "starts with `Bearer",
        "invoked",
    ] {
        assert!(log.contains(told), "{told:?} is not in {log}");
    }
}
