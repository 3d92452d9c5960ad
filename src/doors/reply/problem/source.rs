//! The rows of the problem table for secrets that could not be read. The setting determines title and action.

use std::borrow::Cow;

use super::Problem;
use crate::home::source::{Setting, SourceError, SourceFault};
use crate::service::failure::ProblemName;

impl Problem {
    /// Returns the problem of a parameter or file that could not be read. No other function explains such an error.
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
        Self::new(name, error, action(error)).titled(title(setting, &error.fault))
    }
}

fn title(setting: Setting, fault: &SourceFault) -> String {
    let label = setting.label();
    let subject = match setting {
        Setting::Token
        | Setting::Ca
        | Setting::ClientCert
        | Setting::Headers
        | Setting::CallerSecret
        | Setting::EventsSecret => format!("The parameter named by {label}"),
        Setting::TokenFile => format!("The file named by {label}"),
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

/// Returns the content of a setting, its parameter type, and the action if the content was stored in clear text.
fn holds(setting: Setting) -> (&'static str, &'static str, &'static str) {
    const SECURE: &str = "SecureString";
    match setting {
        Setting::Token | Setting::TokenFile | Setting::TokenVariable | Setting::HomeToken => {
            ("the token", SECURE, "revoke the token in Home Assistant")
        }
        Setting::Ca | Setting::HomeCa => (
            "the PEM certificates of the home's authorities",
            "String",
            "check that no private key was stored with them",
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
            "the secret that signs callers' tokens",
            SECURE,
            "replace the secret",
        ),
        Setting::EventsSecret => (
            "the secret of homes that push events",
            SECURE,
            "replace the secret",
        ),
        Setting::HomeUrl => (
            "the home's address",
            "String",
            "check that no secret was stored with it",
        ),
        Setting::Home | Setting::Homes => (
            "the home's parameters",
            SECURE,
            "replace the secrets in them",
        ),
    }
}

fn action(error: &SourceError) -> Cow<'static, str> {
    let (setting, fault) = (error.origin.setting, &error.fault);
    let label = setting.label();
    let (what, kind, leaked) = holds(setting);
    if let (SourceFault::NotFound, Some(selector)) = (fault, error.origin.selector()) {
        return format!(
            "check that the parameter exists and has the version or label `{selector}`, or remove the version or label \
             from {label}"
        )
        .into();
    }
    match fault {
        SourceFault::NotFound => match setting {
            Setting::Token | Setting::CallerSecret | Setting::EventsSecret => {
                format!("store {what} as a {kind} of that name, or set {label} to the name of the existing parameter")
                    .into()
            }
            Setting::Ca | Setting::ClientCert | Setting::Headers => format!(
                "store {what} as a {kind} of that name, or set {label} to the name of the existing parameter, or leave \
                 {label} unset if the home does not need it"
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
                format!("store the home's parameters below {label}, or set {label} to the path of the parameters")
                    .into()
            }
        },
        SourceFault::NotSecure { .. } => format!(
            "delete the parameter and store {what} as a SecureString; then {leaked}, because it was stored in clear \
             text"
        )
        .into(),
        SourceFault::AccessDenied => match setting {
            Setting::Token
            | Setting::Ca
            | Setting::ClientCert
            | Setting::Headers
            | Setting::CallerSecret
            | Setting::EventsSecret => {
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
                format!("allow the function to read the source named by {label}").into()
            }
        },
        SourceFault::Decryption { .. } => {
            "allow the function's role kms:Decrypt on the parameter's key, and check that the key is enabled".into()
        }
        SourceFault::Superseded => "try again".into(),
        SourceFault::Pinned { .. } => format!(
            "set {label} to the parameter's name alone, without the colon and the text after it, and rotate again"
        )
        .into(),
        SourceFault::Throttled if setting.is_token() => {
            "try again shortly; if the problem persists, raise TOKEN_TTL_SECONDS or Parameter Store's throughput"
                .into()
        }
        SourceFault::Throttled => {
            "try again shortly; if the problem persists, raise Parameter Store's throughput".into()
        }
        SourceFault::TimedOut => {
            "try again; if the problem persists, check that the function's network reaches Parameter Store (a VPC \
             needs an endpoint or NAT)"
                .into()
        }
        SourceFault::Unreachable { .. } => {
            "check that the function has a role and a region, and that its network reaches Parameter Store".into()
        }
        SourceFault::Failed { .. } => match setting {
            Setting::TokenFile => format!("check that {label} names a readable text file").into(),
            Setting::Token
            | Setting::TokenVariable
            | Setting::Ca
            | Setting::ClientCert
            | Setting::Headers
            | Setting::CallerSecret
            | Setting::EventsSecret
            | Setting::HomeUrl
            | Setting::HomeToken
            | Setting::HomeCa
            | Setting::HomeClientCert
            | Setting::HomeHeaders
            | Setting::Home
            | Setting::Homes => {
                "look up the error code in the documentation of Parameter Store".into()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::capitalised;
    use super::*;
    use crate::home::bridge::BridgeError;
    use crate::home::home_assistant::HomeError;
    use crate::home::homes::HomesError;
    use crate::home::source::Origin;
    use crate::home::token::TokenError;
    use crate::service::access::AccessError;
    use crate::service::access::KeysError;
    use crate::service::failure::Failure;
    use crate::service::rotation::RotationError;

    /// A parameter name. Messages must not change the case of names.
    const PLACE: &str = "hatoken";

    fn faults() -> [SourceFault; 10] {
        [
            SourceFault::NotFound,
            SourceFault::NotSecure {
                kind: "String".into(),
            },
            SourceFault::AccessDenied,
            SourceFault::Decryption {
                code: "InvalidKeyId".into(),
            },
            SourceFault::Superseded,
            SourceFault::Pinned {
                selector: "prod".into(),
            },
            SourceFault::Throttled,
            SourceFault::TimedOut,
            SourceFault::Unreachable {
                reason: "no connection",
            },
            SourceFault::Failed {
                code: "InternalServerError".into(),
            },
        ]
    }

    /// Returns each failure that a failed read can cause.
    fn failures(error: &SourceError) -> [Failure; 5] {
        [
            Failure::Bridge(BridgeError::Token(TokenError::Source(error.clone()))),
            Failure::Bridge(BridgeError::Home(HomeError::SettingUnavailable(
                error.clone(),
            ))),
            Failure::Access(AccessError::KeysUnavailable(error.clone().into())),
            Failure::Homes(HomesError::Source(error.clone())),
            Failure::Rotation(RotationError::Source(error.clone())),
        ]
    }

    #[test]
    fn every_failure_of_every_setting_names_the_setting_and_a_fitting_action() {
        for setting in Setting::ALL {
            let label = setting.label();
            for fault in faults() {
                let error = Origin::new(setting, PLACE).failed(fault.clone());
                for failure in failures(&error) {
                    let problem = Problem::of(&failure);
                    let case = format!("{setting:?} {fault:?}: {problem:?}");
                    let title = problem.title.to_ascii_lowercase();
                    assert!(title.contains(&label.to_ascii_lowercase()), "{case}");
                    assert!(problem.detail.contains(label), "{case}");
                    if setting != Setting::TokenVariable {
                        assert!(problem.detail.contains(PLACE), "{case}");
                    }
                    assert!(!problem.detail.contains("Hatoken"), "{case}");
                    // The log line of the failure has the same text.
                    assert_eq!(capitalised(failure.to_string()), problem.detail, "{case}");

                    let is_missing = problem.name == ProblemName::TokenMissing;
                    let is_gone = fault == SourceFault::NotFound;
                    assert_eq!(is_missing, is_gone && setting.is_token(), "{case}");
                    assert!(!problem.action.is_empty(), "{case}");
                    if !setting.is_token() {
                        assert!(!problem.action.contains("the token"), "{case}");
                        assert!(!problem.title.contains("token"), "{case}");
                    }
                    for other in Setting::ALL.map(Setting::label) {
                        let is_foreign = !label.contains(other)
                            && other.ends_with("_PARAMETER")
                            && problem.action.contains(other);
                        assert!(!is_foreign, "{case}");
                    }
                }
            }
        }
    }

    #[test]
    fn titles_and_actions_match_the_documentation() {
        let problem = |setting, fault| {
            let error = Origin::new(setting, "/x").failed(fault);
            let problem = Problem::of_source(&error);
            (problem.title.into_owned(), problem.action.into_owned())
        };
        let (title, action) = problem(Setting::Token, SourceFault::NotFound);
        assert_eq!(
            title,
            "The parameter named by HA_TOKEN_PARAMETER does not exist"
        );
        assert_eq!(
            action,
            "store the token as a SecureString of that name, or set HA_TOKEN_PARAMETER to the name of the existing \
             parameter"
        );
        let (title, action) = problem(Setting::Ca, SourceFault::TimedOut);
        assert_eq!(
            title,
            "The parameter named by HA_CA_PARAMETER could not be read"
        );
        assert!(action.contains("Parameter Store"));
        let kind = "String".to_owned();
        let (title, action) = problem(Setting::HomeClientCert, SourceFault::NotSecure { kind });
        assert_eq!(title, "The home's /client-cert is not a SecureString");
        assert!(action.contains("replace the key"), "{action}");
        let selector = "1".to_owned();
        let (title, action) = problem(Setting::Token, SourceFault::Pinned { selector });
        assert!(title.ends_with("cannot be rotated"), "{title}");
        assert!(action.starts_with("set HA_TOKEN_PARAMETER to"), "{action}");
    }

    #[test]
    fn failed_store_names_the_setting_in_its_detail() {
        for fault in faults() {
            let error = Origin::new(Setting::Token, PLACE).failed(fault);
            for failure in [
                RotationError::NotStored(error.clone()),
                RotationError::StoredOrNot(error),
            ] {
                let problem = Problem::of(&Failure::Rotation(failure));
                assert!(problem.detail.contains("HA_TOKEN_PARAMETER"), "{problem:?}");
                assert!(problem.title.contains("stored"), "{problem:?}");
            }
        }
    }

    #[test]
    fn problems_of_caller_keys_do_not_mention_the_home_token() {
        for (error, label) in [
            (
                KeysError::SecretTooShort { least_bytes: 32 },
                "CALLER_JWT_SECRET_PARAMETER",
            ),
            (
                KeysError::KeySet("the issuer did not answer in time".into()),
                "CALLER_JWT_JWKS_URL",
            ),
        ] {
            let problem = Problem::of(&Failure::Access(AccessError::KeysUnavailable(error)));
            assert_eq!(problem.name, ProblemName::TokenSourceUnavailable);
            assert!(problem.title.contains(label), "{problem:?}");
            assert!(problem.detail.contains(label), "{problem:?}");
            assert!(!problem.title.contains("token"), "{problem:?}");
        }
    }
}
