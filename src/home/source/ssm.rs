//! Secrets in AWS SSM Parameter Store, read with decryption.

mod error;
mod homes;
mod versions;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{Parameter, ParameterType};
use error::{classify, failed};
use futures_util::future::BoxFuture;
pub use homes::SsmHomes;
use secrecy::SecretString;
pub use versions::SsmVersions;

use super::{Origin, SecretSource, Setting, SourceError, SourceFault, StoredSecret};

/// Whether a parameter must be stored encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// It must be a SecureString.
    Required,
    /// It may be a String as well: it is no secret, like a certificate.
    Optional,
}

/// A parameter by name.
#[derive(Debug)]
pub struct SsmSource {
    client: Client,
    name: String,
    encryption: Encryption,
    setting: Setting,
}

impl SsmSource {
    /// A source that reads the parameter `name`, which `setting` names.
    pub fn new(client: Client, name: String, encryption: Encryption, setting: Setting) -> Self {
        Self {
            client,
            name,
            encryption,
            setting,
        }
    }

    async fn get(&self) -> Result<StoredSecret, SourceError> {
        let output = self
            .client
            .get_parameter()
            .name(&self.name)
            .with_decryption(true)
            .send()
            .await
            .map_err(|error| classify(&error, self.origin()))?;
        let Some(parameter) = output.parameter else {
            return Err(self.origin().failed(failed("EmptyAnswer")));
        };
        stored(parameter, self.encryption, || self.origin())
    }
}

impl SecretSource for SsmSource {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        Box::pin(self.get())
    }

    fn origin(&self) -> Origin {
        Origin::new(self.setting, &self.name)
    }
}

/// What a parameter holds, if it is stored as it should be.
fn stored(
    parameter: Parameter,
    encryption: Encryption,
    origin: impl FnOnce() -> Origin,
) -> Result<StoredSecret, SourceError> {
    if encryption == Encryption::Required && parameter.r#type != Some(ParameterType::SecureString) {
        return Err(origin().failed(not_secure(parameter.r#type)));
    }
    Ok(StoredSecret {
        // The SDK's string is moved, not copied: its memory is zeroed with the secret.
        value: SecretString::from(parameter.value.unwrap_or_default()),
        version: Some(parameter.version),
    })
}

/// The fault of a parameter that has another type than SecureString.
fn not_secure(kind: Option<ParameterType>) -> SourceFault {
    SourceFault::NotSecure {
        kind: kind.map_or_else(|| "value of no type".to_owned(), |kind| kind.to_string()),
    }
}
