//! Errors of reading a secret: the setting, the place that the setting names, and the cause.

use std::fmt;

use crate::base::parameter::ParameterName;

/// A setting whose value is stored in a parameter or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setting {
    /// The token in the parameter that `HA_TOKEN_PARAMETER` names.
    Token,
    /// The token in the file that `HA_TOKEN_FILE` names, for local use only.
    TokenFile,
    /// The token in `HA_TOKEN`, for local use only.
    TokenVariable,
    /// The CA certificates in the parameter that `HA_CA_PARAMETER` names.
    Ca,
    /// The client certificate in the parameter that `HA_CLIENT_CERT_PARAMETER` names.
    ClientCert,
    /// The headers in the parameter that `HA_HEADERS_PARAMETER` names.
    Headers,
    /// The signing secret of callers' tokens in the parameter that `CALLER_JWT_SECRET_PARAMETER` names.
    CallerSecret,
    /// The secret of homes that push events, in the parameter that `EVENTS_SECRET_PARAMETER` names.
    EventsSecret,
    /// The address of a stored home.
    HomeUrl,
    /// The token of a stored home.
    HomeToken,
    /// The CA certificates of a stored home.
    HomeCa,
    /// The client certificate of a stored home.
    HomeClientCert,
    /// The headers of a stored home.
    HomeHeaders,
    /// All parameters of a stored home. One call reads all of them.
    Home,
    /// The names of all stored homes.
    Homes,
}

impl Setting {
    /// All settings.
    pub const ALL: [Self; 15] = [
        Self::Token,
        Self::TokenFile,
        Self::TokenVariable,
        Self::Ca,
        Self::ClientCert,
        Self::Headers,
        Self::CallerSecret,
        Self::EventsSecret,
        Self::HomeUrl,
        Self::HomeToken,
        Self::HomeCa,
        Self::HomeClientCert,
        Self::HomeHeaders,
        Self::Home,
        Self::Homes,
    ];

    /// Returns the name that operators know: the environment variable, or the name of the home's parameter.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Token => "HA_TOKEN_PARAMETER",
            Self::TokenFile => "HA_TOKEN_FILE",
            Self::TokenVariable => "HA_TOKEN",
            Self::Ca => "HA_CA_PARAMETER",
            Self::ClientCert => "HA_CLIENT_CERT_PARAMETER",
            Self::Headers => "HA_HEADERS_PARAMETER",
            Self::CallerSecret => "CALLER_JWT_SECRET_PARAMETER",
            Self::EventsSecret => "EVENTS_SECRET_PARAMETER",
            Self::HomeUrl => "the home's /url",
            Self::HomeToken => "the home's /token",
            Self::HomeCa => "the home's /ca",
            Self::HomeClientCert => "the home's /client-cert",
            Self::HomeHeaders => "the home's /headers",
            Self::Home | Self::Homes => "HOMES_PARAMETER_PREFIX",
        }
    }

    /// Returns true if the setting holds a home's token.
    pub const fn is_token(self) -> bool {
        match self {
            Self::Token | Self::TokenFile | Self::TokenVariable | Self::HomeToken => true,
            Self::Ca
            | Self::ClientCert
            | Self::Headers
            | Self::CallerSecret
            | Self::EventsSecret
            | Self::HomeUrl
            | Self::HomeCa
            | Self::HomeClientCert
            | Self::HomeHeaders
            | Self::Home
            | Self::Homes => false,
        }
    }
}

/// The place of a secret and the setting that names the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The setting that names the place.
    pub setting: Setting,
    /// The name of the parameter, file or home; for [`Setting::Homes`] the prefix.
    pub place: String,
}

impl Origin {
    /// Creates the origin of a secret.
    pub fn new(setting: Setting, place: impl Into<String>) -> Self {
        Self {
            setting,
            place: place.into(),
        }
    }

    /// Returns the version or label that a parameter is pinned to. `None` if the place is not a pinned parameter.
    pub fn selector(&self) -> Option<&str> {
        match self.setting {
            Setting::Token
            | Setting::Ca
            | Setting::ClientCert
            | Setting::Headers
            | Setting::CallerSecret
            | Setting::EventsSecret => ParameterName::parse(&self.place).ok()?.selector(),
            Setting::TokenFile
            | Setting::TokenVariable
            | Setting::HomeUrl
            | Setting::HomeToken
            | Setting::HomeCa
            | Setting::HomeClientCert
            | Setting::HomeHeaders
            | Setting::Home
            | Setting::Homes => None,
        }
    }

    /// Returns the error of reading this secret.
    pub fn failed(self, fault: SourceFault) -> SourceError {
        SourceError {
            origin: self,
            fault,
        }
    }
}

/// The text never begins with the case-sensitive name, because callers capitalise the first letter of a sentence.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, label) = (&self.place, self.setting.label());
        match self.setting {
            Setting::TokenFile => write!(f, "the file {place} (named by {label})"),
            Setting::TokenVariable => write!(f, "the variable {label}"),
            Setting::Token
            | Setting::Ca
            | Setting::ClientCert
            | Setting::Headers
            | Setting::CallerSecret
            | Setting::EventsSecret => write!(f, "the parameter {place} (named by {label})"),
            Setting::HomeUrl
            | Setting::HomeToken
            | Setting::HomeCa
            | Setting::HomeClientCert
            | Setting::HomeHeaders => write!(f, "the parameter {place} ({label})"),
            Setting::Home => write!(f, "the home {place} (stored below {label})"),
            Setting::Homes => write!(f, "the list of homes below {place} ({label})"),
        }
    }
}

/// An error of reading a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    /// The secret that could not be read.
    pub origin: Origin,
    /// The cause of the failure.
    pub fault: SourceFault,
}

/// The cause of a failed read. Each variant requires a different action by the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFault {
    /// The parameter or file does not exist.
    NotFound,
    /// The parameter is stored as plain text, not as a SecureString.
    NotSecure {
        /// The type of the parameter.
        kind: String,
    },
    /// The IAM role has no permission to read the parameter.
    AccessDenied,
    /// The KMS key is missing or disabled, or the role has no permission to use it.
    Decryption {
        /// The error code of SSM or KMS.
        code: String,
    },
    /// The stored home has another address or other settings now than when it was opened.
    Superseded,
    /// The setting reads one fixed version, so a rotated token would have no effect.
    Pinned {
        /// The number or label of the version.
        selector: String,
    },
    /// Parameter Store throttled the request.
    Throttled,
    /// Parameter Store did not respond in time.
    TimedOut,
    /// The connection failed, or credentials are missing.
    Unreachable {
        /// The failed step, without addresses or values.
        reason: &'static str,
    },
    /// Another error.
    Failed {
        /// The error code.
        code: String,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        match &self.fault {
            SourceFault::NotFound => write!(f, "{origin} does not exist"),
            SourceFault::NotSecure { kind } => {
                write!(f, "{origin} is a {kind}, not a SecureString")
            }
            SourceFault::AccessDenied => write!(f, "access to {origin} is denied"),
            SourceFault::Decryption { code } => {
                write!(f, "{origin} could not be decrypted ({code})")
            }
            SourceFault::Superseded => {
                write!(f, "{origin} has changed since it was opened")
            }
            SourceFault::Pinned { selector } => write!(
                f,
                "{origin} is pinned to version or label `{selector}`, and a pinned token cannot be rotated"
            ),
            SourceFault::Throttled => {
                write!(f, "Parameter Store throttled the request for {origin}")
            }
            SourceFault::TimedOut => {
                write!(
                    f,
                    "Parameter Store did not respond in time to the request for {origin}"
                )
            }
            SourceFault::Unreachable { reason } => {
                write!(
                    f,
                    "Parameter Store could not be reached for {origin} ({reason})"
                )
            }
            SourceFault::Failed { code } => write!(f, "the request for {origin} failed ({code})"),
        }
    }
}

impl std::error::Error for SourceError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_keeps_the_case_of_parameter_names() {
        let shown = |setting, place| {
            let error = Origin::new(setting, place).failed(SourceFault::NotFound);
            error.to_string()
        };
        assert_eq!(
            shown(Setting::Token, "hatoken"),
            "the parameter hatoken (named by HA_TOKEN_PARAMETER) does not exist"
        );
        assert_eq!(
            shown(Setting::HomeToken, "/homes/cabin/token"),
            "the parameter /homes/cabin/token (the home's /token) does not exist"
        );
    }
}
