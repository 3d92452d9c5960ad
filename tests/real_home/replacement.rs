//! Replacement of a revoked token. The next command or the next keep-warm event reads the new token.

use latchkey_dev::relay::Relay;
use latchkey_dev::stack::{AwsEmulator, Function, RealHome};
use serde_json::json;
use testkit::{GET_PARAMETER, PARAMETER, Stage, invoke, light, options, relay_to};

use crate::{BOOTSTRAP, revoke};

const LIGHT: &str = "light.bed_light";

/// Stores a new token and revokes the old token, which closes the socket of the old token.
async fn rotate(
    home: &RealHome,
    relay: &Relay,
    aws: &AwsEmulator,
    old: &str,
    name: &str,
) -> String {
    let new = home.mint_token(name).await.unwrap();
    aws.put_token(PARAMETER, &new).await.unwrap();
    revoke(home, relay, old).await;
    new
}

/// Toggles the light and asserts the new state.
async fn toggle_light(function: &Function, home: &RealHome) {
    let before = home.state(LIGHT).await.unwrap();
    let answer = invoke(function, &json!({ "command": light("toggle", LIGHT) })).await;
    assert_eq!(answer["results"][0]["success"], true, "{answer}");
    assert_ne!(home.state(LIGHT).await.unwrap(), before);
}

#[tokio::test]
async fn revoked_token_is_replaced_with_one_read() {
    let Stage { home, aws, .. } = Stage::real().start().await;
    let relay = relay_to(home.url()).await;
    let url = format!("http://{}", relay.addr());
    let function = Function::start(options(BOOTSTRAP, &aws, &url)).await;
    let function = function.unwrap();
    let reads = async || aws.calls_of(GET_PARAMETER).await.unwrap();

    toggle_light(&function, &home).await;
    assert_eq!(reads().await, 1);

    // The next command detects the revocation.
    let second = rotate(&home, &relay, &aws, home.token(), "second").await;
    toggle_light(&function, &home).await;
    assert_eq!(reads().await, 2, "exactly one refetch");
    assert!(home.failed_logins().await.unwrap() <= 1);
    toggle_light(&function, &home).await;
    assert_eq!(reads().await, 2);

    // A keep-warm event detects the next revocation.
    let strikes = home.failed_logins().await.unwrap();
    rotate(&home, &relay, &aws, &second, "third").await;
    let warm = invoke(&function, &json!({ "source": "keep-warm" })).await;
    assert_eq!(warm["statusCode"], 200);
    assert_eq!(warm["warm"], true);
    assert_eq!(warm["token"]["valid"], true, "{warm}");
    assert_eq!(warm["token"]["refreshed"], true);
    assert_eq!(warm["token"]["version"], 3);
    assert_eq!(warm["token"]["fingerprint"].as_str().unwrap().len(), 8);
    assert_eq!(warm["session"], "ready");
    assert_eq!(reads().await, 3);
    assert!(home.failed_logins().await.unwrap() <= strikes + 1);

    // The next command uses only the open socket.
    let connections = relay.counters().connections;
    toggle_light(&function, &home).await;
    assert_eq!(reads().await, 3);
    assert_eq!(relay.counters().connections, connections);

    // A keep-warm event reports `refreshed: false` for a valid token.
    let warm = invoke(&function, &json!({ "source": "keep-warm" })).await;
    assert_eq!(warm["token"]["valid"], true);
    assert_eq!(warm["token"]["refreshed"], false);
    assert_eq!(reads().await, 3);
    function.stop().await;
    aws.stop().await;
    home.stop().await;
}
