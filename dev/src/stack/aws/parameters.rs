//! Parameter Store: stores and reads parameters.

use std::time::{Duration, SystemTime};

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{ParameterHistory, ParameterType};
use serde_json::json;

use super::emulator::AwsEmulator;
use crate::stack::error::{Error, Result};

const HISTORY: &str = "ssm:GetParameterHistory";

/// One version of a parameter.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredVersion {
    /// The version's number. The first version is 1.
    pub version: i64,
    /// The decrypted value.
    pub value: String,
    /// The name of the encryption key. `None` for plain text.
    pub key_id: Option<String>,
    /// The time of storage.
    pub modified: SystemTime,
    /// The version's labels.
    pub labels: Vec<String>,
}

impl AwsEmulator {
    /// Stores a token as a SecureString, as a new version if the parameter exists. Returns the version.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn put_token(&self, name: &str, value: &str) -> Result<i64> {
        self.put_secure(name, value, None).await
    }

    /// Stores a SecureString, as a new version if the parameter exists. Returns the version. Without
    /// `key_id`, the key is the account's own (`alias/aws/ssm`). The emulator does not check that
    /// the key exists.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn put_secure(&self, name: &str, value: &str, key_id: Option<&str>) -> Result<i64> {
        self.put(name, value, ParameterType::SecureString, key_id)
            .await
    }

    /// Stores a String, as a new version if the parameter exists. Returns the version.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn put_parameter(&self, name: &str, value: &str) -> Result<i64> {
        self.put(name, value, ParameterType::String, None).await
    }

    async fn put(
        &self,
        name: &str,
        value: &str,
        kind: ParameterType,
        key_id: Option<&str>,
    ) -> Result<i64> {
        let output = self
            .ssm()
            .put_parameter()
            .name(name)
            .value(value)
            .r#type(kind)
            .set_key_id(key_id.map(str::to_owned))
            .overwrite(true)
            .send()
            .await
            .map_err(|error| Error::aws("ssm:PutParameter", &error))?;
        Ok(output.version())
    }

    /// Dates the versions that are stored from now on back by `age`, so that a test does not wait for them to grow old.
    ///
    /// # Errors
    /// If the emulator does not answer.
    pub async fn date_versions_back(&self, age: Duration) -> Result<()> {
        let body = json!({ "seconds": age.as_secs() });
        let request = self.client.post(self.control("parameter_age")).json(&body);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Returns all stored versions of a parameter, oldest first.
    ///
    /// # Errors
    /// If the parameter does not exist, or a call fails.
    pub async fn history(&self, name: &str) -> Result<Vec<StoredVersion>> {
        let mut pages = self
            .ssm()
            .get_parameter_history()
            .name(name)
            .with_decryption(true)
            .into_paginator()
            .send();
        let mut history = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Error::aws(HISTORY, &error))?;
            for version in page.parameters.unwrap_or_default() {
                history.push(stored(version)?);
            }
        }
        Ok(history)
    }

    /// Deletes a parameter and all its versions.
    ///
    /// # Errors
    /// If the parameter does not exist, or the call fails.
    pub async fn delete_parameter(&self, name: &str) -> Result<()> {
        let deletion = self.ssm().delete_parameter().name(name).send().await;
        deletion.map_err(|error| Error::aws("ssm:DeleteParameter", &error))?;
        Ok(())
    }

    fn ssm(&self) -> Client {
        Client::new(self.sdk_config())
    }
}

fn stored(version: ParameterHistory) -> Result<StoredVersion> {
    let modified = version.last_modified_date;
    let modified = modified.and_then(|date| SystemTime::try_from(date).ok());
    let (Some(value), Some(modified)) = (version.value, modified) else {
        return Err(Error::Aws {
            call: HISTORY,
            why: format!("version {} has no value or no date", version.version),
        });
    };
    Ok(StoredVersion {
        version: version.version,
        value,
        key_id: version.key_id,
        modified,
        labels: version.labels.unwrap_or_default(),
    })
}
