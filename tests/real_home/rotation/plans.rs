//! Rotations that must not happen, or must happen once: a dry run, two runs at once, and tokens of other users.

use serde_json::json;
use testkit::{PARAMETER, problem};

use super::operator::{Run, run};
use super::{Stage, TABLE, state};

// One test, so that Home Assistant starts once.
#[tokio::test]
async fn dry_run_second_run_and_foreign_token_do_not_rotate() {
    let stage = Stage::start().await;
    check_dry_run(&stage).await;
    check_two_runs_at_once(&stage).await;
    check_tokens_of_other_users(&stage).await;
    stage.stop().await;
}

async fn check_two_runs_at_once(stage: &Stage) {
    let (one, other) = (
        Run::start(stage, &["rotate"], &[]),
        Run::start(stage, &["rotate"], &[]),
    );
    let (one, other) = tokio::join!(one.end(), other.end());
    for ended in [&one, &other] {
        assert!(ended.succeeded, "{}", ended.printed);
    }
    let states = [state(&one.answer), state(&other.answer)];
    assert!(states.contains(&"rotated"), "{states:?}");
    stage.assert_settled().await;
    assert_eq!(stage.history().await.len(), 2, "{states:?}");
}

async fn check_dry_run(stage: &Stage) {
    // Each run that presents a token writes a verdict. Verdicts are not part of a rotation.
    let items = async || {
        let mut items = stage.aws.items(TABLE).await.unwrap();
        items.retain(|item| !item["pk"].as_str().unwrap().starts_with("verdict#"));
        items
    };
    let before = (stage.tokens().await, stage.history().await, items().await);
    let plan = run(stage, &["rotate", "--dry-run"]).await;
    assert!(plan.succeeded, "{}", plan.printed);
    assert_eq!(state(&plan.answer), "planned", "{}", plan.answer);
    let steps = plan.answer["rotation"]["steps"].to_string();
    for step in ["mint", "prove", "store", "wait", "revoke"] {
        assert!(steps.contains(step), "{step:?} is not in {steps}");
    }
    let after = (stage.tokens().await, stage.history().await, items().await);
    assert_eq!(after, before);
    assert_eq!(stage.aws.calls_of("ssm:PutParameter").await.unwrap(), 1);
    stage.assert_settled().await;
}

async fn check_tokens_of_other_users(stage: &Stage) {
    for (name, is_admin) in [("Another Admin", true), ("A Guest", false)] {
        let owners = stage.tokens().await;
        let token = stage.home.mint_token_of_another_user(name, is_admin);
        let token = token.await.unwrap();
        stage.aws.put_token(PARAMETER, &token).await.unwrap();
        let history = stage.history().await;
        for arguments in [&["rotate"][..], &["rotate", "--dry-run"]] {
            let refused = run(stage, arguments).await;
            assert!(!refused.succeeded, "{name}");
            assert_eq!(problem(&refused.answer), "forbidden", "{}", refused.answer);
            let detail = refused.answer["detail"].as_str().unwrap();
            assert!(
                detail.contains(name) && detail.contains("owner"),
                "{detail}"
            );
            let action = refused.answer["action"].as_str().unwrap();
            assert!(action.contains("owner"), "{action}");
        }
        assert_eq!(stage.history().await, history, "{name}");
        assert_eq!(stage.tokens().await, owners, "{name}");
        let list = json!({ "type": "auth/refresh_tokens" });
        let theirs = stage.home.call_as(&token, list).await.unwrap();
        let long_lived = theirs
            .as_array()
            .unwrap()
            .iter()
            .filter(|token| token["type"] == "long_lived_access_token");
        assert_eq!(long_lived.count(), 1, "{name}");
    }
    assert_eq!(stage.home.failed_logins().await.unwrap(), 0);
}
