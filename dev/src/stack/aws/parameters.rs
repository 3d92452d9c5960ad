//! Parameters, put in and looked at by tests.

use std::time::SystemTime;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{ParameterHistory, ParameterType};

use super::{AwsEmulator, failed};
use crate::stack::{Error, Result};

const HISTORY: &str = "ssm:GetParameterHistory";

/// One version of a parameter.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StoredVersion {
    /// Its number; the first is 1.
    pub version: i64,
    /// What it holds, decrypted.
    pub value: String,
    /// The key that it was encrypted with, as it was named; none for plain text.
    pub key_id: Option<String>,
    /// When it was stored.
    pub modified: SystemTime,
    /// Its labels.
    pub labels: Vec<String>,
}

impl AwsEmulator {
    /// Stores a token as a SecureString, over one that may be there; returns its version.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn put_token(&self, name: &str, value: &str) -> Result<i64> {
        self.put_secure(name, value, None).await
    }

    /// Stores a SecureString under a key, without one under the account's own
    /// (`alias/aws/ssm`), over one that may be there; returns its version. Nobody checks whether
    /// there is such a key.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn put_secure(&self, name: &str, value: &str, key_id: Option<&str>) -> Result<i64> {
        self.put(name, value, ParameterType::SecureString, key_id)
            .await
    }

    /// Stores a plain String parameter, over one that may be there; returns its version.
    ///
    /// # Errors
    /// When the call fails.
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
            .map_err(|error| failed("ssm:PutParameter", &error))?;
        Ok(output.version())
    }

    /// All versions of a parameter that are kept, oldest first.
    ///
    /// # Errors
    /// When there is no such parameter, or a call fails.
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
            let page = page.map_err(|error| failed(HISTORY, &error))?;
            for version in page.parameters.unwrap_or_default() {
                history.push(stored(version)?);
            }
        }
        Ok(history)
    }

    /// Deletes a parameter with all its versions.
    ///
    /// # Errors
    /// When there is no such parameter, or the call fails.
    pub async fn delete_parameter(&self, name: &str) -> Result<()> {
        let deletion = self.ssm().delete_parameter().name(name).send().await;
        deletion.map_err(|error| failed("ssm:DeleteParameter", &error))?;
        Ok(())
    }

    fn ssm(&self) -> Client {
        Client::new(&self.config)
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
