//! Failures of Parameter Store. Each failure is reported with its own detail and its own action.

use std::collections::BTreeSet;
use std::time::Duration;

use latchkey_dev::stack::{Fault, Function};
use serde_json::{Value, json};
use testkit::{GET_PARAMETER, PARAMETER, Stage, invoke, problem};

use crate::BOOTSTRAP;

fn member_text(document: &Value, member: &str) -> String {
    let text = document[member].as_str().unwrap();
    assert!(!text.is_empty(), "{document}");
    text.to_owned()
}

#[tokio::test]
async fn each_parameter_store_fault_has_its_own_detail_and_action() {
    let stage = Stage::builder().start().await;
    let function = stage.function(BOOTSTRAP).await;
    let command = json!({ "command": { "type": "ping" } });
    let mut answers = Vec::new();
    for (fault, name) in [
        (
            Fault::new(GET_PARAMETER, "ParameterNotFound"),
            "token-missing",
        ),
        (
            Fault::new(GET_PARAMETER, "AccessDeniedException")
                .message("User is not authorized to perform: ssm:GetParameter on resource"),
            "token-source-unavailable",
        ),
        (
            Fault::new(GET_PARAMETER, "KMSAccessDenied"),
            "token-source-unavailable",
        ),
        (
            Fault::new(GET_PARAMETER, "ThrottlingException"),
            "token-source-unavailable",
        ),
        (Fault::new(GET_PARAMETER, "500"), "token-source-unavailable"),
        (
            Fault::new(GET_PARAMETER, "hang"),
            "token-source-unavailable",
        ),
    ] {
        stage.aws.inject(&fault).await.unwrap();
        let answer = invoke(&function, &command).await;
        assert_eq!(answer["statusCode"], 503, "{fault:?}: {answer}");
        assert_eq!(problem(&answer), name, "{fault:?}: {answer}");
        answers.push(answer);
        stage.aws.clear_faults().await.unwrap();
    }
    // A disabled key needs the same action as a denied key, so its answer is checked separately.
    let fault = Fault::new(GET_PARAMETER, "InvalidKeyId").message("key-q7 is disabled");
    stage.aws.inject(&fault).await.unwrap();
    let disabled = invoke(&function, &command).await;
    assert_eq!(problem(&disabled), "token-source-unavailable");
    assert!(member_text(&disabled, "action").contains("kms:Decrypt"));
    assert!(!disabled.to_string().contains("q7"), "{disabled}");
    stage.aws.clear_faults().await.unwrap();

    // AWS does not fail here. The token is stored in clear text.
    stage
        .aws
        .put_parameter("/plain", &stage.token)
        .await
        .unwrap();
    let options = stage.options(BOOTSTRAP).env("HA_TOKEN_PARAMETER", "/plain");
    let plain = Function::start(options).await.unwrap();
    let answer = invoke(&plain, &command).await;
    assert_eq!(answer["statusCode"], 503);
    assert_eq!(problem(&answer), "token-source-unavailable");
    assert!(member_text(&answer, "detail").contains("not a SecureString"));
    answers.push(answer);

    let distinct = |member: &str| {
        let texts: BTreeSet<String> = answers
            .iter()
            .map(|answer| member_text(answer, member))
            .collect();
        texts.len()
    };
    assert_eq!(distinct("detail"), answers.len(), "{answers:#?}");
    assert_eq!(distinct("action"), answers.len(), "{answers:#?}");
    assert!(
        answers
            .iter()
            .all(|answer| answer["detail"] != disabled["detail"])
    );
    assert!(member_text(&answers[0], "detail").contains(PARAMETER));
    assert!(member_text(&answers[2], "action").contains("kms:Decrypt"));
    // latchkey did not present a token to the home.
    assert_eq!(stage.home.counters().config_checks, 0);
    assert_eq!(stage.home.counters().failed_logins, 0);

    // The function does not cache failures.
    let answer = invoke(&function, &command).await;
    assert_eq!(answer["results"][0]["success"], true, "{answer}");
}

#[tokio::test]
async fn transient_parameter_store_fault_is_retried() {
    let stage = Stage::builder().start().await;
    for code in ["ThrottlingException", "500"] {
        let fault = Fault::new(GET_PARAMETER, code).times(1);
        stage.aws.inject(&fault).await.unwrap();
        let function = stage.function(BOOTSTRAP).await;
        let answer = invoke(&function, &json!({ "command": { "type": "ping" } })).await;
        assert_eq!(answer["results"][0]["success"], true, "{code}: {answer}");
    }
}

#[tokio::test]
async fn malformed_token_is_never_sent_to_the_home() {
    let stage = Stage::builder().start().await;
    let function = stage.function(BOOTSTRAP).await;
    let token = &stage.token;
    let mut details = BTreeSet::new();
    for (text, part) in [
        (" ".to_owned(), "empty"),
        (format!("Bearer {token}"), "Bearer"),
        (format!("\"{token}\""), "quotes"),
        (format!("{token} {token}"), "blanks"),
        ("changeme".to_owned(), "three"),
        (token[..100].to_owned(), "three"),
        ("x".repeat(4_097), "4 KB"),
    ] {
        stage.aws.put_token(PARAMETER, &text).await.unwrap();
        let answer = invoke(&function, &json!({ "command": { "type": "ping" } })).await;
        assert_eq!(problem(&answer), "token-malformed", "{answer}");
        assert_eq!(answer["statusCode"], 503);
        assert!(
            member_text(&answer, "detail").contains(part),
            "{part}: {answer}"
        );
        details.insert(member_text(&answer, "detail"));
    }
    assert_eq!(details.len(), 6, "{details:#?}");
    assert_eq!(stage.home.counters().config_checks, 0);
    // White space around the token, which editors often add, is ignored.
    stage
        .aws
        .put_token(PARAMETER, &format!(" {token}\n"))
        .await
        .unwrap();
    let answer = invoke(&function, &json!({ "command": { "type": "ping" } })).await;
    assert_eq!(answer["results"][0]["success"], true, "{answer}");
}

#[tokio::test]
async fn expired_token_is_never_sent_to_the_home() {
    let stage = Stage::builder().start().await;
    let expired = stage.home.mint_expiring_token("expired", 1_700_000_000);
    stage.aws.put_token(PARAMETER, &expired).await.unwrap();
    let function = stage.function(BOOTSTRAP).await;
    let answer = invoke(&function, &json!({ "command": { "type": "ping" } })).await;
    assert_eq!(problem(&answer), "token-expired", "{answer}");
    let warm = invoke(&function, &json!({ "source": "keep-warm" })).await;
    assert_eq!(warm["token"]["valid"], false, "{warm}");
    assert_eq!(stage.home.counters().presented(&expired), 0);
    assert_eq!(stage.home.counters().failed_logins, 0);
}

/// The function answers before Lambda ends the invocation, although a read of a parameter hangs.
#[tokio::test]
async fn hanging_parameter_read_is_abandoned_before_the_deadline() {
    let stage = Stage::builder().start().await;
    let headers = json!({ "X-Fence": "open" }).to_string();
    stage.aws.put_token("/headers", &headers).await.unwrap();
    let fault = Fault::new(GET_PARAMETER, "hang");
    stage.aws.inject(&fault).await.unwrap();
    for extra in [None, Some("/headers")] {
        let mut options = stage.options(BOOTSTRAP).timeout(Duration::from_secs(3));
        if let Some(name) = extra {
            options = options.env("HA_HEADERS_PARAMETER", name);
        }
        let function = Function::start(options).await.unwrap();
        for event in [
            json!({ "command": { "type": "ping" } }),
            json!({ "source": "keep-warm" }),
        ] {
            let invocation = function.invoke(&event).await.unwrap();
            assert!(
                invocation.json()["statusCode"].is_u64(),
                "{extra:?}: {}: {}",
                invocation.text(),
                function.logs()
            );
        }
    }
}
