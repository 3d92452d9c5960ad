//! The settings, by area.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::address::HomeAddress;

/// The default home.
#[derive(Clone, Debug)]
pub struct HomeConfig {
    /// The address of the home.
    pub address: HomeAddress,
    /// The parameter with a private CA certificate, if the home has one.
    pub ca_parameter: Option<String>,
    /// The parameter with a client certificate, if the home requires one.
    pub client_cert_parameter: Option<String>,
    /// The parameter with extra headers, if a proxy in front of the home requires them.
    pub headers_parameter: Option<String>,
}

/// The timeouts and size limits of requests to a home.
#[derive(Clone, Copy, Debug)]
pub struct HomeLimits {
    /// The timeout of the token check against `/api/config`.
    pub validate_timeout: Duration,
    /// The timeout of DNS, TCP, TLS and upgrade together. Authentication has the same timeout of its own.
    pub connect_timeout: Duration,
    /// The timeout of the reply to a command.
    pub command_timeout: Duration,
    /// The largest message that is accepted from the home, in bytes.
    pub max_message_bytes: usize,
}

/// The retry settings for failed connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// The total number of attempts. Both 0 and 1 mean one attempt.
    pub attempts: usize,
    /// The first delay. Each further delay is twice as long.
    pub base: Duration,
}

/// The source of the token and its time to live.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The source of the token.
    pub origin: TokenOrigin,
    /// The time for which a cached token is used before it is read again.
    pub ttl: Duration,
    /// The accepted format. A token that is not a JWT is accepted only with `Any`, and with a warning.
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

/// The accepted format of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFormat {
    /// A JSON Web Token, as Home Assistant issues it.
    Jwt,
    /// Any text without whitespace and quotes.
    Any,
}

/// The authentication of callers.
#[derive(Clone, Debug)]
pub enum Callers {
    /// With a JSON Web Token.
    Jwt(Box<JwtConfig>),
    /// Not configured, so every caller is rejected.
    Nobody,
    /// No authentication; local use only.
    Anyone,
}

/// The issuer, audience, keys and claim names of callers' tokens.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// The required issuer of a token.
    pub issuer: String,
    /// The required audience of a token.
    pub audience: String,
    /// The source of the keys.
    pub keys: KeysConfig,
    /// The name of the claim with the tenant.
    pub tenant_claim: String,
    /// The name of the claim with the permissions.
    pub permissions_claim: String,
    /// The name of the claim with the plan.
    pub plan_claim: String,
}

/// The source of the keys that verify callers' tokens.
#[derive(Clone, Debug)]
pub enum KeysConfig {
    /// A set of public keys (JWKS) at a URL.
    Jwks(url::Url),
    /// A secret in a parameter.
    Secret(String),
}

/// The settings of metrics.
#[derive(Clone, Debug)]
pub struct MetricsConfig {
    /// The destination of metrics.
    pub sink: MetricsSink,
    /// The CloudWatch namespace.
    pub namespace: String,
}

/// A destination of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsSink {
    /// `PutMetricData`.
    CloudWatch,
    /// Embedded Metric Format lines on standard output.
    Emf,
    /// No destination.
    Off,
}

/// The settings of the log.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// The least severe level that is written.
    pub level: tracing::level_filters::LevelFilter,
    /// The format of a line.
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

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Text,
}
