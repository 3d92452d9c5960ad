//! A real Home Assistant with its demo devices, in a directory of its own.

mod tokens;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Mutex;

pub use self::tokens::TokenEntry;

use super::control::Control;
use super::process::Program;
use super::{Error, Result, tools};

const NAME: &str = "Home Assistant";
/// Longer than the script's own limit, whose message says more.
const READY_WITHIN: Duration = Duration::from_secs(200);
const LOG_WITHIN: Duration = Duration::from_secs(10);
const LOG_POLL_EVERY: Duration = Duration::from_millis(10);
/// How Home Assistant logs a failed login, by REST or by WebSocket.
const FAILED_LOGIN: &str = "Login attempt or request with invalid authentication";

/// How the home is set up.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RealHomeOptions {
    /// After how many failed logins the address is banned; `None` bans nobody.
    pub login_attempts_threshold: Option<u32>,
}

impl RealHomeOptions {
    /// Bans an address after `attempts` failed logins.
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
    control: Control,
    /// A connection for each user beside the owner.
    others: Mutex<Vec<Control>>,
}

#[derive(Deserialize)]
struct Announcement {
    url: String,
    token: String,
    control_token: String,
    log: PathBuf,
}

impl RealHome {
    /// Starts one and waits until it is running, its owner made and a token minted.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub async fn start(options: RealHomeOptions) -> Result<Self> {
        let mut command = Command::new(tools::python("homeassistant")?);
        // -B: no compiled files beside the scripts.
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

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The long-lived token minted for the function.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// An entity's state, such as `on`.
    ///
    /// # Errors
    /// When there is no such entity.
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

    /// Sends any command of the WebSocket API (without an id), as the owner; returns its result.
    ///
    /// # Errors
    /// When Home Assistant refuses it.
    pub async fn call(&self, command: Value) -> Result<Value> {
        self.control.call(command).await
    }

    /// As [`Self::call`], on a connection of its own that is opened with `token`. That is a login:
    /// a good one makes Home Assistant forget the failed ones of this address.
    ///
    /// # Errors
    /// When Home Assistant refuses the token or the command.
    pub async fn call_as(&self, token: &str, command: Value) -> Result<Value> {
        let connection = Control::connect(authority(&self.url), token).await?;
        connection.call(command).await
    }

    /// How many failed logins it has logged.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn failed_logins(&self) -> Result<usize> {
        Ok(self.settled_log().await?.matches(FAILED_LOGIN).count())
    }

    /// Its log, complete up to now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn settled_log(&self) -> Result<String> {
        // Home Assistant logs through a queue: once a line of ours is in the file, so is all that
        // came before.
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
                    what: "a line in Home Assistant's log".to_owned(),
                    seconds: LOG_WITHIN.as_secs(),
                });
            }
        }
    }

    /// Ends it and waits until it has, its files removed.
    pub async fn stop(self) {
        drop((self.control, self.others));
        self.program.stop().await;
    }
}

fn authority(url: &str) -> &str {
    url.trim_start_matches("http://")
}

/// A number not given before in this process.
fn fresh_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
