//! Configuration: read once from a [`Lookup`], typed and range-checked, every fault reported at once.
//!
//! A fault names the variable and says what is wrong with it; it never repeats the value, which may be a secret pasted
//! into the wrong place.

mod address;
mod callers;
mod error;
mod http;
mod lookup;
mod rates;
mod reader;
mod settings;

pub use address::{AddressError, HomeAddress};
pub use error::{ConfigError, Fault};
pub use http::{HttpConfig, Origins};
pub use lookup::{Environment, Lookup};
pub use rates::{Rate, RateLimits};
use reader::Reader;
pub use settings::{
    Callers, HomeConfig, HomeLimits, JwtConfig, KeysConfig, LogConfig, LogFormat, MetricsConfig,
    MetricsSink, RetryConfig, TokenConfig, TokenFormat, TokenOrigin,
};

/// Everything the function can be told from outside.
#[derive(Clone, Debug)]
pub struct Config {
    /// The home of those who name none, if `HA_URL` names one.
    pub home: Option<HomeConfig>,
    /// Where other homes are stored, by name.
    pub homes_prefix: Option<String>,
    /// The limits on talking to any home.
    pub limits: HomeLimits,
    /// How failed connections are tried again.
    pub retry: RetryConfig,
    /// Where the token comes from and how long it is kept.
    pub token: TokenConfig,
    /// The DynamoDB table for what all sandboxes share; without one it is kept in memory.
    pub table: Option<String>,
    /// Whether this process serves many invocations at once, as Lambda Managed Instances do.
    pub is_concurrent: bool,
    /// How callers of the HTTP door prove themselves.
    pub callers: Callers,
    /// How much callers may ask.
    pub rate_limits: RateLimits,
    /// How the HTTP door is set up beside that.
    pub http: HttpConfig,
    /// Where metrics go.
    pub metrics: MetricsConfig,
    /// How logs are written.
    pub log: LogConfig,
}

impl Config {
    /// Reads and checks everything, and reports all faults together.
    pub fn read(lookup: &dyn Lookup) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        let local = reader.is_local();
        let limits = reader.limits();
        let retry = reader.retry();
        let homes_prefix = reader.homes_prefix();
        let home = reader.home(homes_prefix.is_some());
        let token = reader.token(local);
        let table = reader.table();
        let is_concurrent = reader.is_concurrent();
        let callers = reader.callers(local);
        let rate_limits = reader.rate_limits();
        let http = reader.http();
        let metrics = reader.metrics();
        let log = reader.log();
        if !reader.faults.is_empty() {
            return Err(ConfigError(reader.faults));
        }
        Ok(Self {
            home,
            homes_prefix,
            limits,
            retry,
            token,
            table,
            is_concurrent,
            callers,
            rate_limits,
            http,
            metrics,
            log,
        })
    }
}

#[cfg(test)]
mod tests;
