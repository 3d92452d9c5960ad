//! The configuration. [`Config::read`] reads each variable once from a [`Lookup`], checks its type and range, and
//! reports all faults together.
//!
//! A fault names the variable and describes the error. It never repeats the value, because the value may be a misplaced
//! secret.

mod address;
mod callers;
mod error;
mod http;
mod lookup;
mod rates;
mod reader;
mod settings;
mod websocket;

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
pub use websocket::{ConnectionLimit, ConnectionLimits, WebSocketConfig};

/// The configuration of the function.
#[derive(Clone, Debug)]
pub struct Config {
    /// The default home, from `HA_URL`. It serves requests that name no home.
    pub home: Option<HomeConfig>,
    /// The Parameter Store path below which further homes are stored by name.
    pub homes_prefix: Option<String>,
    /// The timeouts and size limits of requests to a home.
    pub limits: HomeLimits,
    /// The retry settings for failed connections.
    pub retry: RetryConfig,
    /// The source of the token and its time to live.
    pub token: TokenConfig,
    /// The name of the DynamoDB table for state that all execution environments share. Without a table the state is
    /// kept in memory.
    pub table: Option<String>,
    /// True if this process serves many invocations at once, as on Lambda Managed Instances.
    pub is_concurrent: bool,
    /// The authentication of callers at the HTTP and WebSocket doors.
    pub callers: Callers,
    /// The rate limits of callers.
    pub rate_limits: RateLimits,
    /// The other settings of the HTTP door.
    pub http: HttpConfig,
    /// The other settings of the WebSocket door.
    pub websocket: WebSocketConfig,
    /// The parameter with the secret of homes that push events.
    pub events_secret_parameter: Option<String>,
    /// The destination of metrics.
    pub metrics: MetricsConfig,
    /// The log level and format.
    pub log: LogConfig,
}

impl Config {
    /// Reads and checks all variables. Reports all faults together.
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
        let websocket = reader.websocket();
        let events_secret_parameter = reader.parameter("EVENTS_SECRET_PARAMETER");
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
            websocket,
            events_secret_parameter,
            metrics,
            log,
        })
    }
}

#[cfg(test)]
mod tests;
