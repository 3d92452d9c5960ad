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

use super::{SecretSource, SourceError, StoredSecret};

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
}

impl SsmSource {
    /// A source that reads the parameter `name`.
    pub fn new(client: Client, name: String, encryption: Encryption) -> Self {
        Self {
            client,
            name,
            encryption,
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
            .map_err(|error| classify(&error, &self.name))?;
        let Some(parameter) = output.parameter else {
            return Err(failed(&self.name, "EmptyAnswer"));
        };
        stored(parameter, self.encryption)
    }
}

impl SecretSource for SsmSource {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        Box::pin(self.get())
    }
}

/// What a parameter holds, if it is stored as it should be.
fn stored(parameter: Parameter, encryption: Encryption) -> Result<StoredSecret, SourceError> {
    if encryption == Encryption::Required && parameter.r#type != Some(ParameterType::SecureString) {
        let kind = parameter
            .r#type
            .map_or_else(|| "value of no type".to_owned(), |kind| kind.to_string());
        return Err(SourceError::NotSecure {
            place: parameter.name.unwrap_or_default(),
            kind,
        });
    }
    Ok(StoredSecret {
        // The SDK's string is moved, not copied: its memory is zeroed with the secret.
        value: SecretString::from(parameter.value.unwrap_or_default()),
        version: Some(parameter.version),
    })
}
