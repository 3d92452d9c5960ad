//! Tests of Lambda's tenant isolation. An execution environment that is bound to a tenant serves only that tenant's
//! home.

use latchkey_dev::stack::{AwsEmulator, Metric};
use serde_json::{Value, json};
use testkit::homes::{
    GET_PARAMETERS, House, LIST, NAMESPACE, PREFIX, assert_done, assert_problem, assert_warm,
    keep_warm, toggle, toggle_in, village,
};
use testkit::{PARAMETER, sample};

use super::{app, app_with};

fn violations(metrics: &[Metric]) -> f64 {
    let of_name = metrics.iter().filter(|it| it.name == "TenantViolation");
    of_name.map(Metric::sum).sum()
}

#[tokio::test]
async fn tenant_is_served_only_its_own_home() {
    let (aws, [cabin, beach]) = village(["cabin", "beach"]).await;
    let app = app(&aws).await;
    // The tenant's own home is served with and without its name.
    assert_done(&app.handle_for("cabin", &toggle()).await);
    assert_done(&app.handle_for("cabin", &toggle_in("cabin")).await);
    assert_eq!(cabin.toggles(), 2);

    let rotation = json!({ "source": "rotate-token", "home": "beach", "dry_run": true });
    for event in [toggle_in("beach"), rotation, toggle_in("nowhere")] {
        let answer = app.handle_for("cabin", &event).await;
        assert_problem(&answer, "forbidden", 403, "tenant");
    }
    assert_eq!(beach.home.counters().tcp_connections, 0);
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 1);
    app.deliver_metrics().await;
    let metrics = aws.metrics(NAMESPACE).await.unwrap();
    assert_eq!(violations(&metrics), 3.0, "{metrics:?}");
}

#[tokio::test]
async fn environment_stays_bound_to_its_first_tenant() {
    let (aws, [cabin, beach]) = village(["cabin", "beach"]).await;
    let app = app(&aws).await;
    assert_done(&app.handle_for("cabin", &toggle()).await);
    for event in [
        toggle(),
        toggle_in("beach"),
        toggle_in("cabin"),
        keep_warm(),
    ] {
        let answer = app.handle_for("beach", &event).await;
        assert_problem(&answer, "forbidden", 403, "");
    }
    // An event without a tenant does not change the binding.
    assert_problem(&app.handle(&toggle_in("beach")).await, "forbidden", 403, "");
    assert_done(&app.handle(&toggle()).await);
    assert_eq!(cabin.toggles(), 2);
    assert_eq!(beach.home.counters().tcp_connections, 0);
    app.deliver_metrics().await;
    let metrics = aws.metrics(NAMESPACE).await.unwrap();
    assert_eq!(violations(&metrics), 5.0, "{metrics:?}");
}

#[tokio::test]
async fn keep_warm_warms_only_the_tenants_home() {
    let (aws, [_cabin, beach]) = village(["cabin", "beach"]).await;
    let app = app(&aws).await;
    for tenant in [true, false] {
        let answer = match tenant {
            true => app.handle_for("cabin", &keep_warm()).await,
            false => app.handle(&keep_warm()).await,
        };
        assert_eq!(answer["homes"].as_array().unwrap().len(), 1, "{answer}");
        assert_warm(&answer, Some("cabin"));
    }
    assert_eq!(aws.calls_of(LIST).await.unwrap(), 0);
    assert_eq!(beach.home.counters().tcp_connections, 0);
}

#[tokio::test]
async fn tenant_is_not_served_the_unnamed_home() {
    let (aws, [cabin]) = village(["cabin"]).await;
    let main = House::build("main").await;
    aws.put_token(PARAMETER, &main.token).await.unwrap();
    let url = main.home.url();
    let variables = [("HOMES_PARAMETER_PREFIX", PREFIX), ("HA_URL", url.as_str())];
    let app = app_with(&aws, &variables).await;
    assert_done(&app.handle_for("cabin", &toggle()).await);
    let answer = app.handle_for("cabin", &keep_warm()).await;
    assert_eq!(answer["homes"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!((cabin.toggles(), main.toggles()), (1, 0));
    assert_eq!(main.home.counters().tcp_connections, 0);

    let stranger = app_with(&aws, &variables).await;
    let answer = stranger.handle_for("nowhere", &toggle()).await;
    assert_problem(&answer, "not-found", 404, "nowhere/url");
    assert_eq!(main.home.counters().tcp_connections, 0);
}

#[tokio::test]
async fn tenant_with_an_invalid_home_name_is_rejected() {
    let aws = AwsEmulator::start().await.unwrap();
    let app = app(&aws).await;
    for tenant in ["a/b", "tenant@example.com", "x y", ""] {
        let answer = app.handle_for(tenant, &toggle_in("cabin")).await;
        assert_problem(&answer, "bad-request", 400, "name");
    }
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 0);
}

/// The tenant of the environment also applies to HTTP callers.
#[tokio::test]
async fn tenant_binding_applies_to_http_requests() {
    let (aws, [cabin, beach]) = village(["cabin", "beach"]).await;
    let variables = [("HOMES_PARAMETER_PREFIX", PREFIX), ("CALLER_AUTH", "none")];
    let app = app_with(&aws, &variables).await;
    let mut event = sample("events/http-api-command.json");
    event["isBase64Encoded"] = json!(false);
    for (body, status) in [
        (toggle(), 200),
        (toggle_in("cabin"), 200),
        (toggle_in("beach"), 403),
    ] {
        event["body"] = json!(body.to_string());
        let answer = app.handle_for("cabin", &event).await;
        assert_eq!(answer["statusCode"], status, "{answer}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        if status == 200 {
            assert_done(&body);
        }
    }
    assert_eq!(cabin.toggles(), 2);
    assert_eq!(beach.home.counters().tcp_connections, 0);
}
