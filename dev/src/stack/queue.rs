//! A poller that invokes the function with the messages of a queue, as Lambda's event source mapping does.

use std::{collections::HashSet, sync::Arc, time::Duration};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tokio::task::{JoinHandle, JoinSet};

use super::aws::AwsEmulator;
use super::error::{Error, Result};
use crate::invoke::Invoke;

/// The most messages in one invocation, as in an event source mapping by default.
const BATCH_SIZE: i32 = 10;
/// The duration of a poll. AWS polls for 20 s; here, the emulator stops only after the poll.
const POLL_SECONDS: i32 = 1;
/// The pause after a poll that failed.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Polls a queue of the AWS emulator and invokes the function with its messages. Batches are handled in parallel.
/// Dropping the handle ends the poller and cancels its invocations.
#[derive(Debug)]
pub struct QueuePoller {
    task: JoinHandle<()>,
}

impl QueuePoller {
    /// Starts to poll a queue.
    ///
    /// The messages of a batch are deleted if the invocation succeeds, except those that its answer lists in
    /// `batchItemFailures`. Other messages come back after the visibility timeout of the queue.
    pub fn start(aws: &AwsEmulator, queue_url: impl Into<String>, invoke: Arc<dyn Invoke>) -> Self {
        let url = queue_url.into();
        let region = aws.sdk_config().region();
        let region = region.map(ToString::to_string).unwrap_or_default();
        let queue = Queue {
            client: Client::new(aws.sdk_config()),
            arn: arn(&url, &region),
            url,
            region,
            invoke,
        };
        Self {
            task: tokio::spawn(poll(Arc::new(queue))),
        }
    }
}

impl Drop for QueuePoller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Queue {
    client: Client,
    url: String,
    arn: String,
    region: String,
    invoke: Arc<dyn Invoke>,
}

/// Returns the ARN of a queue. The last segments of its URL are the account and the name.
fn arn(url: &str, region: &str) -> String {
    let mut segments = url.rsplit('/');
    let name = segments.next().unwrap_or_default();
    let account = segments.next().unwrap_or_default();
    format!("arn:aws:sqs:{region}:{account}:{name}")
}

async fn poll(queue: Arc<Queue>) {
    let mut batches = JoinSet::new();
    loop {
        match queue.receive().await {
            Ok(messages) if messages.is_empty() => {}
            Ok(messages) => {
                let queue = Arc::clone(&queue);
                batches.spawn(async move { queue.handle(messages).await });
            }
            Err(_) => tokio::time::sleep(RETRY_AFTER).await,
        }
        // Frees the results of finished batches.
        while batches.try_join_next().is_some() {}
    }
}

impl Queue {
    async fn receive(&self) -> Result<Vec<Message>> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH_SIZE)
            .wait_time_seconds(POLL_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All");
        let received = request.send().await;
        let received = received.map_err(|error| Error::aws("sqs:ReceiveMessage", &error))?;
        Ok(received.messages.unwrap_or_default())
    }

    /// Invokes the function with a batch, and deletes the messages that succeeded.
    async fn handle(&self, messages: Vec<Message>) {
        let records: Vec<_> = messages.iter().map(|it| self.record(it)).collect();
        let Ok(answer) = self.invoke.invoke(json!({"Records": records})).await else {
            return;
        };
        let Some(failed) = failures(&answer, &messages) else {
            return;
        };
        let succeeded = messages
            .iter()
            .filter(|message| !failed.contains(message.message_id().unwrap_or_default()));
        let entries: Vec<_> = succeeded
            .enumerate()
            .filter_map(|(index, message)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
                let handle = message.receipt_handle().unwrap_or_default();
                entry.receipt_handle(handle).build().ok()
            })
            .collect();
        if entries.is_empty() {
            return;
        }
        let request = self.client.delete_message_batch().queue_url(&self.url);
        // A message that could not be deleted comes back, as in AWS.
        let _ = request.set_entries(Some(entries)).send().await;
    }

    /// Returns the record of a message, as Lambda passes it.
    fn record(&self, message: &Message) -> Value {
        let attributes: Map<_, _> = message
            .attributes()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str().to_owned(), json!(value)))
            .collect();
        let message_attributes: Map<_, _> = message
            .message_attributes()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), attribute(value)))
            .collect();
        json!({
            "messageId": message.message_id(),
            "receiptHandle": message.receipt_handle(),
            "body": message.body(),
            "attributes": attributes,
            "messageAttributes": message_attributes,
            "md5OfBody": message.md5_of_body(),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": self.region,
        })
    }
}

fn attribute(value: &MessageAttributeValue) -> Value {
    let mut attribute = json!({
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value.data_type(),
    });
    if let Some(text) = value.string_value() {
        attribute["stringValue"] = json!(text);
    }
    if let Some(blob) = value.binary_value() {
        attribute["binaryValue"] = json!(STANDARD.encode(blob));
    }
    attribute
}

/// Returns the ids of the messages that failed. Returns `None` if the whole batch failed: for Lambda, the id of no
/// message of the batch, and a malformed list, mean that.
fn failures(answer: &Value, messages: &[Message]) -> Option<HashSet<String>> {
    let items = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return Some(HashSet::new()),
        Some(items) => items.as_array()?,
    };
    let id = |item: &Value| {
        let id = item.get("itemIdentifier")?.as_str()?;
        let is_known = messages
            .iter()
            .any(|message| message.message_id() == Some(id));
        is_known.then(|| id.to_owned())
    };
    items.iter().map(id).collect()
}
