//! Queues of the AWS emulator, and the poller that invokes the function with their messages.
#![expect(clippy::unwrap_used, reason = "a failed call must fail the test")]

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_sdk_sqs::{
    Client,
    types::{MessageAttributeValue, QueueAttributeName},
};
use futures_util::future::BoxFuture;
use latchkey_dev::stack::{AwsEmulator, Invoke, QueuePoller};
use serde_json::{Value, json};
use tokio::sync::watch;

/// A time limit that only a hanging test reaches.
const ANY_TIME: Duration = Duration::from_secs(60);

type Script = fn(&Value) -> Result<Value, String>;

/// A function that records its events and answers as its script says.
struct Function {
    events: watch::Sender<Vec<Value>>,
    script: Script,
}

impl Function {
    fn new(script: Script) -> Arc<Self> {
        Arc::new(Self {
            events: watch::Sender::default(),
            script,
        })
    }

    /// Waits until the function has got as many records, and returns all records so far.
    async fn records(&self, count: usize) -> Vec<Value> {
        let all = |events: &Vec<Value>| -> Vec<Value> {
            let records = |event: &Value| event["Records"].as_array().unwrap().clone();
            events.iter().flat_map(records).collect()
        };
        let mut events = self.events.subscribe();
        let enough = events.wait_for(|events| all(events).len() >= count);
        let events = tokio::time::timeout(ANY_TIME, enough).await.unwrap();
        all(&events.unwrap())
    }
}

impl Invoke for Function {
    fn invoke(&self, event: Value) -> BoxFuture<'static, Result<Value, String>> {
        let answer = (self.script)(&event);
        self.events.send_modify(|events| events.push(event));
        Box::pin(async { answer })
    }
}

/// Starts an emulator with a queue whose messages come back after 1 s.
async fn queue() -> (AwsEmulator, Client, String) {
    let aws = AwsEmulator::start().await.unwrap();
    let client = Client::new(aws.sdk_config());
    let url = named_queue(&aws, &client, "deadlines").await;
    (aws, client, url)
}

async fn named_queue(aws: &AwsEmulator, client: &Client, name: &str) -> String {
    let url = aws.create_queue(name).await.unwrap();
    let change = client.set_queue_attributes().queue_url(&url);
    let change = change.attributes(QueueAttributeName::VisibilityTimeout, "1");
    change.send().await.unwrap();
    url
}

async fn send(client: &Client, url: &str, body: &str, delay: i32) {
    let message = client.send_message().queue_url(url).message_body(body);
    message.delay_seconds(delay).send().await.unwrap();
}

/// Waits until the queue has no messages, neither visible nor in flight.
async fn until_empty(client: &Client, url: &str) {
    let names = [
        QueueAttributeName::ApproximateNumberOfMessages,
        QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
    ];
    let empty = async {
        loop {
            let request = client.get_queue_attributes().queue_url(url);
            let request = request.set_attribute_names(Some(names.to_vec()));
            let answer = request.send().await.unwrap();
            let counts = answer.attributes().unwrap();
            if names.iter().all(|name| counts[name] == "0") {
                return;
            }
        }
    };
    tokio::time::timeout(ANY_TIME, empty).await.unwrap();
}

fn bodies(records: &[Value]) -> Vec<&str> {
    let bodies = records.iter().map(|record| record["body"].as_str());
    let mut bodies: Vec<_> = bodies.map(Option::unwrap).collect();
    bodies.sort_unstable();
    bodies
}

fn milliseconds(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap().as_millis()
}

#[tokio::test]
async fn record_has_the_members_that_lambda_sends() {
    let (aws, client, url) = queue().await;
    let function = Function::new(|_| Ok(Value::Null));
    let _poller = QueuePoller::start(&aws, &url, function.clone());
    let before = milliseconds(SystemTime::now());
    let attribute = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("expiry");
    let message = client.send_message().queue_url(&url).message_body("hello");
    let message = message.message_attributes("kind", attribute.build().unwrap());
    let sent = message.send().await.unwrap();

    let records = function.records(1).await;
    let record = &records[0];
    assert_eq!(record["messageId"], sent.message_id().unwrap());
    assert_eq!(record["body"], "hello");
    assert_eq!(record["md5OfBody"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(record["eventSource"], "aws:sqs");
    assert_eq!(record["awsRegion"], "eu-central-1");
    let arn = "arn:aws:sqs:eu-central-1:123456789012:deadlines";
    assert_eq!(record["eventSourceARN"], arn);
    assert!(!record["receiptHandle"].as_str().unwrap().is_empty());
    let attributes = &record["attributes"];
    assert_eq!(attributes["ApproximateReceiveCount"], "1");
    assert!(!attributes["SenderId"].as_str().unwrap().is_empty());
    for name in ["SentTimestamp", "ApproximateFirstReceiveTimestamp"] {
        let time: u128 = attributes[name].as_str().unwrap().parse().unwrap();
        assert!(time >= before, "{name}");
    }
    let attribute = json!({
        "stringValue": "expiry",
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": "String",
    });
    assert_eq!(record["messageAttributes"], json!({"kind": attribute}));
    until_empty(&client, &url).await;
    aws.stop().await;
}

#[tokio::test]
async fn delayed_message_comes_after_its_delay() {
    let (aws, client, url) = queue().await;
    let function = Function::new(|_| Ok(Value::Null));
    let _poller = QueuePoller::start(&aws, &url, function.clone());
    let sent = SystemTime::now();
    send(&client, &url, "late", 2).await;
    send(&client, &url, "now", 0).await;
    assert_eq!(function.records(1).await[0]["body"], "now");
    let records = function.records(2).await;
    assert_eq!(bodies(&records), ["late", "now"]);
    assert!(sent.elapsed().unwrap() >= Duration::from_secs(2));
    aws.stop().await;
}

#[tokio::test]
async fn failed_messages_come_back_and_others_are_deleted() {
    let (aws, client, url) = queue().await;
    // `bad` fails when it comes for the first time.
    let function = Function::new(|event| {
        let records = event["Records"].as_array().unwrap().iter();
        let failed = records.filter(|record| {
            record["body"] == "bad" && record["attributes"]["ApproximateReceiveCount"] == "1"
        });
        let failed: Vec<_> = failed
            .map(|record| json!({"itemIdentifier": record["messageId"]}))
            .collect();
        Ok(json!({"batchItemFailures": failed}))
    });
    for body in ["good", "bad", "good"] {
        send(&client, &url, body, 0).await;
    }
    let _poller = QueuePoller::start(&aws, &url, function.clone());
    let records = function.records(4).await;
    assert_eq!(bodies(&records), ["bad", "bad", "good", "good"]);
    until_empty(&client, &url).await;
    assert_eq!(function.records(4).await.len(), 4);
    aws.stop().await;
}

#[tokio::test]
async fn failed_batch_comes_back() {
    let scripts: [Script; 3] = [
        |event| match first_time(event) {
            true => Err("the function failed".to_owned()),
            false => Ok(Value::Null),
        },
        |event| match first_time(event) {
            true => Ok(json!({"batchItemFailures": [{"itemIdentifier": "unknown"}]})),
            false => Ok(json!({"batchItemFailures": []})),
        },
        |event| match first_time(event) {
            true => Ok(json!({"batchItemFailures": "malformed"})),
            false => Ok(json!({"batchItemFailures": null})),
        },
    ];
    let aws = AwsEmulator::start().await.unwrap();
    let client = Client::new(aws.sdk_config());
    for (script, name) in scripts.into_iter().zip(["error", "unknown", "malformed"]) {
        // The last poll of a dropped poller can still receive a message, so each case has its own queue.
        let url = named_queue(&aws, &client, name).await;
        let function = Function::new(script);
        send(&client, &url, "again", 0).await;
        let _poller = QueuePoller::start(&aws, &url, function.clone());
        let records = function.records(2).await;
        assert_eq!(bodies(&records), ["again", "again"]);
        until_empty(&client, &url).await;
    }
    aws.stop().await;
}

fn first_time(event: &Value) -> bool {
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1"
}
