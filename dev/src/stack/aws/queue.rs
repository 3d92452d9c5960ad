//! SQS: creates queues.

use aws_sdk_sqs::Client;

use super::emulator::AwsEmulator;
use crate::stack::error::{Error, Result};

const CREATE: &str = "sqs:CreateQueue";

impl AwsEmulator {
    /// Creates a queue with the default settings. Returns its URL.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn create_queue(&self, name: &str) -> Result<String> {
        let request = Client::new(self.sdk_config())
            .create_queue()
            .queue_name(name);
        let created = request.send().await;
        let created = created.map_err(|error| Error::aws(CREATE, &error))?;
        created.queue_url.ok_or_else(|| Error::Aws {
            call: CREATE,
            why: "the answer has no URL".to_owned(),
        })
    }
}
