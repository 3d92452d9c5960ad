//! The executable with several homes.

use latchkey_dev::stack::{AwsEmulator, Function, FunctionOptions, Metric, http_client};
use serde_json::{Value, json};
use testkit::homes::{
    GET_PARAMETERS, House, LIST, NAMESPACE, PREFIX, assert_done, assert_problem, assert_warm,
    changed, entry, keep_warm, parameter, toggle, toggle_in, village,
};
use testkit::{PARAMETER, bootstrap, invoke, options, problem};

use crate::BOOTSTRAP;

/// Returns the options of a function that serves only stored homes.
fn homes_only(aws: &AwsEmulator) -> FunctionOptions {
    FunctionOptions::new(bootstrap(BOOTSTRAP))
        .aws(aws)
        .local()
        .env("HOMES_PARAMETER_PREFIX", PREFIX)
        .env("CALLER_AUTH", "none")
}

/// Returns the sum and the number of values of a metric: of one home, or of all homes together.
fn sum_and_samples(metrics: &[Metric], name: &str, home: Option<&str>) -> (f64, f64) {
    let is_it = |metric: &&Metric| {
        let of = metric.dimensions.get("Home").map(String::as_str);
        metric.name == name && of == home
    };
    let metric = metrics.iter().find(is_it);
    metric.map_or((0.0, 0.0), |metric| (metric.sum(), metric.samples()))
}

#[tokio::test]
async fn stored_homes_are_served_kept_warm_updated_and_measured() {
    let (aws, [cabin, beach]) = village(["cabin", "beach"]).await;
    let function = Function::start(homes_only(&aws)).await.unwrap();
    let answer = invoke(&function, &toggle()).await;
    assert_problem(&answer, "bad-request", 400, "home");
    assert_done(&invoke(&function, &toggle_in("cabin")).await);
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 1);
    assert_eq!(beach.home.counters().tcp_connections, 0);

    let answer = invoke(&function, &keep_warm()).await;
    assert_warm(&answer, Some("cabin"));
    assert_warm(&answer, Some("beach"));
    assert_eq!(aws.calls_of(LIST).await.unwrap(), 1);
    let answer = invoke(&function, &toggle_in("nowhere")).await;
    assert_problem(&answer, "not-found", 404, &parameter("nowhere", "url"));

    // The token of the beach is revoked and then replaced.
    beach.home.revoke(&beach.token);
    beach
        .home
        .wait_for(|counters| counters.open_sockets == 0)
        .await;
    let answer = invoke(&function, &keep_warm()).await;
    assert_warm(&answer, Some("cabin"));
    let found = entry(&answer, Some("beach"));
    assert_eq!(found["token"]["valid"], false, "{answer}");
    assert_eq!(problem(&found["problem"]), "token-rejected");
    let second = beach.home.mint_token("second");
    let name = parameter("beach", "token");
    aws.put_token(&name, &second).await.unwrap();
    let answer = invoke(&function, &changed(&name)).await;
    assert_warm(&answer, Some("beach"));
    assert_done(&invoke(&function, &toggle_in("beach")).await);
    assert_done(&invoke(&function, &toggle_in("cabin")).await);
    assert_eq!((cabin.toggles(), beach.toggles()), (2, 1));
    cabin.assert_saw_only_its_own_token();
    assert_eq!(cabin.home.counters().presented(&second), 0);

    // Each value counts for its own home and for all homes together.
    let log = function.stop().await;
    let metrics = aws.metrics(NAMESPACE).await.unwrap();
    let of = |name, home| sum_and_samples(&metrics, name, home);
    assert_eq!(of("TokenValid", Some("cabin")), (1.0, 1.0), "{log}");
    let (valid, asked) = of("TokenValid", Some("beach"));
    assert!(valid == 2.0 && asked >= 3.0, "{metrics:?}");
    assert_eq!(of("TokenValid", None), (valid + 1.0, asked + 1.0));
    assert_eq!(of("CommandLatency", Some("cabin")).1, 2.0);
    assert_eq!(of("CommandLatency", Some("beach")).1, 1.0);
    assert_eq!(of("CommandLatency", None).1, 3.0);
    // Connections belong to callers, and not to homes.
    let of_homes = |metric: &&Metric| metric.name != "ConnectionsActive";
    for metric in metrics.iter().filter(of_homes) {
        let known = [None, Some("cabin"), Some("beach")];
        let home = metric.dimensions.get("Home").map(String::as_str);
        assert!(known.contains(&home), "{metric:?}");
        assert_eq!(metric.dimensions.len(), usize::from(home.is_some()));
        let (sum, samples) = known[1..].iter().fold((0.0, 0.0), |(sum, samples), home| {
            let (one, count) = sum_and_samples(&metrics, &metric.name, *home);
            (sum + one, samples + count)
        });
        let (all, total) = sum_and_samples(&metrics, &metric.name, None);
        assert_eq!(total, samples, "{metric:?}");
        assert!((all - sum).abs() <= 1e-6 * all.abs(), "{metric:?}");
    }
}

#[tokio::test]
async fn unnamed_home_is_served_alongside_named_homes() {
    let (aws, [cabin]) = village(["cabin"]).await;
    let main = House::build("main").await;
    aws.put_token(PARAMETER, &main.token).await.unwrap();
    let options = options(BOOTSTRAP, &aws, &main.home.url()).env("HOMES_PARAMETER_PREFIX", PREFIX);
    let function = Function::start(options).await.unwrap();
    assert_done(&invoke(&function, &toggle()).await);
    assert_done(&invoke(&function, &toggle_in("cabin")).await);
    assert_eq!((main.toggles(), cabin.toggles()), (1, 1));
    function.stop().await;
    let metrics = aws.metrics(NAMESPACE).await.unwrap();
    assert_eq!(sum_and_samples(&metrics, "TokenValid", None), (2.0, 2.0));
    assert_eq!(
        sum_and_samples(&metrics, "TokenValid", Some("cabin")),
        (1.0, 1.0)
    );
    main.assert_saw_only_its_own_token();
    cabin.assert_saw_only_its_own_token();
}

/// Invokes the function for a tenant, as Lambda's front end does.
async fn invoke_for(function: &Function, tenant: &str, event: &Value) -> Value {
    let request = http_client()
        .unwrap()
        .post(function.url())
        .header("X-Amz-Tenant-Id", tenant)
        .body(event.to_string());
    let response = request.send().await.unwrap();
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn environment_serves_only_its_lambda_tenant() {
    let (aws, [cabin, beach]) = village(["cabin", "beach"]).await;
    let function = Function::start(homes_only(&aws)).await.unwrap();
    assert_done(&invoke_for(&function, "cabin", &toggle()).await);
    for (tenant, event) in [
        ("cabin", toggle_in("beach")),
        ("beach", toggle()),
        ("beach", json!({ "source": "keep-warm" })),
    ] {
        let answer = invoke_for(&function, tenant, &event).await;
        assert_problem(&answer, "forbidden", 403, "tenant");
    }
    let answer = invoke_for(&function, "cabin", &keep_warm()).await;
    assert_eq!(answer["homes"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(cabin.toggles(), 1);
    assert_eq!(beach.home.counters().tcp_connections, 0);
    function.stop().await;
    let metrics = aws.metrics(NAMESPACE).await.unwrap();
    assert_eq!(
        sum_and_samples(&metrics, "TenantViolation", None),
        (3.0, 3.0)
    );
}
