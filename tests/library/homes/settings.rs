//! Tests of a home's own settings: the CA, the client certificate and the headers.

use latchkey_dev::home::HomeOptions;
use latchkey_dev::stack::AwsEmulator;
use serde_json::json;
use testkit::homes::{
    GET_PARAMETERS, House, assert_done, assert_problem, assert_warm, changed, parameter, toggle_in,
};
use testkit::{Authority, problem};

use super::app;

#[tokio::test]
async fn each_home_uses_its_own_ca_client_certificate_and_headers() {
    let aws = AwsEmulator::start().await.unwrap();
    let mut houses = Vec::new();
    for (name, secret) in [("cabin", "s3cret of the cabin"), ("beach", "beach's own")] {
        let (authority, clients) = (Authority::new(), Authority::new());
        let options = HomeOptions {
            tls: Some(authority.server(Some(&clients))),
            required_headers: vec![("x-fence".into(), secret.into())],
            ..HomeOptions::default()
        };
        let house = House::with(name, options).await;
        house.store(&aws).await;
        let (certificate, key) = clients.issue("latchkey");
        aws.put_parameter(&parameter(name, "ca"), &authority.pem)
            .await
            .unwrap();
        let identity = format!("{certificate}{key}");
        aws.put_token(&parameter(name, "client-cert"), &identity)
            .await
            .unwrap();
        let headers = json!({ "X-Fence": secret }).to_string();
        aws.put_token(&parameter(name, "headers"), &headers)
            .await
            .unwrap();
        houses.push(house);
    }
    let app = app(&aws).await;
    for (house, calls) in houses.iter().zip(1..) {
        assert_done(&app.handle(&toggle_in(house.name)).await);
        assert_eq!(house.toggles(), 1);
        // One call reads all parameters of a home.
        assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), calls);
    }

    // A home rejects the client certificate of another home.
    let other = aws.history(&parameter("beach", "client-cert")).await;
    let other = other.unwrap().pop().unwrap().value;
    aws.put_token(&parameter("cabin", "client-cert"), &other)
        .await
        .unwrap();
    let event = changed(&parameter("cabin", "client-cert"));
    let answer = app.handle(&event).await;
    assert_eq!(problem(&answer["homes"][0]["problem"]), "home-tls");
    assert_done(&app.handle(&toggle_in("beach")).await);
}

#[tokio::test]
async fn plaintext_headers_and_client_certificate_are_not_used() {
    let aws = AwsEmulator::start().await.unwrap();
    let house = House::build("cabin").await;
    house.store(&aws).await;
    let app = app(&aws).await;
    for (leaf, value) in [("headers", "{}"), ("client-cert", "PEM")] {
        let name = parameter("cabin", leaf);
        aws.put_parameter(&name, value).await.unwrap();
        let answer = app.handle(&toggle_in("cabin")).await;
        assert_problem(&answer, "token-source-unavailable", 503, &name);
        aws.delete_parameter(&name).await.unwrap();
    }
    assert_done(&app.handle(&toggle_in("cabin")).await);
}

#[tokio::test]
async fn changed_headers_are_used_at_once() {
    let aws = AwsEmulator::start().await.unwrap();
    let options = HomeOptions {
        required_headers: vec![("x-fence".into(), "new".into())],
        ..HomeOptions::default()
    };
    let house = House::with("cabin", options).await;
    house.store(&aws).await;
    let headers = parameter("cabin", "headers");
    aws.put_token(&headers, r#"{"X-Fence":"old"}"#)
        .await
        .unwrap();
    let app = app(&aws).await;
    let answer = app.handle(&toggle_in("cabin")).await;
    assert_eq!(problem(&answer), "home-edge-blocked", "{answer}");
    aws.put_token(&headers, r#"{"X-Fence":"new"}"#)
        .await
        .unwrap();
    assert_warm(&app.handle(&changed(&headers)).await, Some("cabin"));
    assert_done(&app.handle(&toggle_in("cabin")).await);
    assert_eq!(house.toggles(), 1);
}

/// The error names the parameter that holds the unusable setting.
#[tokio::test]
async fn invalid_setting_is_named_by_its_parameter() {
    let aws = AwsEmulator::start().await.unwrap();
    let house = House::build("cabin").await;
    house.store(&aws).await;
    let app = app(&aws).await;
    for leaf in ["ca", "client-cert", "headers"] {
        let name = parameter("cabin", leaf);
        aws.put_token(&name, "nonsense").await.unwrap();
        app.handle(&changed(&name)).await;
        let answer = app.handle(&toggle_in("cabin")).await;
        assert_problem(&answer, "internal", 500, leaf);
        assert!(!answer.to_string().contains("HA_"), "{answer}");
        aws.delete_parameter(&name).await.unwrap();
        assert_warm(&app.handle(&changed(&name)).await, Some("cabin"));
        assert_done(&app.handle(&toggle_in("cabin")).await);
    }
}
