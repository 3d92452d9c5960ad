//! The rows of the table for secrets that could not be read: the setting decides what is told, and what is advised.

use std::borrow::Cow;

use super::Problem;
use crate::access::KeysError;
use crate::reply::ProblemName;
use crate::source::{Setting, SourceError, SourceFault};

impl Problem {
    /// The one place that explains why a parameter or file could not be read.
    pub(super) fn of_source(error: &SourceError) -> Self {
        let setting = error.origin.setting;
        let name = match &error.fault {
            SourceFault::NotFound if setting.is_token() => ProblemName::TokenMissing,
            SourceFault::Pinned { .. } => ProblemName::BadRequest,
            SourceFault::NotFound
            | SourceFault::NotSecure { .. }
            | SourceFault::AccessDenied
            | SourceFault::Decryption { .. }
            | SourceFault::Superseded
            | SourceFault::Throttled
            | SourceFault::TimedOut
            | SourceFault::Unreachable { .. }
            | SourceFault::Failed { .. } => ProblemName::TokenSourceUnavailable,
        };
        Self::new(name, error, action(setting, &error.fault)).titled(title(setting, &error.fault))
    }

    pub(super) fn of_keys(error: &KeysError) -> Self {
        let name = ProblemName::TokenSourceUnavailable;
        match error {
            KeysError::Source(error) => Self::of_source(error),
            KeysError::SecretTooShort { .. } => Self::new(
                name,
                error,
                "store a longer random secret in that parameter, and have the issuer sign with it",
            )
            .titled("The secret that CALLER_JWT_SECRET_PARAMETER names is too short"),
            KeysError::KeySet(_) => Self::new(
                name,
                error,
                "try again; if it stays, see that CALLER_JWT_JWKS_URL is the issuer's key set and can be reached from the function's network",
            )
            .titled("The key set at CALLER_JWT_JWKS_URL is not usable"),
        }
    }
}

fn title(setting: Setting, fault: &SourceFault) -> String {
    let label = setting.label();
    let subject = match setting {
        Setting::Token
        | Setting::Ca
        | Setting::ClientCert
        | Setting::Headers
        | Setting::CallerSecret => format!("The parameter that {label} names"),
        Setting::TokenFile => format!("The file that {label} names"),
        Setting::TokenVariable => format!("The variable {label}"),
        Setting::HomeUrl
        | Setting::HomeToken
        | Setting::HomeCa
        | Setting::HomeClientCert
        | Setting::HomeHeaders => label.replacen("the", "The", 1),
        Setting::Home => format!("The home stored below {label}"),
        Setting::Homes => format!("The list of homes below {label}"),
    };
    let what = match fault {
        SourceFault::NotFound => "does not exist",
        SourceFault::NotSecure { .. } => "is not a SecureString",
        SourceFault::AccessDenied => "may not be read",
        SourceFault::Decryption { .. } => "could not be decrypted",
        SourceFault::Superseded => "has changed",
        SourceFault::Pinned { .. } => "is pinned to a version or label and cannot be rotated",
        SourceFault::Throttled
        | SourceFault::TimedOut
        | SourceFault::Unreachable { .. }
        | SourceFault::Failed { .. } => "could not be read",
    };
    format!("{subject} {what}")
}

/// What is stored there, how, and what to do once it lay in clear text.
fn holds(setting: Setting) -> (&'static str, &'static str, &'static str) {
    const SECURE: &str = "SecureString";
    match setting {
        Setting::Token | Setting::TokenFile | Setting::TokenVariable | Setting::HomeToken => {
            ("the token", SECURE, "revoke the token in Home Assistant")
        }
        Setting::Ca | Setting::HomeCa => (
            "the PEM certificates of the home's authorities",
            "String",
            "see that no private key was stored with them",
        ),
        Setting::ClientCert | Setting::HomeClientCert => (
            "the PEM client certificate and its key",
            SECURE,
            "replace the key",
        ),
        Setting::Headers | Setting::HomeHeaders => (
            "the JSON object of headers",
            SECURE,
            "replace the secrets in it",
        ),
        Setting::CallerSecret => (
            "the secret that callers' tokens are signed with",
            SECURE,
            "replace the secret",
        ),
        Setting::HomeUrl => (
            "the home's address",
            "String",
            "see that no secret was stored with it",
        ),
        Setting::Home | Setting::Homes => (
            "the home's parameters",
            SECURE,
            "replace the secrets in them",
        ),
    }
}

fn action(setting: Setting, fault: &SourceFault) -> Cow<'static, str> {
    let label = setting.label();
    let (what, kind, leaked) = holds(setting);
    match fault {
        SourceFault::NotFound => match setting {
            Setting::Token | Setting::CallerSecret => {
                format!("store {what} as a {kind} of that name, or set {label} to the name it has")
                    .into()
            }
            Setting::Ca | Setting::ClientCert | Setting::Headers => format!(
                "store {what} as a {kind} of that name, or set {label} to the name that the parameter has, or leave {label} unset if the home does not need it"
            )
            .into(),
            Setting::TokenFile => {
                format!("write {what} to that file, or set {label} to the file that holds it")
                    .into()
            }
            Setting::TokenVariable => format!("set {label} to {what}").into(),
            Setting::HomeUrl
            | Setting::HomeToken
            | Setting::HomeCa
            | Setting::HomeClientCert
            | Setting::HomeHeaders => format!("store {what} as a {kind} of that name").into(),
            Setting::Home | Setting::Homes => {
                format!("store the home's parameters below {label}, or set {label} to where they are")
                    .into()
            }
        },
        SourceFault::NotSecure { .. } => format!(
            "delete the parameter and store {what} as a SecureString; then {leaked}, since it lay in clear text"
        )
        .into(),
        SourceFault::AccessDenied => match setting {
            Setting::Token
            | Setting::Ca
            | Setting::ClientCert
            | Setting::Headers
            | Setting::CallerSecret => {
                "allow the function's role ssm:GetParameter on exactly this parameter".into()
            }
            Setting::HomeUrl
            | Setting::HomeToken
            | Setting::HomeCa
            | Setting::HomeClientCert
            | Setting::HomeHeaders
            | Setting::Home => {
                "allow the function's role ssm:GetParameters on the parameters below HOMES_PARAMETER_PREFIX".into()
            }
            Setting::Homes => {
                "allow the function's role ssm:GetParametersByPath on HOMES_PARAMETER_PREFIX".into()
            }
            Setting::TokenFile | Setting::TokenVariable => {
                format!("let the function read what {label} names").into()
            }
        },
        SourceFault::Decryption { .. } => {
            "allow the function's role kms:Decrypt on the parameter's key, and see that the key is enabled".into()
        }
        SourceFault::Superseded => "try again".into(),
        SourceFault::Pinned { .. } => format!(
            "set {label} to the parameter's name alone, without the colon and what follows it, and rotate again"
        )
        .into(),
        SourceFault::Throttled if setting.is_token() => {
            "try again shortly; if it stays, raise TOKEN_TTL_SECONDS or Parameter Store's throughput"
                .into()
        }
        SourceFault::Throttled => {
            "try again shortly; if it stays, raise Parameter Store's throughput".into()
        }
        SourceFault::TimedOut => {
            "try again; if it stays, see that the function's network reaches Parameter Store (a VPC needs an endpoint or NAT)".into()
        }
        SourceFault::Unreachable { .. } => {
            "see that the function has a role and a region and that its network reaches Parameter Store".into()
        }
        SourceFault::Failed { .. } => match setting {
            Setting::TokenFile => format!("see that {label} names a readable text file").into(),
            Setting::Token
            | Setting::TokenVariable
            | Setting::Ca
            | Setting::ClientCert
            | Setting::Headers
            | Setting::CallerSecret
            | Setting::HomeUrl
            | Setting::HomeToken
            | Setting::HomeCa
            | Setting::HomeClientCert
            | Setting::HomeHeaders
            | Setting::Home
            | Setting::Homes => {
                "look the error code up in the documentation of Parameter Store".into()
            }
        },
    }
}
