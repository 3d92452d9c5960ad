//! A real Home Assistant with its demo devices, in a temporary directory.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Mutex;

use super::control::Control;
use crate::stack::error::{Error, Result};
use crate::stack::process::Program;
use crate::stack::tools;

const NAME: &str = "Home Assistant";
/// Longer than the script's own time limit, because the script's message has more details.
const READY_WITHIN: Duration = Duration::from_secs(200);
const LOG_WITHIN: Duration = Duration::from_secs(10);
const LOG_POLL_EVERY: Duration = Duration::from_millis(10);
/// Home Assistant's log message for a failed login, over REST or the WebSocket.
const FAILED_LOGIN: &str = "Login attempt or request with invalid authentication";

/// The options of a real home.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RealHomeOptions {
    /// The number of failed logins after which an address is banned. `None` disables the ban.
    pub login_attempts_threshold: Option<u32>,
}

impl RealHomeOptions {
    /// Sets the number of failed logins after which an address is banned.
    #[must_use]
    pub fn login_attempts_threshold(mut self, attempts: u32) -> Self {
        self.login_attempts_threshold = Some(attempts);
        self
    }
}

/// A running Home Assistant.
#[derive(Debug)]
pub struct RealHome {
    program: Program,
    url: String,
    token: String,
    log: PathBuf,
    pub(super) control: Control,
    /// A connection for each user except the owner.
    pub(super) others: Mutex<Vec<Control>>,
}

#[derive(Deserialize)]
struct Announcement {
    url: String,
    token: String,
    control_token: String,
    log: PathBuf,
}

impl RealHome {
    /// Starts Home Assistant, and creates its owner and a token.
    ///
    /// # Errors
    /// If Home Assistant is not installed or does not start.
    pub async fn start(options: RealHomeOptions) -> Result<Self> {
        let mut command = Command::new(tools::python("homeassistant")?);
        // -B: Python writes no compiled files.
        command.arg("-B").arg(tools::script("home_assistant.py")?);
        if let Some(attempts) = options.login_attempts_threshold {
            command.args(["--login-attempts-threshold", &attempts.to_string()]);
        }
        let (program, home): (_, Announcement) =
            Program::spawn_announced(NAME, command, READY_WITHIN).await?;
        let control = Control::connect(authority(&home.url), &home.control_token).await?;
        Ok(Self {
            program,
            url: home.url,
            token: home.token,
            log: home.log,
            control,
            others: Mutex::default(),
        })
    }

    /// Returns the base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the long-lived token for the function.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Returns the state of an entity, such as `on`.
    ///
    /// # Errors
    /// If the entity does not exist.
    pub async fn state(&self, entity_id: &str) -> Result<String> {
        let states = self.call(json!({ "type": "get_states" })).await?;
        states
            .as_array()
            .into_iter()
            .flatten()
            .find(|state| state["entity_id"] == entity_id)
            .and_then(|state| state["state"].as_str())
            .map(str::to_owned)
            .ok_or_else(|| Error::HomeAssistant(format!("no entity {entity_id}")))
    }

    /// Sends a command of the WebSocket API, without an id, as the owner. Returns the result.
    ///
    /// # Errors
    /// If Home Assistant rejects the command.
    pub async fn call(&self, command: Value) -> Result<Value> {
        self.control.call(command).await
    }

    /// Sends a command like [`Self::call`], on a new connection with `token`. This is a login, and a
    /// successful login resets the count of failed logins from this address.
    ///
    /// # Errors
    /// If Home Assistant rejects the token or the command.
    pub async fn call_as(&self, token: &str, command: Value) -> Result<Value> {
        let connection = Control::connect(authority(&self.url), token).await?;
        connection.call(command).await
    }

    /// Returns the number of failed logins in the log.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn failed_logins(&self) -> Result<usize> {
        Ok(self.settled_log().await?.matches(FAILED_LOGIN).count())
    }

    /// Returns the log, which is complete up to now.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub async fn settled_log(&self) -> Result<String> {
        // Home Assistant logs through a queue. When the marker is in the file, all earlier lines are
        // there too.
        let marker = format!("marker <{}>", fresh_number());
        self.call(json!({
            "type": "call_service",
            "domain": "system_log",
            "service": "write",
            "service_data": { "message": marker, "level": "warning", "logger": "latchkey.marker" },
        }))
        .await?;
        let deadline = Instant::now() + LOG_WITHIN;
        let mut poll = tokio::time::interval(LOG_POLL_EVERY);
        loop {
            poll.tick().await;
            let log = std::fs::read_to_string(&self.log)
                .map_err(|source| Error::Process { name: NAME, source })?;
            if log.contains(&marker) {
                return Ok(log);
            }
            if Instant::now() >= deadline {
                return Err(Error::Timeout {
                    what: "a marker in Home Assistant's log".to_owned(),
                    seconds: LOG_WITHIN.as_secs(),
                });
            }
        }
    }

    /// Stops Home Assistant and waits until it has ended and its files are removed.
    pub async fn stop(self) {
        drop((self.control, self.others));
        self.program.stop().await;
    }
}

/// Returns the `host:port` of a URL.
pub(super) fn authority(url: &str) -> &str {
    url.trim_start_matches("http://")
}

/// Returns a number that is unique in this process.
pub(super) fn fresh_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
