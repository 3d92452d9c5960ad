//! What Parameter Store's errors mean for an operator.

use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};

use super::super::SourceError;

/// The meaning of a failed call that was about `place`.
pub(super) fn classify<E: ProvideErrorMetadata>(error: &SdkError<E>, place: &str) -> SourceError {
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
        SdkError::ServiceError(service) => by_code(service.err(), place),
        SdkError::ResponseError(_) => failed(place, "UnreadableAnswer"),
        _ => failed(place, "Unknown"),
    }
}

/// A failure with no more to say than its code.
pub(super) fn failed(place: &str, code: &str) -> SourceError {
    SourceError::Failed {
        place: place.to_owned(),
        code: code.to_owned(),
    }
}

fn by_code(error: &impl ProvideErrorMetadata, place: &str) -> SourceError {
    let code = error.code().unwrap_or("Unknown");
    // SSM passes KMS's refusal on as its own AccessDenied, told apart by what the message speaks of.
    let about_key = code.contains("KMS")
        || error
            .message()
            .is_some_and(|text| text.contains("kms:") || text.contains("ciphertext"));
    let place = place.to_owned();
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
        _ => failed(&place, code),
    }
}
