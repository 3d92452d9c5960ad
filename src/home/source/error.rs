//! Why a secret could not be read: which setting says where it lies, where that is, and what failed.

use std::fmt;

use crate::base::parameter::ParameterName;

/// A setting whose value lies elsewhere: in a parameter or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setting {
    /// The token, in the parameter that `HA_TOKEN_PARAMETER` names.
    Token,
    /// The token, in the file that `HA_TOKEN_FILE` names; local use only.
    TokenFile,
    /// The token, in `HA_TOKEN`; local use only.
    TokenVariable,
    /// The certificates of authorities, in the parameter that `HA_CA_PARAMETER` names.
    Ca,
    /// The client certificate, in the parameter that `HA_CLIENT_CERT_PARAMETER` names.
    ClientCert,
    /// The headers, in the parameter that `HA_HEADERS_PARAMETER` names.
    Headers,
    /// The secret that callers' tokens are signed with, in the parameter that `CALLER_JWT_SECRET_PARAMETER` names.
    CallerSecret,
    /// The address of a stored home.
    HomeUrl,
    /// The token of a stored home.
    HomeToken,
    /// The certificates of authorities of a stored home.
    HomeCa,
    /// The client certificate of a stored home.
    HomeClientCert,
    /// The headers of a stored home.
    HomeHeaders,
    /// All parameters of a stored home, which one call reads.
    Home,
    /// The names of all stored homes.
    Homes,
}

impl Setting {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Token,
        Self::TokenFile,
        Self::TokenVariable,
        Self::Ca,
        Self::ClientCert,
        Self::Headers,
        Self::CallerSecret,
        Self::HomeUrl,
        Self::HomeToken,
        Self::HomeCa,
        Self::HomeClientCert,
        Self::HomeHeaders,
        Self::Home,
        Self::Homes,
    ];

    /// What an operator knows it by: the variable, or what the home's parameter is called.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Token => "HA_TOKEN_PARAMETER",
            Self::TokenFile => "HA_TOKEN_FILE",
            Self::TokenVariable => "HA_TOKEN",
            Self::Ca => "HA_CA_PARAMETER",
            Self::ClientCert => "HA_CLIENT_CERT_PARAMETER",
            Self::Headers => "HA_HEADERS_PARAMETER",
            Self::CallerSecret => "CALLER_JWT_SECRET_PARAMETER",
            Self::HomeUrl => "the home's /url",
            Self::HomeToken => "the home's /token",
            Self::HomeCa => "the home's /ca",
            Self::HomeClientCert => "the home's /client-cert",
            Self::HomeHeaders => "the home's /headers",
            Self::Home | Self::Homes => "HOMES_PARAMETER_PREFIX",
        }
    }

    /// Whether it is where a token of the home's is stored.
    pub const fn is_token(self) -> bool {
        match self {
            Self::Token | Self::TokenFile | Self::TokenVariable | Self::HomeToken => true,
            Self::Ca
            | Self::ClientCert
            | Self::Headers
            | Self::CallerSecret
            | Self::HomeUrl
            | Self::HomeCa
            | Self::HomeClientCert
            | Self::HomeHeaders
            | Self::Home
            | Self::Homes => false,
        }
    }
}

/// Where a secret lies, and which setting says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The setting.
    pub setting: Setting,
    /// The parameter's, file's or home's name; for [`Setting::Homes`] the prefix.
    pub place: String,
}

impl Origin {
    /// A place that a setting names.
    pub fn new(setting: Setting, place: impl Into<String>) -> Self {
        Self {
            setting,
            place: place.into(),
        }
    }

    /// The version or label that the place is pinned to, if it is a parameter and pinned.
    pub fn selector(&self) -> Option<&str> {
        match self.setting {
            Setting::Token
            | Setting::Ca
            | Setting::ClientCert
            | Setting::Headers
            | Setting::CallerSecret => ParameterName::parse(&self.place).ok()?.selector(),
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

    /// The failure to read it.
    pub fn failed(self, fault: SourceFault) -> SourceError {
        SourceError {
            origin: self,
            fault,
        }
    }
}

/// Names are case-sensitive, so they never stand first, where a sentence begins with a capital.
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
            | Setting::CallerSecret => write!(f, "the parameter {place} (named by {label})"),
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

/// Why a secret could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError {
    /// Which one.
    pub origin: Origin,
    /// What failed.
    pub fault: SourceFault,
}

/// What failed while a secret was read. One variant for each thing an operator would do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFault {
    /// There is no such parameter or file.
    NotFound,
    /// The parameter is stored in clear text.
    NotSecure {
        /// The type it has.
        kind: String,
    },
    /// The role may not read it.
    AccessDenied,
    /// The key may not be used, is disabled or gone.
    Decryption {
        /// The error code of SSM or KMS.
        code: String,
    },
    /// What was read belongs to another address, or other settings, than it was asked for.
    Superseded,
    /// Only one version of it is read, so another cannot be stored in its place.
    Pinned {
        /// The version's number or label.
        selector: String,
    },
    /// Too many requests.
    Throttled,
    /// No answer in time.
    TimedOut,
    /// No connection, or no credentials.
    Unreachable {
        /// What failed, without addresses or values.
        reason: &'static str,
    },
    /// Anything else.
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
                write!(f, "{origin} has other settings now than when it was opened")
            }
            SourceFault::Pinned { selector } => write!(
                f,
                "{origin} is pinned to version or label `{selector}`, and a pinned token cannot be rotated"
            ),
            SourceFault::Throttled => {
                write!(
                    f,
                    "Parameter Store limits the rate of requests for {origin}"
                )
            }
            SourceFault::TimedOut => {
                write!(f, "Parameter Store did not answer in time for {origin}")
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
    fn display_keeps_names_as_they_are() {
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
