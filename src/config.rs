//! Configuration: read once from a [`Lookup`], typed and range-checked, every fault reported at once.
//!
//! A fault names the variable and says what is wrong with it; it never repeats the value, which may be a secret pasted
//! into the wrong place.

mod address;
mod lookup;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

pub use address::{AddressError, HomeAddress};
pub use lookup::{Environment, Lookup};
use secrecy::SecretString;

/// Everything the function can be told from outside.
#[derive(Clone, Debug)]
pub struct Config {
    /// The home that commands go to.
    pub home: HomeConfig,
    /// Where the token comes from and how long it is kept.
    pub token: TokenConfig,
    /// How callers of the HTTP door prove themselves.
    pub caller_auth: CallerAuth,
    /// Where metrics go.
    pub metrics: MetricsConfig,
    /// How logs are written.
    pub log: LogConfig,
}

/// One home and the limits on talking to it.
#[derive(Clone, Debug)]
pub struct HomeConfig {
    /// Its address.
    pub address: HomeAddress,
    /// The limit on proving the token against `/api/config`.
    pub validate_timeout: Duration,
    /// The limit on DNS, TCP, TLS and upgrade together, and again on authentication.
    pub connect_timeout: Duration,
    /// The limit on the reply to a command.
    pub command_timeout: Duration,
    /// The largest message accepted from the home.
    pub max_message_bytes: usize,
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

/// How callers of the HTTP door prove themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerAuth {
    /// By a JSON Web Token.
    Jwt,
    /// Not at all; local use only.
    None,
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

/// One thing wrong with one variable. Never shows the variable's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The variable.
    pub name: &'static str,
    /// What is wrong and how to mend it.
    pub problem: String,
}

/// Everything that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Fault>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not usable: ")?;
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} {}", fault.name, fault.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

const DEFAULT_PARAMETER: &str = "/homeautomation/tokens/home-assistant";
const DEFAULT_NAMESPACE: &str = "LEE/HomeAssistant";

impl Config {
    /// Reads and checks everything, and reports all faults together.
    pub fn read(lookup: &dyn Lookup) -> Result<Self, ConfigError> {
        let mut reader = Reader {
            lookup,
            faults: Vec::new(),
        };
        let local = reader.is_local();
        let home = reader.home();
        let token = reader.token(local);
        let caller_auth = reader.caller_auth(local);
        let metrics = reader.metrics();
        let log = reader.log();
        match home {
            Some(home) if reader.faults.is_empty() => Ok(Self {
                home,
                token,
                caller_auth,
                metrics,
                log,
            }),
            _ => Err(ConfigError(reader.faults)),
        }
    }
}

struct Reader<'a> {
    lookup: &'a dyn Lookup,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    /// A variable that is set to nothing counts as not set: templates pass empty parameters on.
    fn text(&self, name: &str) -> Option<String> {
        let value = self.lookup.get(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    fn fault(&mut self, name: &'static str, problem: impl Into<String>) {
        self.faults.push(Fault {
            name,
            problem: problem.into(),
        });
    }

    /// Local means under `sam local` (and the local stack), or with no Lambda runtime at all.
    fn is_local(&self) -> bool {
        self.text("AWS_SAM_LOCAL").as_deref() == Some("true")
            || self.text("AWS_LAMBDA_RUNTIME_API").is_none()
    }

    fn number(
        &mut self,
        name: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        let Some(text) = self.text(name) else {
            return default;
        };
        match u64::from_str(&text) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                self.fault(
                    name,
                    format!(
                        "must be a whole number from {} to {}",
                        range.start(),
                        range.end()
                    ),
                );
                default
            }
        }
    }

    fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)], default: T) -> T {
        let Some(text) = self.text(name) else {
            return default;
        };
        if let Some((_, value)) = choices
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(&text))
        {
            return *value;
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        self.fault(name, format!("must be one of {}", words.join(", ")));
        default
    }

    fn milliseconds(&mut self, name: &'static str, default: u64) -> Duration {
        Duration::from_millis(self.number(name, default, 1..=900_000))
    }

    fn home(&mut self) -> Option<HomeConfig> {
        let address = match self.text("HA_URL") {
            None => {
                self.fault(
                    "HA_URL",
                    "is not set; set it to the home's address, like http://homeassistant.local:8123",
                );
                None
            }
            Some(text) => HomeAddress::parse(&text)
                .map_err(|error| self.fault("HA_URL", error.to_string()))
                .ok(),
        };
        let validate_timeout = self.milliseconds("HA_VALIDATE_TIMEOUT_MS", 3_000);
        let connect_timeout = self.milliseconds("HA_CONNECT_TIMEOUT_MS", 5_000);
        let command_timeout = self.milliseconds("HA_COMMAND_TIMEOUT_MS", 10_000);
        let max_message_bytes = self.number("HA_MAX_MESSAGE_BYTES", 32 << 20, 1_024..=1 << 30);
        Some(HomeConfig {
            address: address?,
            validate_timeout,
            connect_timeout,
            command_timeout,
            // The range above fits every platform latchkey runs on.
            max_message_bytes: usize::try_from(max_message_bytes).unwrap_or(usize::MAX),
        })
    }

    fn token(&mut self, local: bool) -> TokenConfig {
        let variable = self.lookup.get("HA_TOKEN").filter(|text| !text.is_empty());
        let file = self.text("HA_TOKEN_FILE");
        let parameter = self
            .text("HA_TOKEN_PARAMETER")
            .unwrap_or_else(|| DEFAULT_PARAMETER.to_owned());
        if !is_parameter_name(&parameter) {
            self.fault(
                "HA_TOKEN_PARAMETER",
                "is no parameter name; use letters, digits and . - _ /, starting with /, or an ARN",
            );
        }
        for (name, set) in [
            ("HA_TOKEN", variable.is_some()),
            ("HA_TOKEN_FILE", file.is_some()),
        ] {
            if set && !local {
                self.fault(
                    name,
                    "is for local use only; in Lambda store the token as a SecureString and name it in HA_TOKEN_PARAMETER",
                );
            }
        }
        if variable.is_some() && file.is_some() {
            self.fault(
                "HA_TOKEN_FILE",
                "is set together with HA_TOKEN; set only one",
            );
        }
        let origin = match (variable, file) {
            (Some(value), _) => TokenOrigin::Variable(value.into()),
            (None, Some(path)) => TokenOrigin::File(path.into()),
            (None, None) => TokenOrigin::Parameter(parameter),
        };
        TokenConfig {
            origin,
            ttl: Duration::from_secs(self.number("TOKEN_TTL_SECONDS", 300, 0..=86_400)),
            format: self.choice(
                "HA_TOKEN_FORMAT",
                &[("jwt", TokenFormat::Jwt), ("any", TokenFormat::Any)],
                TokenFormat::Jwt,
            ),
        }
    }

    fn caller_auth(&mut self, local: bool) -> CallerAuth {
        let auth = self.choice(
            "CALLER_AUTH",
            &[("jwt", CallerAuth::Jwt), ("none", CallerAuth::None)],
            CallerAuth::Jwt,
        );
        if auth == CallerAuth::None && !local {
            self.fault(
                "CALLER_AUTH",
                "is `none`, which is for local use only; in Lambda callers prove themselves with a JWT",
            );
        }
        auth
    }

    fn metrics(&mut self) -> MetricsConfig {
        let namespace = self
            .text("METRICS_NAMESPACE")
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_/#:".contains(c);
        if namespace.len() > 255 || !namespace.chars().all(allowed) || namespace.starts_with("AWS/")
        {
            self.fault(
                "METRICS_NAMESPACE",
                "is no namespace of CloudWatch; use at most 255 letters, digits and . - _ / # : and do not start with AWS/",
            );
        }
        MetricsConfig {
            sink: self.choice(
                "METRICS",
                &[
                    ("cloudwatch", MetricsSink::CloudWatch),
                    ("emf", MetricsSink::Emf),
                    ("off", MetricsSink::Off),
                ],
                MetricsSink::CloudWatch,
            ),
            namespace,
        }
    }

    fn log(&mut self) -> LogConfig {
        use tracing::level_filters::LevelFilter;
        LogConfig {
            level: self.choice(
                "LOG_LEVEL",
                &[
                    ("trace", LevelFilter::TRACE),
                    ("debug", LevelFilter::DEBUG),
                    ("info", LevelFilter::INFO),
                    ("warn", LevelFilter::WARN),
                    ("error", LevelFilter::ERROR),
                    ("off", LevelFilter::OFF),
                ],
                LevelFilter::INFO,
            ),
            format: self.choice(
                "LOG_FORMAT",
                &[("json", LogFormat::Json), ("text", LogFormat::Text)],
                LogFormat::Json,
            ),
        }
    }
}

/// The characters SSM takes in a parameter's name (an ARN adds the colon).
fn is_parameter_name(name: &str) -> bool {
    name.len() <= 2_048
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-_/:".contains(c))
        && (name.starts_with('/') || name.starts_with("arn:") || !name.contains('/'))
}

#[cfg(test)]
mod tests;
