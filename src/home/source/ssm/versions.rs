//! Reading the versions of a token's parameter and adding a version.

use std::time::Duration;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::retry::RetryConfig;
use aws_sdk_ssm::types::ParameterType;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};

use super::super::versions::{StoreOutcome, StoredVersion, TokenVersions, Versions};
use super::super::{Origin, Setting, SourceError, SourceFault};
use super::error::{classify, failed};
use super::not_secure;
use crate::base::parameter::ParameterName;

/// The versions of one parameter.
#[derive(Debug)]
pub struct SsmVersions {
    client: Client,
    /// The plain name, without ARN and selector, as the version calls of SSM require.
    name: String,
    /// The version or label that the setting pins the parameter to.
    selector: Option<String>,
    setting: Setting,
}

impl SsmVersions {
    /// Creates the store for the parameter with this name or ARN, which `setting` names.
    pub fn new(client: Client, name: &str, setting: Setting) -> Self {
        let parsed = ParameterName::parse(name).ok();
        Self {
            client,
            name: parsed.map_or_else(|| name.to_owned(), |parsed| parsed.plain()),
            selector: parsed
                .and_then(|parsed| parsed.selector())
                .map(str::to_owned),
            setting,
        }
    }

    fn origin(&self) -> Origin {
        Origin::new(self.setting, &self.name)
    }

    async fn get(&self) -> Result<Versions, SourceError> {
        if let Some(selector) = &self.selector {
            let selector = selector.clone();
            return Err(self.origin().failed(SourceFault::Pinned { selector }));
        }
        // GetParameterHistory returns no ARN, so GetParameter is called for it.
        let current = self
            .client
            .get_parameter()
            .name(&self.name)
            .with_decryption(false)
            .send()
            .await
            .map_err(|error| classify(&error, self.origin()))?;
        let place = current.parameter.and_then(|parameter| parameter.arn);
        let mut pages = self
            .client
            .get_parameter_history()
            .name(&self.name)
            .with_decryption(true)
            .into_paginator()
            .send();
        let mut versions = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(&error, self.origin()))?;
            for version in page.parameters.unwrap_or_default() {
                if version.r#type != Some(ParameterType::SecureString) {
                    return Err(self.origin().failed(not_secure(version.r#type)));
                }
                let stored_at = version
                    .last_modified_date
                    .and_then(|date| Duration::try_from_secs_f64(date.as_secs_f64()).ok())
                    .ok_or_else(|| self.origin().failed(failed("NoDate")))?;
                versions.push(StoredVersion {
                    number: version.version,
                    value: SecretString::from(version.value.unwrap_or_default()),
                    key_id: version.key_id,
                    stored_at,
                });
            }
        }
        versions.sort_by_key(|version| version.number);
        Ok(Versions {
            place: place.ok_or_else(|| self.origin().failed(failed("NoArn")))?,
            all: versions,
        })
    }

    async fn put(&self, value: &SecretString, key_id: Option<&str>) -> StoreOutcome {
        let stored = self
            .client
            .put_parameter()
            .name(&self.name)
            .value(value.expose_secret())
            .r#type(ParameterType::SecureString)
            // Without a key id, Parameter Store would use the account's default key, and everybody in the account may
            // decrypt with that key.
            .set_key_id(key_id.map(str::to_owned))
            .overwrite(true)
            .customize()
            // One attempt without SDK retries, so that a response always belongs to the only attempt.
            .config_override(
                aws_sdk_ssm::config::Builder::new().retry_config(RetryConfig::disabled()),
            )
            .send()
            .await;
        match stored {
            Ok(output) => StoreOutcome::Stored {
                version: output.version,
            },
            Err(error) if error.as_service_error().is_some() => {
                let is_refusal = error
                    .raw_response()
                    .is_some_and(|response| response.status().is_client_error());
                let error = classify(&error, self.origin());
                if is_refusal {
                    StoreOutcome::Refused(error)
                } else {
                    StoreOutcome::Unknown(error)
                }
            }
            Err(error) => StoreOutcome::Unknown(classify(&error, self.origin())),
        }
    }
}

impl TokenVersions for SsmVersions {
    fn read(&self) -> BoxFuture<'_, Result<Versions, SourceError>> {
        Box::pin(self.get())
    }

    fn store<'a>(
        &'a self,
        value: &'a SecretString,
        key_id: Option<&'a str>,
    ) -> BoxFuture<'a, StoreOutcome> {
        Box::pin(self.put(value, key_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(name: &str) -> SsmVersions {
        let config = aws_sdk_ssm::Config::builder()
            .behavior_version(aws_sdk_ssm::config::BehaviorVersion::latest())
            .build();
        SsmVersions::new(Client::from_conf(config), name, Setting::Token)
    }

    #[tokio::test]
    async fn read_of_a_pinned_parameter_fails_with_pinned() {
        for (name, plain, selector) in [
            ("/x:1", "/x", "1"),
            ("hatoken:prod", "hatoken", "prod"),
            (
                "arn:aws:ssm:eu-central-1:123456789012:parameter/a/b:prod",
                "/a/b",
                "prod",
            ),
        ] {
            let error = versions(name).read().await.unwrap_err();
            let selector = selector.to_owned();
            let expected =
                Origin::new(Setting::Token, plain).failed(SourceFault::Pinned { selector });
            assert_eq!(error, expected, "{name}");
        }
        let arn = "arn:aws:ssm:eu-central-1:123456789012:parameter/a/b";
        assert_eq!(versions(arn).name, "/a/b");
    }
}
