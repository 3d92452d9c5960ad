//! The settings, by area.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::address::HomeAddress;

/// One home, as the environment names it.
#[derive(Clone, Debug)]
pub struct HomeConfig {
    /// Its address.
    pub address: HomeAddress,
    /// The parameter with a private CA, if the home has one.
    pub ca_parameter: Option<String>,
    /// The parameter with a client certificate, if the home asks for one.
    pub client_cert_parameter: Option<String>,
    /// The parameter with extra headers, if something in front of the home asks for them.
    pub headers_parameter: Option<String>,
}

/// The limits on talking to a home.
#[derive(Clone, Copy, Debug)]
pub struct HomeLimits {
    /// The limit on proving the token against `/api/config`.
    pub validate_timeout: Duration,
    /// The limit on DNS, TCP, TLS and upgrade together, and again on authentication.
    pub connect_timeout: Duration,
    /// The limit on the reply to a command.
    pub command_timeout: Duration,
    /// The largest message accepted from the home.
    pub max_message_bytes: usize,
}

/// How failed connections are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// How many attempts there are in all; 0 and 1 both mean one.
    pub attempts: usize,
    /// The first delay; each further one is twice as long.
    pub base: Duration,
}

/// Where the token comes from and how long it is kept.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// Its source.
    pub origin: TokenOrigin,
    /// How long a fetched token is used before it is read again.
    pub ttl: Duration,
    /// Whether a token that is not a JWT is accepted, with a warning.
    pub format: TokenFormat,
}

/// The source of the token.
#[derive(Clone)]
pub enum TokenOrigin {
    /// A SecureString in SSM Parameter Store, by name.
    Parameter(String),
    /// The variable `HA_TOKEN`; local use only.
    Variable(SecretString),
    /// A file named by `HA_TOKEN_FILE`; local use only.
    File(PathBuf),
}

impl fmt::Debug for TokenOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "Parameter({name})"),
            Self::Variable(_) => f.write_str("Variable(HA_TOKEN)"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// Which texts count as a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFormat {
    /// A JSON Web Token, as Home Assistant makes them.
    Jwt,
    /// Any text without blanks and quotes.
    Any,
}

/// How callers prove themselves.
#[derive(Clone, Debug)]
pub enum Callers {
    /// By a JSON Web Token.
    Jwt(Box<JwtConfig>),
    /// Nobody has said how, so nobody can.
    Nobody,
    /// Not at all; local use only.
    Anyone,
}

/// Who issues callers' tokens, for whom, and what their claims are called.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// Who must have issued a token.
    pub issuer: String,
    /// For whom it must have been issued.
    pub audience: String,
    /// Where the keys are.
    pub keys: KeysConfig,
    /// The claim with the tenant.
    pub tenant_claim: String,
    /// The claim with the permissions.
    pub permissions_claim: String,
    /// The claim with the plan.
    pub plan_claim: String,
}

/// Where the keys are that callers' tokens are verified with.
#[derive(Clone, Debug)]
pub enum KeysConfig {
    /// A set of public keys at a URL.
    Jwks(url::Url),
    /// A secret in a parameter.
    Secret(String),
}

/// Where metrics go.
#[derive(Clone, Debug)]
pub struct MetricsConfig {
    /// The way out.
    pub sink: MetricsSink,
    /// The CloudWatch namespace.
    pub namespace: String,
}

/// The way out for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsSink {
    /// `PutMetricData`.
    CloudWatch,
    /// Embedded Metric Format lines on standard output.
    Emf,
    /// Nowhere.
    Off,
}

/// How logs are written.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// The least severe level that is written.
    pub level: tracing::level_filters::LevelFilter,
    /// Their form.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: tracing::level_filters::LevelFilter::INFO,
            format: LogFormat::Json,
        }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}
