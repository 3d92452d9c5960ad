//! Searches of the executable's answers, logs and metrics at the most verbose log level.

use latchkey_dev::home::{RestFault, SocketFault};
use latchkey_dev::stack::{Fault, Function};
use serde_json::{Value, json};
use testkit::canary::Canary;
use testkit::{GET_PARAMETER, PARAMETER, Stage, invoke, light, sample};

const NAMESPACE: &str = "LEE/HomeAssistant";

/// Takes every path of the function, and searches all its output. Returns the log.
async fn take_every_path(variables: &[(&str, &str)]) -> String {
    let Stage {
        mut home,
        aws,
        token: first,
    } = Stage::builder().start().await;
    let mut canary = Canary::new(&first);
    // The credential for a proxy in front of the home is a secret, too.
    let fence = home.mint_token("fence");
    canary.watch(&fence);
    let headers = json!({ "CF-Access-Client-Secret": fence }).to_string();
    aws.put_token("/headers", &headers).await.unwrap();
    let mut options = testkit::options(crate::BOOTSTRAP, &aws, &home.url())
        .env("LOG_LEVEL", "trace")
        // With a TTL of 0 the function reads the parameter each time it needs a token.
        .env("TOKEN_TTL_SECONDS", "0")
        .env("HA_HEADERS_PARAMETER", "/headers")
        .env("HA_VALIDATE_TIMEOUT_MS", "500")
        .env("HA_CONNECT_TIMEOUT_MS", "500")
        .env("HA_COMMAND_TIMEOUT_MS", "500");
    for (name, value) in variables {
        options = options.env(*name, *value);
    }
    let function = Function::start(options).await.unwrap();
    let mut answers = Vec::new();
    let events = [
        json!({ "command": light("turn_on", "light.kitchen") }),
        json!({ "commands": [{ "type": "get_states" }, { "type": "no/such" }] }),
        json!({ "source": "keep-warm" }),
        sample("events/http-api-command.json"),
        sample("events/rest-api-command.json"),
        sample("events/alb-health.json"),
        sample("tests/fixtures/events/alexa-turn-on.json"),
        json!({ "command": { "type": "auth", "access_token": first } }),
        json!([]),
    ];
    for event in &events {
        answers.push(invoke(&function, event).await);
    }
    answers.push(function.invoke_raw("not JSON").await.unwrap().json());

    // The stored text is a rotated, a rejected, an expired or a malformed token.
    let second = home.mint_token("second");
    let rejected = home.mint_token("rejected");
    let expired = home.mint_expiring_token("expired", 1_700_000_000);
    for token in [&second, &rejected, &expired] {
        canary.watch(token);
    }
    home.revoke(&first);
    home.revoke(&rejected);
    for stored in [
        second.clone(),
        rejected.clone(),
        expired,
        format!("\"{second}\""),
        format!("Bearer {second}"),
        format!("{second} "),
        format!("{second}\n{second}"),
        format!("{{\"token\":\"{second}\"}}"),
        second.replace('.', "_"),
        second[..120].to_owned(),
        format!("{second}.x"),
        format!("http://{second}@home"),
        second.repeat(23),
        second.clone(),
    ] {
        // The restart closes the socket, so the next invocation needs a token.
        home.restart().await.unwrap();
        aws.put_token(PARAMETER, &stored).await.unwrap();
        for event in [&events[2], &events[0]] {
            answers.push(invoke(&function, event).await);
        }
    }
    let statuses: Vec<Value> = answers.iter().map(|it| it["statusCode"].clone()).collect();
    assert!(statuses.contains(&json!(503)) && statuses.contains(&json!(200)));

    for code in [
        "AccessDeniedException",
        "KMSAccessDenied",
        "ParameterNotFound",
        "InvalidKeyId",
        "500",
    ] {
        let token = home.mint_token(code);
        canary.watch(&token);
        home.restart().await.unwrap();
        aws.put_token(PARAMETER, &token).await.unwrap();
        aws.inject(&Fault::new(GET_PARAMETER, code)).await.unwrap();
        answers.push(invoke(&function, &events[0]).await);
        aws.clear_faults().await.unwrap();
    }
    for fault in [
        RestFault::Status(400).into(),
        RestFault::Status(403).into(),
        RestFault::Html.into(),
        RestFault::Hang.into(),
        latchkey_dev::home::Fault::from(SocketFault::AuthInvalid),
    ] {
        home.restart().await.unwrap();
        home.set_fault(fault);
        answers.push(invoke(&function, &events[0]).await);
        home.clear_faults();
    }

    // Most metrics are delivered at the end of the execution environment.
    let log = function.stop().await;
    let metrics = format!("{:?}", aws.metrics(NAMESPACE).await.unwrap());
    for answer in &answers {
        canary.search("an answer", &answer.to_string());
    }
    canary.search("the function's output", &log);
    canary.search("a metric", &metrics);
    canary.search("the AWS emulator's output", &aws.logs());
    // These texts prove that the function took the paths and logged them.
    for told in [
        "token accepted",
        "rejected the token",
        "quotes",
        "expired",
        "invoked",
    ] {
        assert!(log.contains(told), "{told:?} is not in {log}");
    }
    log
}

#[tokio::test]
async fn json_logs_and_cloudwatch_metrics_redact_tokens() {
    let log = take_every_path(&[]).await;
    assert!(log.contains("\"level\":\"DEBUG\""));
}

#[tokio::test]
async fn text_logs_and_emf_redact_tokens() {
    let log = take_every_path(&[("LOG_FORMAT", "text"), ("METRICS", "emf")]).await;
    assert!(log.contains(" DEBUG ") && log.contains("\"_aws\""));
}
