//! What Parameter Store's errors mean for an operator.

use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};

use super::super::{Origin, SourceError, SourceFault};

/// The meaning of a failed call that was about `origin`.
pub(super) fn classify<E: ProvideErrorMetadata>(
    error: &SdkError<E>,
    origin: Origin,
) -> SourceError {
    origin.failed(match error {
        SdkError::TimeoutError(_) => SourceFault::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => SourceFault::TimedOut,
        SdkError::DispatchFailure(failure) if failure.is_io() => SourceFault::Unreachable {
            reason: "no connection",
        },
        // Credentials are resolved while the request is dispatched.
        SdkError::DispatchFailure(_) => SourceFault::Unreachable {
            reason: "no credentials or no usable endpoint",
        },
        SdkError::ConstructionFailure(_) => SourceFault::Unreachable {
            reason: "no region or no usable endpoint",
        },
        SdkError::ServiceError(service) => by_code(service.err()),
        SdkError::ResponseError(_) => failed("UnreadableAnswer"),
        _ => failed("Unknown"),
    })
}

/// A failure with no more to say than its code.
pub(super) fn failed(code: &str) -> SourceFault {
    SourceFault::Failed {
        code: code.to_owned(),
    }
}

fn by_code(error: &impl ProvideErrorMetadata) -> SourceFault {
    let code = error.code().unwrap_or("Unknown");
    // SSM passes KMS's refusal on as its own AccessDenied, told apart by what the message speaks of.
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
