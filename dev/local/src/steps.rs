//! The steps of a run. Each step checks its result.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use latchkey_dev::stack::{AwsEmulator, Function, Invocation, Metric};
use serde_json::{Value, json};

use crate::home::Home;
use crate::report;

const METRICS_NAMESPACE: &str = "LEE/HomeAssistant";
const METRICS: [&str; 2] = ["TokenValid", "TokenRefresh"];
const METRICS_WITHIN: Duration = Duration::from_secs(20);

/// The parts of the stack that the steps use.
pub(crate) struct Steps<'a> {
    pub(crate) home: &'a Home,
    pub(crate) aws: &'a AwsEmulator,
    pub(crate) function: &'a Function,
}

impl Steps<'_> {
    /// Runs all steps in order.
    pub(crate) async fn all(&self, light: Option<&str>) -> Result<(), String> {
        self.keep_warm().await?;
        self.command(light).await?;
        self.metrics().await
    }

    async fn keep_warm(&self) -> Result<(), String> {
        let started = Instant::now();
        let answer = self.invoke(&json!({ "source": "keep-warm" })).await?;
        report::step("keep-warm", started, describe(&answer));
        let body = answer.json();
        check(
            body["statusCode"] == 200,
            "keep-warm did not return statusCode 200",
        )?;
        check(body["warm"] == true, "keep-warm did not return warm: true")?;
        check(
            body["token"]["valid"] == true,
            "keep-warm did not report the token as valid",
        )
    }

    async fn command(&self, light: Option<&str>) -> Result<(), String> {
        let light = self.home.choose_light(light).await?;
        let before = self.read_state("before", &light).await?;
        let (service, wanted) = if before == "on" {
            ("turn_off", "off")
        } else {
            ("turn_on", "on")
        };
        let command = json!({ "command": {
            "type": "call_service",
            "domain": "light",
            "service": service,
            "target": { "entity_id": light },
        }});

        let started = Instant::now();
        let answer = self.invoke(&http_api_event(&command)).await?;
        report::step(
            "command",
            started,
            format!("light.{service}: {}", describe(&answer)),
        );
        let response = answer.json();
        check(
            response["statusCode"] == 200,
            "POST /commands did not return status 200",
        )?;
        let body: Value = response["body"]
            .as_str()
            .and_then(|body| serde_json::from_str(body).ok())
            .ok_or("POST /commands returned no JSON body")?;
        let result = &body["results"][0];
        check(
            result["outcome"] == "answered" && result["success"] == true,
            "the command did not succeed",
        )?;

        let started = Instant::now();
        let after = self.home.state_settled(&light, wanted).await?;
        report::step("after", started, format!("{light} is {after}"));
        check(
            after == wanted,
            &format!("{light} is {after} in the home: expected {wanted}"),
        )
    }

    async fn read_state(&self, name: &str, light: &str) -> Result<String, String> {
        let started = Instant::now();
        let state = self.home.state(light).await?;
        report::step(name, started, format!("{light} is {state}"));
        Ok(state)
    }

    async fn metrics(&self) -> Result<(), String> {
        let started = Instant::now();
        let all_there = |metrics: &[Metric]| {
            METRICS
                .iter()
                .all(|name| metrics.iter().any(|metric| metric.name == *name))
        };
        let arrived = self
            .aws
            .metrics_until(METRICS_NAMESPACE, METRICS_WITHIN, all_there)
            .await;
        let metrics = arrived.map_err(|error| error.to_string())?;
        let values: Vec<_> = metrics
            .iter()
            .map(|metric| {
                format!(
                    "{} {} ({} values)",
                    metric.name,
                    if metric.name == "TokenValid" {
                        metric.minimum()
                    } else {
                        metric.sum()
                    },
                    metric.samples()
                )
            })
            .collect();
        report::step(
            "metrics",
            started,
            format!("{METRICS_NAMESPACE}: {}", values.join(", ")),
        );
        let token_valid = metrics.iter().filter(|metric| metric.name == "TokenValid");
        check(
            token_valid
                .into_iter()
                .all(|metric| metric.minimum() >= 1.0),
            "TokenValid was below 1 although the token is valid",
        )
    }

    async fn invoke(&self, event: &Value) -> Result<Invocation, String> {
        self.function
            .invoke(event)
            .await
            .map_err(|error| error.to_string())
    }
}

/// Returns a response and the function's own response time.
///
/// The time of a whole request is longer: the emulator starts the function at the first event, and sends a response
/// only when the function's extensions have finished.
fn describe(answer: &Invocation) -> String {
    let text = answer.text();
    match answer.answered_in {
        Some(time) => format!("answered in {:.1} ms: {text}", time.as_secs_f64() * 1000.0),
        None => text,
    }
}

fn check(passed: bool, failure: &str) -> Result<(), String> {
    if passed {
        Ok(())
    } else {
        Err(failure.to_owned())
    }
}

/// Returns the event that an API Gateway HTTP API sends for `POST /commands` with `body`.
fn http_api_event(body: &Value) -> Value {
    let body = body.to_string();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    json!({
        "version": "2.0",
        "routeKey": "POST /commands",
        "rawPath": "/commands",
        "rawQueryString": "",
        "headers": {
            "accept": "application/json",
            "content-length": body.len().to_string(),
            "content-type": "application/json",
            "host": "api.example.com",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "latchkey",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": "POST",
                "path": "/commands",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "latchkey-local",
            },
            "requestId": "make-run",
            "routeKey": "POST /commands",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        },
        "body": body,
        "isBase64Encoded": false,
    })
}
