//! Tests of homes that need a private CA, a client certificate, secret headers or a path prefix, over REST and
//! WebSocket.

use std::sync::Arc;

use latchkey::doors::reply::Problem;
use latchkey::home::bridge::BridgeError;
use latchkey::home::home_assistant::{Answer, Extras, HomeError, Outcome};
use latchkey::home::source::{SecretSource, SourceFault, VariableSource};
use latchkey::service::failure::{Failure, ProblemName};
use latchkey_dev::home::{HomeOptions, SimulatedHome};
use serde_json::json;
use testkit::{Authority, Stored, TestBridge, command, home_with};

fn secret(text: &str) -> Option<Box<dyn SecretSource>> {
    Some(Box::new(VariableSource::new(text.into())))
}

async fn home(options: HomeOptions) -> (SimulatedHome, String) {
    let home = home_with(options).await;
    let token = home.mint_token("latchkey");
    (home, token)
}

/// Runs `get_config` and returns the result of the home.
async fn run(url: &str, token: &str, extras: Extras) -> Result<String, BridgeError> {
    let fixture = TestBridge::with_extras(url, token, extras);
    let commands = [command(json!({"type": "get_config"}))];
    let mut outcomes = fixture.bridge.run(&commands, fixture.deadline()).await?;
    let Some(Outcome::Answered(Answer::Success(Some(result)))) = outcomes.pop() else {
        panic!("{outcomes:?}");
    };
    Ok(result.get().to_owned())
}

fn problem_name(error: BridgeError) -> ProblemName {
    Problem::of(&Failure::Bridge(error)).name
}

#[tokio::test]
async fn private_ca_is_trusted_only_when_configured() {
    let authority = Authority::new();
    let (home, token) = home(HomeOptions {
        tls: Some(authority.server(None)),
        ..HomeOptions::default()
    })
    .await;
    let with = |ca| Extras {
        ca,
        ..Extras::default()
    };
    let answer = run(&home.url(), &token, with(secret(&authority.pem))).await;
    assert!(answer.unwrap().contains("version"));

    let refused = run(&home.url(), &token, Extras::default()).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        problem_name(refused.clone()),
        ProblemName::HomeTls,
        "{refused:?}"
    );
    let other = run(&home.url(), &token, with(secret(&Authority::new().pem))).await;
    let other = other.unwrap_err();
    assert_eq!(
        problem_name(other.clone()),
        ProblemName::HomeTls,
        "{other:?}"
    );
    // The certificate names `localhost`, not the address.
    let url = home.url().replace("localhost", "127.0.0.1");
    let misnamed = run(&url, &token, with(secret(&authority.pem))).await;
    let misnamed = misnamed.unwrap_err();
    assert_eq!(
        problem_name(misnamed.clone()),
        ProblemName::HomeTls,
        "{misnamed:?}"
    );
    // Only the first run presented the token, over REST and WebSocket.
    assert_eq!(home.counters().presented(&token), 2);
}

#[tokio::test]
async fn client_certificate_is_sent_to_a_home_that_requires_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (home, token) = home(HomeOptions {
        tls: Some(authority.server(Some(&clients))),
        ..HomeOptions::default()
    })
    .await;
    let (certificate, key) = clients.issue("latchkey");
    let with = |client_cert| Extras {
        ca: secret(&authority.pem),
        client_cert,
        ..Extras::default()
    };
    let answer = run(
        &home.url(),
        &token,
        with(secret(&format!("{certificate}{key}"))),
    )
    .await;
    assert!(answer.unwrap().contains("version"));
    // Without a client certificate the server closes the connection with a TLS alert.
    let refused = run(&home.url(), &token, with(None)).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        problem_name(refused.clone()),
        ProblemName::HomeTls,
        "{refused:?}"
    );
}

#[tokio::test]
async fn secret_headers_are_sent_over_rest_and_websocket() {
    let (home, token) = home(HomeOptions {
        required_headers: vec![("cf-access-client-secret".into(), "s3cret".into())],
        prefix: "/home/one".into(),
        ..HomeOptions::default()
    })
    .await;
    let url = format!("{}/home/one", home.url());
    let with = |headers| Extras {
        headers,
        ..Extras::default()
    };
    let headers = secret(r#"{"CF-Access-Client-Secret":"s3cret"}"#);
    assert!(
        run(&url, &token, with(headers))
            .await
            .unwrap()
            .contains("version")
    );
    let refused = run(&url, &token, Extras::default()).await;
    assert_eq!(
        problem_name(refused.unwrap_err()),
        ProblemName::HomeEdgeBlocked
    );
    let headers = secret(r#"{"CF-Access-Client-Secret":"s3cret"}"#);
    let elsewhere = run(&home.url(), &token, with(headers)).await;
    assert_eq!(
        problem_name(elsewhere.unwrap_err()),
        ProblemName::NotHomeAssistant
    );
}

#[tokio::test]
async fn unreadable_or_invalid_setting_is_named_and_read_again() {
    let authority = Authority::new();
    let (home, token) = home(HomeOptions {
        tls: Some(authority.server(None)),
        ..HomeOptions::default()
    })
    .await;
    let ca = Arc::new(Stored::default());
    ca.fail(SourceFault::Throttled);
    let extras = Extras {
        ca: Some(Box::new(ca.clone())),
        ..Extras::default()
    };
    let fixture = TestBridge::with_extras(&home.url(), &token, extras);
    let commands = [command(json!({"type": "ping"}))];
    let run = async || fixture.bridge.run(&commands, fixture.deadline()).await;
    assert_eq!(
        problem_name(run().await.unwrap_err()),
        ProblemName::TokenSourceUnavailable
    );
    ca.put(Ok("no certificate"));
    assert!(matches!(
        run().await.unwrap_err(),
        BridgeError::Home(HomeError::SettingInvalid {
            variable: "HA_CA_PARAMETER",
            ..
        })
    ));
    ca.put(Ok(&authority.pem));
    assert!(run().await.is_ok());
}

#[tokio::test]
async fn later_connection_resumes_the_tls_session() {
    let authority = Authority::new();
    let (mut home, token) = home(HomeOptions {
        tls: Some(authority.server(None)),
        ..HomeOptions::default()
    })
    .await;
    let extras = Extras {
        ca: secret(&authority.pem),
        ..Extras::default()
    };
    let fixture = TestBridge::with_extras(&home.url(), &token, extras);
    let commands = [command(json!({"type": "ping"}))];
    let run = async || fixture.bridge.run(&commands, fixture.deadline()).await;
    run().await.unwrap();
    assert_eq!(home.counters().tls_resumptions, 0);
    home.restart().await.unwrap();
    run().await.unwrap();
    assert!(home.counters().tls_resumptions > 0);
}
