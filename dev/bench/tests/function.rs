//! A test of `Function`, which starts and invokes a function. The test uses the bare function.

use std::time::Duration;

use latchkey_dev::stack::{Function, FunctionOptions};
use serde_json::json;

#[tokio::test]
async fn function_runs_concurrent_calls_in_turn_and_keeps_its_output() {
    let options = FunctionOptions::new(env!("CARGO_BIN_EXE_bare")).timeout(Duration::from_secs(5));
    let function = Function::start(options).await.unwrap();
    let event = json!({ "source": "keep-warm" });
    let (first, second) = tokio::join!(function.invoke(&event), function.invoke(&event));
    for invocation in [first.unwrap(), second.unwrap()] {
        assert_eq!(invocation.status, 200);
        assert_eq!(
            invocation.json(),
            json!({ "statusCode": 200, "event": event })
        );
    }
    let log = function.stop().await;
    assert!(log.contains("END RequestId"), "{log}");
}
