//! The stack's handle on a real Home Assistant.

use latchkey_dev::stack::{Error, RealHome, RealHomeOptions, http_client};
use reqwest::StatusCode;
use serde_json::json;

const LIGHT: &str = "light.bed_light";

#[expect(clippy::unwrap_used, reason = "a request that fails fails the test")]
async fn config(home: &RealHome, token: &str) -> StatusCode {
    let url = format!("{}/api/config", home.url());
    let request = http_client().unwrap().get(url).bearer_auth(token);
    request.send().await.unwrap().status()
}

#[tokio::test]
async fn a_real_home_is_steered_and_watched() {
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
    // Neither steering nor reading has wiped out the strikes: the fourth is the last.
    assert_eq!(config(&home, home.token()).await, StatusCode::OK);
    assert_eq!(config(&home, &second).await, StatusCode::UNAUTHORIZED);
    assert_eq!(config(&home, home.token()).await, StatusCode::FORBIDDEN);
    home.stop().await;
}
