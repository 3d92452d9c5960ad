//! The token cache. Concurrent invocations share one read, and the token is not read again within its TTL.

use std::sync::Arc;
use std::time::Duration;

use latchkey::base::ambient::Ambient;
use latchkey::base::clock::SystemClock;
use latchkey::base::config::TokenFormat;
use latchkey::base::metrics::{Meter, Metrics};
use latchkey::base::random::Random;
use latchkey::home::source::{Encryption, Setting, SsmSource};
use latchkey::home::token::TokenService;
use latchkey_dev::stack::Function;
use serde_json::json;
use testkit::{PARAMETER, Sandbox, Stage, invoke};

use crate::BOOTSTRAP;

#[tokio::test]
async fn hundred_concurrent_first_uses_read_the_token_once() {
    let stage = Stage::builder().start().await;
    let clock = Arc::new(SystemClock::new());
    let client = aws_sdk_ssm::Client::new(stage.aws.sdk_config());
    let service = Arc::new(TokenService::new(
        Box::new(SsmSource::new(
            client,
            PARAMETER.to_owned(),
            Encryption::Required,
            Setting::Token,
        )),
        TokenFormat::Jwt,
        Duration::from_secs(300),
        Ambient {
            clock: clock.clone(),
            random: Random::seeded(1),
            meter: Meter::new(Arc::new(Metrics::new(None, clock)), None),
        },
    ));
    let uses: Vec<_> = (0..100)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move { service.current().await })
        })
        .collect();
    let mut fingerprints = Vec::new();
    for each in uses {
        fingerprints.push(each.await.unwrap().unwrap().fingerprint());
    }
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 1);
    assert_eq!(stage.reads().await, 1);
}

#[tokio::test]
async fn thousand_warm_invocations_do_not_read_the_token_again() {
    let stage = Stage::builder().start().await;
    let function = stage.function(BOOTSTRAP).await;
    let event = json!({ "command": { "type": "ping" } });
    for _ in 0..1_001 {
        let answer = invoke(&function, &event).await;
        assert_eq!(answer["results"][0]["success"], true, "{answer}");
    }
    assert_eq!(stage.reads().await, 1);
    let counters = stage.home.counters();
    assert_eq!(counters.commands["ping"], 1_001);
    assert_eq!((counters.auth_ok, counters.config_checks), (1, 1));
}

/// Lambda Managed Instances run many invocations at once in one process.
#[tokio::test]
async fn concurrent_invocations_share_token_and_socket() {
    let stage = Stage::builder().start().await;
    let app = Sandbox::builder()
        .aws(&stage.aws)
        .envs([("HA_URL", stage.home.url().as_str()), ("METRICS", "off")])
        .start()
        .await;
    let payload = json!({ "command": { "type": "ping" } }).to_string();
    for _ in 0..10 {
        let invocations: Vec<_> = (0..100)
            .map(|_| {
                let (app, payload) = (app.clone(), payload.clone());
                tokio::spawn(async move { app.handle(&payload).await })
            })
            .collect();
        for invocation in invocations {
            let answer = invocation.await.unwrap();
            assert_eq!(answer["results"][0]["success"], true, "{answer}");
        }
    }
    assert_eq!(stage.reads().await, 1);
    let counters = stage.home.counters();
    assert_eq!(counters.commands["ping"], 1_000);
    assert_eq!((counters.auth_ok, counters.config_checks), (1, 1));
}

#[tokio::test]
async fn zero_ttl_reads_the_token_at_each_use() {
    // With a TTL of 0 the token is also read after each of the six answers, because it may have been replaced.
    for (ttl, reads) in [("0", 3 + 6), ("300", 1)] {
        let mut stage = Stage::builder().start().await;
        let function = Function::start(stage.options(BOOTSTRAP).env("TOKEN_TTL_SECONDS", ttl))
            .await
            .unwrap();
        let event = json!({ "command": { "type": "ping" } });
        for restarts in 0..3 {
            if restarts > 0 {
                stage.home.restart().await.unwrap();
            }
            for _ in 0..2 {
                let answer = invoke(&function, &event).await;
                assert_eq!(answer["results"][0]["success"], true, "{answer}");
            }
        }
        // An open socket needs no token. Only the first command on each socket needs one.
        assert_eq!(stage.home.counters().auth_ok, 3);
        assert_eq!(stage.reads().await, reads, "TTL {ttl}");
    }
}
