//! Tokens, the ban, time limits, restarts and TLS.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::SinkExt;
use latchkey_dev::home::{Break, HomeOptions, SimulatedHome, SocketStage};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error, Message},
};

use crate::client::{
    ask, auth, close_code, connect, http, log_in, next, receive, send, start, turn_on,
};

async fn config_status(home: &SimulatedHome, token: &str) -> u16 {
    let request = http().get(format!("{}/api/config", home.url()));
    let response = request.bearer_auth(token).send().await.unwrap();
    response.status().as_u16()
}

/// Sends a first message. Expects `auth_invalid` and a close with 1000, and returns the error message.
async fn refused(home: &SimulatedHome, message: Value) -> Value {
    let mut socket = connect(home).await.unwrap();
    receive(&mut socket).await;
    let reply = ask(&mut socket, message).await;
    assert_eq!(reply["type"], "auth_invalid");
    assert_eq!(close_code(&mut socket).await, 1000);
    reply["message"].clone()
}

#[tokio::test]
async fn token_has_the_format_of_home_assistant() {
    let home = start().await;
    let token = home.mint_token("test");
    assert_eq!(token.len(), 183);
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let payload = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["iss"].as_str().unwrap().len(), 32);
    let lifetime = payload["exp"].as_u64().unwrap() - payload["iat"].as_u64().unwrap();
    assert_eq!(lifetime, 3650 * 86_400);
    assert_eq!(config_status(&home, &token).await, 200);
    assert_eq!(
        config_status(&home, &home.mint_expiring_token("old", 1)).await,
        401
    );
}

#[tokio::test]
async fn first_message_must_be_a_valid_auth() {
    let home = start().await;
    let message = refused(&home, json!({"id": 1, "type": "ping"})).await;
    assert!(
        message
            .as_str()
            .unwrap()
            .starts_with("Auth message incorrectly formatted")
    );
    refused(&home, json!([auth("x")])).await;
    assert_eq!(home.counters().failed_logins, 0);

    let message = refused(&home, auth("wrong")).await;
    assert_eq!(message, "Invalid access token or password");
    let counters = home.counters();
    assert_eq!((counters.auth_invalid, counters.failed_logins), (3, 1));
    assert_eq!(counters.presented("wrong"), 1);

    let mut socket = connect(&home).await.unwrap();
    receive(&mut socket).await;
    socket.send(Message::text("not json")).await.unwrap();
    assert_eq!(close_code(&mut socket).await, 1000);
}

#[tokio::test]
async fn banned_address_gets_403_while_open_websockets_stay() {
    let options = HomeOptions {
        login_attempts_threshold: Some(3),
        ..HomeOptions::default()
    };
    let home = SimulatedHome::start(options).await.unwrap();
    let token = home.mint_token("test");
    assert_eq!(config_status(&home, "wrong").await, 401);
    refused(&home, auth("wrong")).await;
    // A login over the WebSocket resets the count. A successful REST request does not.
    let mut socket = log_in(&home, &token).await;
    assert_eq!(config_status(&home, "wrong").await, 401);
    assert_eq!(config_status(&home, &token).await, 200);
    refused(&home, auth("wrong")).await;
    assert!(!home.is_banned());
    assert_eq!(config_status(&home, "wrong").await, 401);
    assert!(home.is_banned());

    assert_eq!(config_status(&home, &token).await, 403);
    let Err(Error::Http(response)) = connect(&home).await else {
        panic!("a banned address was accepted");
    };
    assert_eq!(response.status(), 403);
    assert_eq!(
        ask(&mut socket, turn_on(1, "light.kitchen")).await["success"],
        true
    );
    assert_eq!(home.counters().failed_logins, 5);

    home.lift_bans();
    assert_eq!(config_status(&home, &token).await, 200);
}

#[tokio::test]
async fn revoke_closes_only_the_websockets_of_the_token() {
    let home = start().await;
    let (revoked, kept) = (home.mint_token("a"), home.mint_token("b"));
    let mut closing = log_in(&home, &revoked).await;
    let mut staying = log_in(&home, &kept).await;

    assert!(home.revoke(&revoked));
    assert_eq!(close_code(&mut closing).await, 1000);
    assert_eq!(
        ask(&mut staying, turn_on(1, "light.kitchen")).await["success"],
        true
    );
    assert_eq!(config_status(&home, &revoked).await, 401);
    assert!(!home.revoke(&revoked));
    home.wait_for(|counters| counters.open_sockets == 1).await;
}

#[tokio::test]
async fn websocket_creates_lists_and_deletes_tokens() {
    let home = start().await;
    let mut socket = log_in(&home, &home.mint_token("first")).await;
    let mint = |id: u64| {
        json!({
            "id": id,
            "type": "auth/long_lived_access_token",
            "client_name": "second",
            "lifespan": 30,
        })
    };
    let minted = ask(&mut socket, mint(1)).await["result"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(config_status(&home, &minted).await, 200);
    assert_eq!(
        ask(&mut socket, mint(2)).await["error"]["code"],
        "unknown_error"
    );

    let listed = ask(&mut socket, json!({"id": 3, "type": "auth/refresh_tokens"})).await;
    let listed = listed["result"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 2);
    let id_of = |is_current: bool| {
        let token = listed
            .iter()
            .find(|token| token["is_current"] == is_current);
        token.unwrap()["id"].clone()
    };
    let delete = |id: u64, token: &Value| {
        json!({
            "id": id,
            "type": "auth/delete_refresh_token",
            "refresh_token_id": token,
        })
    };
    assert_eq!(
        ask(&mut socket, delete(4, &id_of(false))).await["result"],
        json!({})
    );
    assert_eq!(config_status(&home, &minted).await, 401);
    let again = ask(&mut socket, delete(5, &id_of(false))).await;
    assert_eq!(again["error"]["code"], "invalid_token_id");

    // If a client deletes its own token, the WebSocket closes before the result is sent.
    send(&mut socket, delete(6, &id_of(true))).await;
    assert_eq!(close_code(&mut socket).await, 1000);
}

#[tokio::test]
async fn user_sees_only_own_tokens() {
    let home = start().await;
    let owners = home.mint_token("latchkey");
    let admins = home.mint_token_of_another_user("Ada", true);
    let users = home.mint_token_of_another_user("Bob", false);
    let mut names = Vec::new();
    for (token, is_owner, is_admin) in [
        (&owners, true, true),
        (&admins, false, true),
        (&users, false, false),
    ] {
        let mut socket = log_in(&home, token).await;
        let user = ask(&mut socket, json!({"id": 1, "type": "auth/current_user"})).await;
        let user = &user["result"];
        assert_eq!(
            (&user["is_owner"], &user["is_admin"]),
            (&json!(is_owner), &json!(is_admin))
        );
        assert_eq!(user["id"].as_str().unwrap().len(), 32);
        names.push(user["name"].as_str().unwrap().to_owned());
        let listed = ask(&mut socket, json!({"id": 2, "type": "auth/refresh_tokens"})).await;
        let [own] = listed["result"].as_array().unwrap().as_slice() else {
            panic!("not one token: {listed}");
        };
        assert_eq!(own["is_current"], true);
        // Home Assistant does not count a login as a use of the token.
        assert_eq!(own["last_used_at"], own["created_at"]);
        // Another user's token can have the same name.
        let mint = json!({"id": 3, "type": "auth/long_lived_access_token", "client_name": "new", "lifespan": 1});
        assert_eq!(ask(&mut socket, mint).await["success"], true);
    }
    assert_eq!(names, ["Owner", "Ada", "Bob"]);

    let tokens = home.tokens();
    let of = |name: &str| {
        let named = tokens.iter().filter(|token| token.client_name == name);
        named
            .map(|token| (token.user.as_str(), token.is_owners))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("new"), [("Owner", true), ("Ada", false), ("Bob", false)]);
    assert_eq!(
        (tokens[0].access_token.as_str(), of("Ada")),
        (owners.as_str(), vec![("Ada", false)])
    );

    // A user cannot delete another user's token.
    let mut socket = log_in(&home, &users).await;
    let delete =
        json!({"id": 1, "type": "auth/delete_refresh_token", "refresh_token_id": tokens[0].id});
    assert_eq!(
        ask(&mut socket, delete).await["error"]["code"],
        "invalid_token_id"
    );
    assert!(home.accepts(&owners) && home.revoke(&owners));
    assert!(!home.accepts(&owners) && !home.accepts(&home.mint_expiring_token("old", 1)));
    assert_eq!(home.counters().failed_logins, 0);
}

#[tokio::test]
async fn break_during_affects_one_command_before_or_after_its_execution() {
    const MINT: &str = "auth/long_lived_access_token";
    let home = start().await;
    let token = home.mint_token("first");
    let mut socket = log_in(&home, &token).await;
    home.break_during(MINT, SocketStage::Reply, Break::Close, 1);
    let me = ask(&mut socket, json!({"id": 1, "type": "auth/current_user"})).await;
    assert_eq!(me["success"], true);
    let mint = |name: &str| json!({"id": 2, "type": MINT, "client_name": name, "lifespan": 1});
    send(&mut socket, mint("lost")).await;
    assert!(next(&mut socket).await.is_err());
    let names: Vec<_> = home
        .tokens()
        .into_iter()
        .map(|token| token.client_name)
        .collect();
    assert_eq!(names, ["first", "lost"]);

    let mut socket = log_in(&home, &token).await;
    home.break_during(MINT, SocketStage::Command, Break::Close, 1);
    send(&mut socket, mint("never")).await;
    assert!(next(&mut socket).await.is_err());
    assert_eq!((home.tokens().len(), home.counters().faults_hit), (2, 2));
}

#[tokio::test]
async fn silent_websocket_is_closed() {
    let options = HomeOptions {
        auth_timeout: Duration::from_millis(20),
        ..HomeOptions::default()
    };
    let home = SimulatedHome::start(options).await.unwrap();
    let mut unauthenticated = connect(&home).await.unwrap();
    receive(&mut unauthenticated).await;
    assert_eq!(close_code(&mut unauthenticated).await, 1000);

    let options = HomeOptions {
        heartbeat: Duration::from_millis(40),
        ..HomeOptions::default()
    };
    let home = SimulatedHome::start(options).await.unwrap();
    // This client does not read, so it sends no pong.
    let mut frozen = log_in(&home, &home.mint_token("test")).await;
    home.wait_for(|counters| counters.auth_ok == 1 && counters.open_sockets == 0)
        .await;
    assert!(
        next(&mut frozen).await.is_err(),
        "closed with a close frame"
    );
}

#[tokio::test]
async fn restart_keeps_the_port_and_the_tokens() {
    let mut home = start().await;
    let (token, address) = (home.mint_token("test"), home.address());
    let mut socket = log_in(&home, &token).await;
    let (code, ()) = tokio::join!(close_code(&mut socket), home.stop());
    assert_eq!(code, 1000);
    assert!(TcpStream::connect(address).await.is_err());

    home.restart().await.unwrap();
    assert_eq!(home.address(), address);
    let mut socket = log_in(&home, &token).await;
    home.kill().await;
    assert!(next(&mut socket).await.is_err());

    drop(home);
    let options = HomeOptions {
        address,
        ..HomeOptions::default()
    };
    let home = SimulatedHome::start(options).await.unwrap();
    assert_eq!(config_status(&home, &token).await, 401);
}

#[tokio::test]
async fn tls_serves_rest_and_websocket() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let options = HomeOptions {
        tls: Some(Arc::new(server)),
        ..HomeOptions::default()
    };
    let home = SimulatedHome::start(options).await.unwrap();
    let token = home.mint_token("test");

    let mut roots = rustls::RootCertStore::empty();
    roots.add(certified.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(client.clone())
        .resolve(
            "localhost",
            (Ipv4Addr::LOCALHOST, home.address().port()).into(),
        )
        .no_proxy()
        .build()
        .unwrap();
    let config = http
        .get(format!("{}/api/config", home.url()))
        .bearer_auth(&token);
    assert_eq!(config.send().await.unwrap().status(), 200);

    let tcp = TcpStream::connect(home.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let tls = connector.connect(name, tcp).await.unwrap();
    let (mut socket, _) = client_async(home.websocket_url(), tls).await.unwrap();
    let auth = Message::text(auth(&token).to_string());
    socket.send(auth).await.unwrap();
    home.wait_for(|counters| counters.auth_ok == 1).await;
}
