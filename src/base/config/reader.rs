//! Reads the variables one by one and collects their faults.

use std::str::FromStr as _;
use std::time::Duration;

use super::{
    Fault, HomeAddress, HomeConfig, HomeLimits, LogConfig, LogFormat, Lookup, MetricsConfig,
    MetricsSink, RetryConfig, TokenConfig, TokenFormat, TokenOrigin,
};
use crate::base::parameter::ParameterName;

const DEFAULT_PARAMETER: &str = "/homeautomation/tokens/home-assistant";
const DEFAULT_NAMESPACE: &str = "LEE/HomeAssistant";

pub(super) struct Reader<'a> {
    lookup: &'a dyn Lookup,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Lookup) -> Self {
        Self {
            lookup,
            faults: Vec::new(),
        }
    }

    /// Returns a variable. An empty variable counts as not set, because templates pass empty parameters on.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        let value = self.lookup.get(name)?;
        let value = value.trim();
        if value.is_empty() {
            return None;
        }
        // Most values are shown in messages or sent elsewhere.
        if value.starts_with("eyJ") && value.len() > 64 {
            self.fault(
                name,
                "contains a text that looks like a token; store the token as a SecureString, and revoke it if others \
                 could see it here",
            );
            return None;
        }
        Some(value.to_owned())
    }

    pub(super) fn fault(&mut self, name: &'static str, problem: impl Into<String>) {
        self.faults.push(Fault {
            name,
            problem: problem.into(),
        });
    }

    /// Returns true under `sam local` (and the local stack), or without a Lambda runtime API.
    pub(super) fn is_local(&mut self) -> bool {
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

    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
        default: T,
    ) -> T {
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

    pub(super) fn seconds(
        &mut self,
        name: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_secs(self.number(name, default, range))
    }

    pub(super) fn parameter(&mut self, name: &'static str) -> Option<String> {
        let parameter = self.text(name)?;
        if let Err(error) = ParameterName::parse(&parameter) {
            self.fault(name, error.to_string());
        }
        Some(parameter)
    }

    /// Reads the default home. `HA_URL` is required unless `others` is true, which means that homes are stored by name.
    pub(super) fn home(&mut self, others: bool) -> Option<HomeConfig> {
        let address = match self.text("HA_URL") {
            None => {
                if !others {
                    self.fault(
                        "HA_URL",
                        "is not set; set it to the home's address, like http://homeassistant.local:8123, or set \
                         HOMES_PARAMETER_PREFIX to the path of several homes",
                    );
                }
                None
            }
            Some(text) => HomeAddress::parse(&text)
                .map_err(|error| self.fault("HA_URL", error.to_string()))
                .ok(),
        };
        let ca_parameter = self.parameter("HA_CA_PARAMETER");
        let client_cert_parameter = self.parameter("HA_CLIENT_CERT_PARAMETER");
        let headers_parameter = self.parameter("HA_HEADERS_PARAMETER");
        Some(HomeConfig {
            address: address?,
            ca_parameter,
            client_cert_parameter,
            headers_parameter,
        })
    }

    pub(super) fn homes_prefix(&mut self) -> Option<String> {
        const NAME: &str = "HOMES_PARAMETER_PREFIX";
        let prefix = self.text(NAME)?;
        let prefix = prefix.trim_end_matches('/');
        if !ParameterName::parse(prefix).is_ok_and(|name| name.is_prefix()) {
            self.fault(
                NAME,
                "is not a path of parameters; use letters, digits and . - _ /, starting with /, like /latchkey/homes",
            );
        }
        Some(prefix.to_owned())
    }

    pub(super) fn limits(&mut self) -> HomeLimits {
        let max_message_bytes = self.number("HA_MAX_MESSAGE_BYTES", 32 << 20, 1_024..=1 << 30);
        HomeLimits {
            validate_timeout: self.milliseconds("HA_VALIDATE_TIMEOUT_MS", 3_000),
            connect_timeout: self.milliseconds("HA_CONNECT_TIMEOUT_MS", 5_000),
            command_timeout: self.milliseconds("HA_COMMAND_TIMEOUT_MS", 10_000),
            // The range above fits `usize` on every supported platform.
            max_message_bytes: usize::try_from(max_message_bytes).unwrap_or(usize::MAX),
        }
    }

    pub(super) fn retry(&mut self) -> RetryConfig {
        RetryConfig {
            // The range fits `usize` on every platform.
            attempts: usize::try_from(self.number("HA_RETRY_ATTEMPTS", 5, 0..=10)).unwrap_or(1),
            base: Duration::from_millis(self.number("HA_RETRY_BASE_MS", 1_000, 100..=60_000)),
        }
    }

    pub(super) fn token(&mut self, local: bool) -> TokenConfig {
        let variable = self.lookup.get("HA_TOKEN").filter(|text| !text.is_empty());
        let file = self.text("HA_TOKEN_FILE");
        let parameter = self
            .parameter("HA_TOKEN_PARAMETER")
            .unwrap_or_else(|| DEFAULT_PARAMETER.to_owned());
        for (name, set) in [
            ("HA_TOKEN", variable.is_some()),
            ("HA_TOKEN_FILE", file.is_some()),
        ] {
            if set && !local {
                self.fault(
                    name,
                    "is for local use only; in Lambda store the token as a SecureString and set HA_TOKEN_PARAMETER to \
                     its name",
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

    /// Returns true if Lambda runs invocations concurrently. Lambda sets this variable, so an invalid value counts as
    /// false.
    pub(super) fn is_concurrent(&mut self) -> bool {
        self.text("AWS_LAMBDA_MAX_CONCURRENCY")
            .and_then(|text| u32::from_str(&text).ok())
            .is_some_and(|limit| limit > 1)
    }

    pub(super) fn table(&mut self) -> Option<String> {
        let table = self.text("TABLE_NAME")?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let is_name = (3..=255).contains(&table.len()) && table.chars().all(allowed);
        if !is_name && !table.starts_with("arn:") {
            self.fault(
                "TABLE_NAME",
                "is not the name of a DynamoDB table; use 3 to 255 letters, digits and . - _",
            );
        }
        Some(table)
    }

    pub(super) fn metrics(&mut self) -> MetricsConfig {
        let namespace = self
            .text("METRICS_NAMESPACE")
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_/#:".contains(c);
        if namespace.len() > 255 || !namespace.chars().all(allowed) || namespace.starts_with("AWS/")
        {
            self.fault(
                "METRICS_NAMESPACE",
                "is not a CloudWatch namespace; use at most 255 letters, digits and . - _ / # : and do not start with \
                 AWS/",
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

    pub(super) fn log(&mut self) -> LogConfig {
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
