//! A rejected token causes one failed login, although many requests follow. Requests succeed after the token is
//! replaced.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_dev::stack::RealHomeOptions;
use serde_json::{Value, json};
use testkit::{PARAMETER, Stage, invoke, light, problem, sample};

use crate::BOOTSTRAP;

const LIGHT: &str = "light.bed_light";

/// Returns a token in the format of Home Assistant's tokens that every home rejects.
fn forged_token() -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        encode(r#"{"alg":"HS256","typ":"JWT"}"#),
        encode(r#"{"iss":"00112233445566778899aabbccddeeff","iat":1700000000,"exp":2015360000}"#),
        encode("thirty-two bytes of no signature")
    )
}

fn assert_rejected(document: &Value) {
    assert_eq!(problem(document), "token-rejected");
    assert!(
        document["action"]
            .as_str()
            .unwrap()
            .contains("new long-lived access token")
    );
    assert!(
        document["detail"]
            .as_str()
            .unwrap()
            .contains("rejected the token")
    );
}

#[tokio::test]
async fn rejected_token_causes_one_failed_login() {
    // A second failed login would ban the address, and with the address the good token.
    let options = RealHomeOptions::default().login_attempts_threshold(2);
    let stage = Stage::real().home(options).token(forged_token());
    let stage = stage.start().await;
    let function = stage.function(BOOTSTRAP).await;
    let Stage { home, aws, .. } = stage;
    let command = json!({ "command": light("turn_on", LIGHT) });
    let before = home.state(LIGHT).await.unwrap();

    let first = invoke(&function, &command).await;
    assert_eq!(first["statusCode"], 503, "{first}");
    assert_eq!(first["status"], 503);
    assert_rejected(&first);
    assert!(home.failed_logins().await.unwrap() <= 1);

    for _ in 0..2 {
        let warm = invoke(&function, &json!({ "source": "keep-warm" })).await;
        assert_eq!(warm["warm"], true);
        assert_eq!(warm["token"]["valid"], false, "{warm}");
        assert_rejected(&warm["problem"]);
    }
    let again = invoke(&function, &command).await;
    assert_eq!(again["statusCode"], 503);
    assert_rejected(&again);
    for event in [
        "events/http-api-command.json",
        "events/rest-api-command.json",
    ] {
        let over_http = invoke(&function, &sample(event)).await;
        assert_eq!(over_http["statusCode"], 503, "{over_http}");
        assert_rejected(&serde_json::from_str(over_http["body"].as_str().unwrap()).unwrap());
    }
    let health = invoke(&function, &sample("events/http-api-health.json")).await;
    assert_eq!(health["statusCode"], 503, "{health}");
    assert!(health["body"].as_str().unwrap().contains("\"unhealthy\""));
    assert_eq!(home.failed_logins().await.unwrap(), 1);
    assert_eq!(home.state(LIGHT).await.unwrap(), before);

    aws.put_token(PARAMETER, home.token()).await.unwrap();
    let mended = invoke(&function, &json!({ "command": light("toggle", LIGHT) })).await;
    assert_eq!(mended["results"][0]["success"], true, "{mended}");
    assert_ne!(home.state(LIGHT).await.unwrap(), before);
    let health = invoke(&function, &sample("events/http-api-health.json")).await;
    assert_eq!(health["statusCode"], 200, "{health}");
    assert_eq!(home.failed_logins().await.unwrap(), 1);
    function.stop().await;
    aws.stop().await;
    home.stop().await;
}
