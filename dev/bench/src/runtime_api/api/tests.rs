use std::sync::Arc;

use http::StatusCode;
use latchkey_dev::stack::http_client;
use serde_json::Value;

use super::RuntimeApi;
use crate::runtime_api::routes::{EXTENSION, RUNTIME};

#[tokio::test]
async fn invocation_waits_for_the_extension_and_returns_the_response() {
    let api = Arc::new(RuntimeApi::start(false).await.unwrap());
    let base = format!("http://{}", api.address());
    let client = http_client().unwrap();
    let register = client
        .post(format!("{base}{EXTENSION}register"))
        .body(r#"{"events":["INVOKE"]}"#);
    assert_eq!(register.send().await.unwrap().status(), StatusCode::OK);

    let invoking = Arc::clone(&api);
    let invoked = tokio::spawn(async move { invoking.invoke(r#"{"a":1}"#).await });
    let runtime = tokio::spawn(client.get(format!("{base}{RUNTIME}invocation/next")).send());
    api.first_asked().await;
    assert!(
        api.shared.lock().running.is_empty(),
        "the extension is busy"
    );

    let event = client.get(format!("{base}{EXTENSION}event/next")).send();
    let event: Value = event.await.unwrap().json().await.unwrap();
    let invocation = runtime.await.unwrap().unwrap();
    let id = invocation.headers()["lambda-runtime-aws-request-id"].clone();
    assert_eq!(event["requestId"], id.to_str().unwrap());
    assert_eq!(invocation.text().await.unwrap(), r#"{"a":1}"#);

    let url = format!(
        "{base}{RUNTIME}invocation/{}/response",
        id.to_str().unwrap()
    );
    let posted = client.post(url).body("done").send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::ACCEPTED);
    let answer = invoked.await.unwrap().unwrap();
    assert_eq!(answer.body, "done");
    assert!(answer.answered >= answer.handed_out);
}

#[tokio::test]
async fn concurrent_environment_rejects_extensions_for_invocations() {
    let api = RuntimeApi::start(true).await.unwrap();
    let url = format!("http://{}{EXTENSION}register", api.address());
    let client = http_client().unwrap();
    for (events, status) in [
        (r#"{"events":["INVOKE"]}"#, StatusCode::BAD_REQUEST),
        (r#"{"events":["SHUTDOWN"]}"#, StatusCode::OK),
    ] {
        let register = client.post(&url).body(events).send().await.unwrap();
        assert_eq!(register.status(), status, "{events}");
    }
}
