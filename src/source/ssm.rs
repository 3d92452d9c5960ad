//! Secrets in AWS SSM Parameter Store, read with decryption.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_sdk_ssm::types::ParameterType;
use futures_util::future::BoxFuture;
use secrecy::SecretString;

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
            .map_err(|error| self.classify(&error))?;
        let Some(parameter) = output.parameter else {
            return Err(self.failed("EmptyAnswer"));
        };
        if self.encryption == Encryption::Required
            && parameter.r#type != Some(ParameterType::SecureString)
        {
            let kind = parameter
                .r#type
                .map_or_else(|| "value of no type".to_owned(), |kind| kind.to_string());
            return Err(SourceError::NotSecure {
                place: self.name.clone(),
                kind,
            });
        }
        Ok(StoredSecret {
            // The SDK's string is moved, not copied: its memory is zeroed with the secret.
            value: SecretString::from(parameter.value.unwrap_or_default()),
            version: Some(parameter.version),
        })
    }

    fn failed(&self, code: &str) -> SourceError {
        SourceError::Failed {
            place: self.name.clone(),
            code: code.to_owned(),
        }
    }

    fn classify(&self, error: &SdkError<GetParameterError>) -> SourceError {
        match error {
            SdkError::TimeoutError(_) => SourceError::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => SourceError::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_io() => SourceError::Unreachable {
                reason: "no connection",
            },
            // Credentials are resolved while the request is dispatched.
            SdkError::DispatchFailure(_) => SourceError::Unreachable {
                reason: "no credentials or no usable endpoint",
            },
            SdkError::ConstructionFailure(_) => SourceError::Unreachable {
                reason: "no region or no usable endpoint",
            },
            SdkError::ServiceError(service) => self.by_code(service.err()),
            SdkError::ResponseError(_) => self.failed("UnreadableAnswer"),
            _ => self.failed("Unknown"),
        }
    }

    fn by_code(&self, error: &GetParameterError) -> SourceError {
        let place = self.name.clone();
        let code = error.code().unwrap_or("Unknown");
        // SSM passes KMS's refusal on as its own AccessDenied, told apart by what the message speaks of.
        let about_key = code.contains("KMS")
            || error
                .message()
                .is_some_and(|text| text.contains("kms:") || text.contains("ciphertext"));
        match code {
            "ParameterNotFound" | "ParameterVersionNotFound" => SourceError::NotFound { place },
            "InvalidKeyId" => SourceError::Decryption {
                place,
                code: code.to_owned(),
            },
            _ if about_key => SourceError::Decryption {
                place,
                code: code.to_owned(),
            },
            "AccessDeniedException"
            | "AccessDenied"
            | "UnrecognizedClientException"
            | "ExpiredTokenException"
            | "InvalidSignatureException" => SourceError::AccessDenied { place },
            "ThrottlingException" | "Throttling" | "TooManyUpdates" | "RequestLimitExceeded" => {
                SourceError::Throttled
            }
            _ => self.failed(code),
        }
    }
}

impl SecretSource for SsmSource {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        Box::pin(self.get())
    }
}
