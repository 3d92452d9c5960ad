//! A token that ends by its own word is told of in time, and never presented after its end; and how things are said to
//! be over a token's life.

use std::time::Duration;

use latchkey::base::clock::{Clock as _, SystemClock};
use latchkey::home::bridge::{BridgeError, Status};
use latchkey::home::home_assistant::HomeError;
use latchkey::home::token::TokenError;
use latchkey_dev::home::RestFault;
use latchkey_dev::stack::{Fault, Function, Metric};
use serde_json::{Value, json};

use crate::Stage;
use crate::lambda::{self, GET_PARAMETER, PARAMETER, invoke, problem};
use crate::sandbox::{COMMAND, KEEP_WARM, fingerprint, parameter_change};

const NAMESPACE: &str = "LEE/HomeAssistant";
const WITHIN: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(86_400);

/// A function whose token ends so long from now, after one keep-warm: its answer, its metrics and its log.
async fn kept_warm(stage: &Stage, left: Duration) -> (Value, Vec<Metric>, String) {
    let end = (SystemClock::new().now().unix + left).as_secs();
    let token = stage.home.mint_expiring_token("expiring", end);
    stage.aws.put_token(PARAMETER, &token).await.unwrap();
    let function = Function::start(lambda::options(&stage.aws, &stage.home.url()));
    let function = function.await.unwrap();
    let warm = invoke(&function, &json!({ "source": "keep-warm" })).await;
    let enough = |metrics: &[Metric]| metrics.iter().any(|it| it.name == "TokenDaysToExpiry");
    let metrics = stage.aws.metrics_until(NAMESPACE, WITHIN, enough).await;
    (warm, metrics.unwrap(), function.stop().await)
}

fn named<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    let metric = metrics.iter().find(|metric| metric.name == name);
    metric.unwrap_or_else(|| panic!("no {name} in {metrics:?}"))
}

/// The log's lines about a token that ends soon.
fn warnings(log: &str) -> Vec<Value> {
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line.to_string().contains("the token ends soon"))
        .collect()
}

#[tokio::test]
async fn the_days_that_are_left_are_measured_and_few_of_them_logged() {
    // Half a day more than whole ones, so that the time this takes does not show.
    let half = DAY / 2;
    for (left, is_soon) in [(DAY * 3 + half, true), (DAY * 30 + half, false)] {
        let stage = Stage::set().await;
        let (warm, metrics, log) = kept_warm(&stage, left).await;
        assert_eq!(warm["token"]["valid"], true, "{warm}");
        let days = named(&metrics, "TokenDaysToExpiry");
        let whole = (left - half).as_secs_f64() / DAY.as_secs_f64();
        assert!(
            whole < days.minimum() && days.maximum() <= whole + 0.5,
            "{days:?}"
        );
        assert_eq!(days.samples(), 1.0, "once for each read");
        let warnings = warnings(&log);
        assert_eq!(!warnings.is_empty(), is_soon, "{log}");
        for warning in warnings {
            let text = warning.to_string();
            assert!(text.contains("\"hours_left\":83"), "{text}");
            assert!(text.to_lowercase().contains("warn"), "{text}");
        }
    }
}

#[tokio::test]
async fn an_expired_token_is_never_presented() {
    let stage = Stage::set().await;
    let end = SystemClock::new().now().unix.as_secs() - 60;
    let token = stage.home.mint_expiring_token("expired", end);
    stage.aws.put_token(PARAMETER, &token).await.unwrap();
    let function = Function::start(lambda::options(&stage.aws, &stage.home.url()));
    let function = function.await.unwrap();
    let warm = invoke(&function, &json!({ "source": "keep-warm" })).await;
    assert_eq!(warm["token"]["valid"], false, "{warm}");
    assert_eq!(problem(&warm["problem"]), "token-expired", "{warm}");
    let refused = invoke(&function, &json!({ "command": { "type": "ping" } })).await;
    assert_eq!(refused["statusCode"], 503, "{refused}");
    assert_eq!(problem(&refused), "token-expired");
    let enough = |metrics: &[Metric]| metrics.iter().any(|it| it.name == "TokenDaysToExpiry");
    let metrics = stage.aws.metrics_until(NAMESPACE, WITHIN, enough).await;
    let metrics = metrics.unwrap();
    let days = named(&metrics, "TokenDaysToExpiry");
    assert_eq!((days.minimum(), days.maximum()), (0.0, 0.0));
    assert_eq!(named(&metrics, "TokenValid").maximum(), 0.0);
    assert_eq!(named(&metrics, "TokenRefresh").maximum(), 0.0);
    assert!(stage.home.counters().tokens_presented.is_empty());
    function.stop().await;
}

#[tokio::test]
async fn a_token_that_ends_while_it_is_kept_is_presented_no_more() {
    let stage = Stage::set().await;
    let left = Duration::from_secs(1_000);
    let end = (stage.clock.now().unix + left).as_secs();
    let token = stage.home.mint_expiring_token("expiring", end);
    stage.aws.put_token(PARAMETER, &token).await.unwrap();
    let sandbox = stage.sandbox(&[("TOKEN_TTL_SECONDS", "86400")]).await;
    sandbox.command().await;
    stage.clock.advance(left - Duration::from_secs(100));
    sandbox.command().await;
    assert_eq!(stage.reads().await, 1);
    let presented = stage.home.counters().presented(&token);

    // The home itself would still take it.
    stage.clock.advance(Duration::from_secs(100));
    for payload in [COMMAND, COMMAND] {
        let refused = sandbox.handle(payload).await;
        assert_eq!(problem(&refused), "token-expired", "{refused}");
    }
    let warm = sandbox.handle(KEEP_WARM).await;
    assert_eq!(warm["token"]["valid"], false, "{warm}");
    assert_eq!(problem(&warm["problem"]), "token-expired", "{warm}");
    assert_eq!(stage.home.counters().presented(&token), presented);
    let health = sandbox.health().token.unwrap();
    assert_eq!(health.days_to_expiry, Some(0.0));

    stage.aws.put_token(PARAMETER, &stage.token).await.unwrap();
    sandbox.command().await;
}

#[tokio::test]
async fn health_follows_the_token() {
    let stage = Stage::set().await;
    let sandbox = stage.sandbox(&[]).await;
    let assert_is = |status: Status, sandbox: &crate::sandbox::Sandbox| {
        assert_eq!(sandbox.app.app.status(), status);
        let health = sandbox.health();
        assert_eq!(health.status, status);
        health
    };
    let health = assert_is(Status::Degraded, &sandbox);
    assert!(health.verdict.is_none() && health.token.is_none());

    sandbox.command().await;
    stage.clock.advance(Duration::from_secs(40));
    let health = assert_is(Status::Healthy, &sandbox);
    let (verdict, age) = health.verdict.unwrap();
    assert_eq!((verdict, age), (Ok(()), Duration::from_secs(40)));
    let token = health.token.unwrap();
    assert_eq!(token.fingerprint.to_string(), fingerprint(&stage.token));
    assert_eq!(token.version, Some(1));
    assert_eq!(token.age, Duration::from_secs(40));
    assert!(token.days_to_expiry.unwrap() > 3_000.0);

    // Parameter Store fails: the token in memory is as good as it was.
    let fault = Fault::new(GET_PARAMETER, "AccessDeniedException");
    stage.aws.inject(&fault).await.unwrap();
    stage.clock.advance(Duration::from_secs(260));
    sandbox.command().await;
    sandbox.after_answer().await;
    let health = assert_is(Status::Healthy, &sandbox);
    assert_eq!(health.token.unwrap().age, Duration::from_secs(300));
    stage.aws.clear_faults().await.unwrap();

    // The home is not ready: it will be by itself.
    stage.home.set_fault(RestFault::Status(503));
    stage.clock.advance(Duration::from_secs(600));
    let answer = sandbox.handle(COMMAND).await;
    assert_eq!(problem(&answer), "home-starting", "{answer}");
    assert_is(Status::Degraded, &sandbox);
    stage.home.clear_faults();
    sandbox.command().await;
    assert_is(Status::Healthy, &sandbox);

    stage.revoke(&stage.token, &[&sandbox]).await;
    let answer = sandbox.handle(COMMAND).await;
    assert_eq!(problem(&answer), "token-rejected", "{answer}");
    let health = assert_is(Status::Unhealthy, &sandbox);
    let (verdict, _) = health.verdict.unwrap();
    assert!(
        matches!(
            verdict,
            Err(BridgeError::Token(TokenError::Rejected { .. })
                | BridgeError::Home(HomeError::Rejected))
        ),
        "{verdict:?}"
    );
    assert_eq!(
        health.token.unwrap().version,
        Some(1),
        "it is still said which one"
    );

    stage.aws.delete_parameter(PARAMETER).await.unwrap();
    let answer = sandbox.handle(COMMAND).await;
    assert_eq!(problem(&answer), "token-missing", "{answer}");
    assert_is(Status::Unhealthy, &sandbox);

    let mended = stage.home.mint_token("mended");
    stage.aws.put_token(PARAMETER, &mended).await.unwrap();
    let told = sandbox.handle(&parameter_change(PARAMETER)).await;
    assert_eq!(told["token"]["valid"], true, "{told}");
    let health = assert_is(Status::Healthy, &sandbox);
    assert_eq!(
        health.token.unwrap().fingerprint.to_string(),
        fingerprint(&mended)
    );
}
