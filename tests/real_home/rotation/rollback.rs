//! Rollback of a rotation: the old token is stored again before it is revoked.

use std::time::Duration;

use latchkey_dev::stack::Function;
use serde_json::json;
use testkit::{PARAMETER, Sandbox, invoke, light, sample, stopped_clock};

use super::whole::in_use;
use super::{KEY, Stage, TABLE, issuer, state};

/// A time after which no execution environment uses a replaced token.
const DRAINED: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn storing_the_old_token_rolls_back_a_draining_rotation() {
    let stage = Stage::start().await;
    let changed = sample("events/parameter-change.json");
    assert_eq!(changed["detail"]["name"], PARAMETER);
    let serving = Function::start(stage.function()).await.unwrap();
    let rotator = Function::start(stage.function()).await.unwrap();
    let command = json!({ "command": light("turn_on", "light.bed_light") });
    let old = stage.home.token().to_owned();
    let warm = invoke(&serving, &json!({ "source": "keep-warm" })).await;
    assert_eq!(warm["token"]["version"], 1, "{warm}");

    let begun = invoke(&rotator, &sample("events/rotate-token.json")).await;
    assert_eq!(state(&begun), "draining", "{begun}");
    assert!(begun["rotation"]["resume_at"].is_string(), "{begun}");
    let new = stage.stored().await;
    assert_eq!(stage.tokens().await.len(), 2);
    let told = invoke(&serving, &changed).await;
    assert_eq!(told["token"]["version"], 2, "{told}");
    assert_eq!(in_use(&serving).await, issuer(&new));

    // The previous version is stored again with the same key.
    let previous = stage.history().await[0].value.clone();
    assert_eq!(previous, old);
    stage
        .aws
        .put_secure(PARAMETER, &previous, Some(KEY))
        .await
        .unwrap();
    let told = invoke(&serving, &changed).await;
    assert_eq!(told["token"]["valid"], true, "{told}");
    assert_eq!(told["token"]["version"], 3, "{told}");
    assert_eq!(told["token"]["fingerprint"], warm["token"]["fingerprint"]);
    assert_eq!(in_use(&serving).await, issuer(&old));

    // The new token is not revoked yet, because it may be in use.
    let resume = sample("events/rotate-token-resume.json");
    let waiting = invoke(&rotator, &resume).await;
    assert_eq!(state(&waiting), "draining", "{waiting}");
    assert!(stage.home.accepts(&new).await.unwrap());

    let later = stopped_clock();
    later.advance(DRAINED);
    let app = Sandbox::builder()
        .aws(&stage.aws)
        .local()
        .env("HA_URL", stage.home.url())
        .env("TABLE_NAME", TABLE)
        .clock(later)
        .start()
        .await;
    let finished = app.handle(&resume).await;
    assert_eq!(state(&finished), "rotated", "{finished}");
    assert_eq!(finished["rotation"]["revoked"], 1, "{finished}");
    assert_eq!(stage.stored().await, old);
    assert_eq!(stage.history().await.len(), 3);
    assert!(!stage.home.accepts(&new).await.unwrap());
    stage.assert_settled().await;

    let answer = invoke(&serving, &command).await;
    assert_eq!(answer["results"][0]["success"], true, "{answer}");
    assert_eq!(stage.home.failed_logins().await.unwrap(), 0);
    serving.stop().await;
    rotator.stop().await;
    stage.stop().await;
}
