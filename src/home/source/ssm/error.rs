//! Classification of Parameter Store's errors by the action that an operator has to take.

use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};

use super::super::{Origin, SourceError, SourceFault};

/// Classifies the error of a failed call for `origin`.
pub(super) fn classify<E: ProvideErrorMetadata>(
    error: &SdkError<E>,
    origin: Origin,
) -> SourceError {
    origin.failed(match error {
        SdkError::TimeoutError(_) => SourceFault::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => SourceFault::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_io() => SourceFault::Unreachable {
            reason: "the connection failed",
        },
        // Credentials are resolved while the request is dispatched.
        SdkError::DispatchFailure(_) => SourceFault::Unreachable {
            reason: "the credentials or the endpoint are missing or not usable",
        },
        SdkError::ConstructionFailure(_) => SourceFault::Unreachable {
            reason: "the region or the endpoint is missing or not usable",
        },
        SdkError::ServiceError(service) => by_code(service.err()),
        SdkError::ResponseError(_) => failed("UnreadableResponse"),
        _ => failed("Unknown"),
    })
}

/// Returns the fault for an error that is known only by its code.
pub(super) fn failed(code: &str) -> SourceFault {
    SourceFault::Failed {
        code: code.to_owned(),
    }
}

fn by_code(error: &impl ProvideErrorMetadata) -> SourceFault {
    let code = error.code().unwrap_or("Unknown");
    // SSM reports an access error of KMS as its own AccessDenied. Only the message shows the difference.
    let about_key = code.contains("KMS")
        || error
            .message()
            .is_some_and(|text| text.contains("kms:") || text.contains("ciphertext"));
    match code {
        "ParameterNotFound" | "ParameterVersionNotFound" => SourceFault::NotFound,
        "InvalidKeyId" => SourceFault::Decryption {
            code: code.to_owned(),
        },
        _ if about_key => SourceFault::Decryption {
            code: code.to_owned(),
        },
        "AccessDeniedException"
        | "AccessDenied"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "InvalidSignatureException" => SourceFault::AccessDenied,
        "ThrottlingException" | "Throttling" | "TooManyUpdates" | "RequestLimitExceeded" => {
            SourceFault::Throttled
        }
        _ => failed(code),
    }
}
