//! The stack's handle of a real Home Assistant.

use latchkey_dev::stack::{Error, RealHome, RealHomeOptions, http_client};
use reqwest::StatusCode;
use serde_json::json;

const LIGHT: &str = "light.bed_light";

#[expect(clippy::unwrap_used, reason = "a failed request must fail the test")]
async fn config(home: &RealHome, token: &str) -> StatusCode {
    let url = format!("{}/api/config", home.url());
    let request = http_client().unwrap().get(url).bearer_auth(token);
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn real_home_runs_commands_and_counts_failed_logins() {
    let options = RealHomeOptions::default().login_attempts_threshold(4);
    let home = RealHome::start(options).await.unwrap();
    assert_eq!(config(&home, home.token()).await, StatusCode::OK);

    let before = home.state(LIGHT).await.unwrap();
    home.call(json!({
        "type": "call_service",
        "domain": "light",
        "service": "toggle",
        "target": { "entity_id": LIGHT },
    }))
    .await
    .unwrap();
    assert_ne!(home.state(LIGHT).await.unwrap(), before);
    let nothing = home.state("light.nowhere").await;
    assert!(matches!(nothing, Err(Error::HomeAssistant(_))));

    let second = home.mint_token("second").await.unwrap();
    assert_eq!(config(&home, &second).await, StatusCode::OK);
    assert_eq!(home.failed_logins().await.unwrap(), 0);
    home.revoke(&second).await.unwrap();
    for failures in 1..4 {
        assert_eq!(config(&home, &second).await, StatusCode::UNAUTHORIZED);
        assert_eq!(home.failed_logins().await.unwrap(), failures);
    }
    // Commands and reads have not reset the count, so the fourth failure bans the address.
    assert_eq!(config(&home, home.token()).await, StatusCode::OK);
    assert_eq!(config(&home, &second).await, StatusCode::UNAUTHORIZED);
    assert_eq!(config(&home, home.token()).await, StatusCode::FORBIDDEN);
    home.stop().await;
}

#[tokio::test]
async fn tokens_are_listed_and_checked_without_a_login() {
    let home = RealHome::start(RealHomeOptions::default()).await.unwrap();
    let minted = home.mint_token("latchkey-2").await.unwrap();
    assert!(matches!(
        home.mint_token("latchkey-2").await,
        Err(Error::HomeAssistant(why)) if why.contains("unknown_error")
    ));
    let tokens = home.tokens().await.unwrap();
    let names: Vec<_> = tokens
        .iter()
        .map(|token| token.client_name.as_str())
        .collect();
    assert_eq!(names, ["latchkey", "control", "latchkey-2"]);
    assert_eq!(RealHome::issuer_of(&minted).unwrap(), tokens[2].id);
    assert_eq!(RealHome::issuer_of("no token"), None);
    assert!(
        tokens
            .iter()
            .all(|token| token.is_current == (token.client_name == "control"))
    );
    assert!(
        tokens
            .iter()
            .all(|token| token.kind == "long_lived_access_token")
    );
    assert!(tokens[0].created_at <= tokens[2].created_at);

    for (name, admin) in [("Ada", true), ("Bob", false)] {
        let token = home.mint_token_of_another_user(name, admin).await.unwrap();
        assert_eq!(config(&home, &token).await, StatusCode::OK);
        let whoami = json!({ "type": "auth/current_user" });
        let user = home.call_as(&token, whoami).await.unwrap();
        assert_eq!(user["name"], name);
        assert_eq!(
            (&user["is_owner"], &user["is_admin"]),
            (&json!(false), &json!(admin))
        );
        assert_eq!(home.tokens().await.unwrap(), tokens);
        assert!(home.accepts(&token).await.unwrap());
        home.revoke(&token).await.unwrap();
        assert!(!home.accepts(&token).await.unwrap());
        assert!(home.revoke(&token).await.is_err());
    }

    assert!(home.accepts(&minted).await.unwrap());
    home.revoke(&minted).await.unwrap();
    for refused in [minted.as_str(), "no token"] {
        assert!(!home.accepts(refused).await.unwrap());
    }
    assert_eq!(home.failed_logins().await.unwrap(), 0);
    home.stop().await;
}
