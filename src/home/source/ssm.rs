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

/// The encryption that a parameter must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// The parameter must be a SecureString.
    Required,
    /// The parameter may also be a String, because its value is public, for example a certificate.
    Optional,
}

/// A source that reads one parameter.
#[derive(Debug)]
pub struct SsmSource {
    client: Client,
    name: String,
    encryption: Encryption,
    setting: Setting,
}

impl SsmSource {
    /// Creates a source that reads the parameter `name` from the setting `setting`.
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
            return Err(self.origin().failed(failed("EmptyResponse")));
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

/// Returns the value of a parameter. It is an error if the parameter must be encrypted and is not.
fn stored(
    parameter: Parameter,
    encryption: Encryption,
    origin: impl FnOnce() -> Origin,
) -> Result<StoredSecret, SourceError> {
    if encryption == Encryption::Required && parameter.r#type != Some(ParameterType::SecureString) {
        return Err(origin().failed(not_secure(parameter.r#type)));
    }
    Ok(StoredSecret {
        // The SDK's string is moved, not copied, so its memory is zeroed with the secret.
        value: SecretString::from(parameter.value.unwrap_or_default()),
        version: Some(parameter.version),
    })
}

/// Returns the fault for a parameter whose type is not SecureString.
fn not_secure(kind: Option<ParameterType>) -> SourceFault {
    SourceFault::NotSecure {
        kind: kind.map_or_else(
            || "value without a type".to_owned(),
            |kind| kind.to_string(),
        ),
    }
}
