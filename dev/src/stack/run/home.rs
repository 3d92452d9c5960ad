//! The home of a run, whichever it is, as seen through its own REST API.

use std::io::Read as _;
use std::time::{Duration, Instant};

use reqwest::{StatusCode, Url};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use super::{HomeChoice, RunOptions};
use crate::home::{HomeOptions, SimulatedHome};
use crate::stack::{RealHome, RealHomeOptions, http_client};

/// A light of Home Assistant's demo that takes nothing but being switched.
const DEMO_LIGHT: &str = "light.bed_light";
const SIMULATED_LIGHT: &str = "light.living_room";
/// A real lamp may take its time to report back.
const STATE_WITHIN: Duration = Duration::from_secs(5);
const STATE_POLL_EVERY: Duration = Duration::from_millis(50);

/// What keeps the home up.
enum Owner {
    Simulated(SimulatedHome),
    Real(Box<RealHome>),
    Foreign,
}

pub(super) struct Home {
    owner: Owner,
    url: String,
    token: String,
    rest: Url,
    client: reqwest::Client,
}

impl Home {
    pub(super) async fn start(options: &RunOptions) -> Result<Self, String> {
        let (owner, url, token) = match &options.home {
            HomeChoice::Simulated => {
                let home = SimulatedHome::start(HomeOptions::default())
                    .await
                    .map_err(|error| format!("the simulated home: {error}"))?;
                let (url, token) = (home.url(), home.mint_token("latchkey"));
                (Owner::Simulated(home), url, token)
            }
            HomeChoice::Real => {
                let home = RealHome::start(RealHomeOptions::default())
                    .await
                    .map_err(|error| error.to_string())?;
                let (url, token) = (home.url().to_owned(), home.token().to_owned());
                (Owner::Real(Box::new(home)), url, token)
            }
            HomeChoice::Own(url) => (Owner::Foreign, url.clone(), token_from_standard_input()?),
        };
        Ok(Self {
            owner,
            rest: rest_base(&url)?,
            url,
            token,
            client: http_client().map_err(|error| error.to_string())?,
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn describe(&self) -> String {
        let kind = match self.owner {
            Owner::Simulated(_) => "simulated",
            Owner::Real(_) => "Home Assistant itself",
            Owner::Foreign => "your own",
        };
        format!("{}, {kind}", self.url)
    }

    /// The light to switch: the one asked for, one that is known to be there, or the first.
    pub(super) async fn choose_light(&self, wanted: Option<&str>) -> Result<String, String> {
        if let Some(light) = wanted {
            return Ok(light.to_owned());
        }
        match self.owner {
            Owner::Simulated(_) => return Ok(SIMULATED_LIGHT.to_owned()),
            Owner::Real(_) => return Ok(DEMO_LIGHT.to_owned()),
            Owner::Foreign => {}
        }
        let states = self.get("states").await?;
        states
            .as_array()
            .into_iter()
            .flatten()
            // One that is unavailable cannot be switched.
            .filter(|state| state["state"] == "on" || state["state"] == "off")
            .filter_map(|state| state["entity_id"].as_str())
            .find(|entity_id| entity_id.starts_with("light."))
            .map(str::to_owned)
            .ok_or_else(|| {
                "this home has no light that is on or off; name one with LIGHT=".to_owned()
            })
    }

    pub(super) async fn state(&self, entity_id: &str) -> Result<String, String> {
        let state = self.get(&format!("states/{entity_id}")).await?;
        let state = state["state"].as_str().map(str::to_owned);
        state.ok_or_else(|| format!("the home gave no state for {entity_id}"))
    }

    /// The entity's state once it is `wanted`, or what it still is after a while.
    pub(super) async fn state_settled(
        &self,
        entity_id: &str,
        wanted: &str,
    ) -> Result<String, String> {
        let deadline = Instant::now() + STATE_WITHIN;
        let mut poll = tokio::time::interval(STATE_POLL_EVERY);
        loop {
            poll.tick().await;
            let state = self.state(entity_id).await?;
            if state == wanted || Instant::now() >= deadline {
                return Ok(state);
            }
        }
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        let url = format!("{}/api/{path}", self.rest.as_str().trim_end_matches('/'));
        let failed = |error: reqwest::Error| {
            format!(
                "asking the home itself: {}",
                crate::stack::Error::from(error)
            )
        };
        let response = self
            .client
            .get(url)
            .bearer_auth(&self.token)
            .send()
            .await
            .map_err(failed)?;
        match response.status() {
            StatusCode::OK => response.json().await.map_err(failed),
            StatusCode::UNAUTHORIZED => {
                Err("the home itself rejects this token (401): mint a new one there".to_owned())
            }
            status => Err(format!("the home itself answers {status} to /api/{path}")),
        }
    }

    /// Returns on Ctrl-C or, unless a token came that way, when standard input ends.
    pub(super) async fn until_told_to_end(&self) -> Result<(), String> {
        let input_ends = async {
            if matches!(self.owner, Owner::Foreign) {
                std::future::pending::<()>().await;
            }
            let mut buffer = [0; 256];
            let mut input = tokio::io::stdin();
            while matches!(input.read(&mut buffer).await, Ok(1..)) {}
        };
        tokio::select! {
            () = input_ends => Ok(()),
            result = tokio::signal::ctrl_c() => result.map_err(|error| error.to_string()),
        }
    }

    pub(super) async fn stop(self) {
        match self.owner {
            Owner::Simulated(mut home) => home.stop().await,
            Owner::Real(home) => home.stop().await,
            Owner::Foreign => {}
        }
    }
}

fn token_from_standard_input() -> Result<String, String> {
    let mut token = String::new();
    // Bounded, should something else than a token be at the other end.
    std::io::stdin()
        .take(8192)
        .read_to_string(&mut token)
        .map_err(|error| format!("reading the token from standard input: {error}"))?;
    match token.trim() {
        "" => {
            Err("HA_URL is set: the token is read from standard input, which is empty".to_owned())
        }
        token => Ok(token.to_owned()),
    }
}

/// The base of the REST API behind either form that `HA_URL` may have.
fn rest_base(url: &str) -> Result<Url, String> {
    // `Url::set_scheme` refuses to go from ws to http, so it is done on the text.
    let text = match url.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        _ => url.to_owned(),
    };
    let text = text
        .trim_end_matches('/')
        .trim_end_matches("/api/websocket");
    let url = Url::parse(text).map_err(|error| format!("HA_URL: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("HA_URL is none of http, https, ws, wss".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::rest_base;

    #[test]
    fn both_forms_of_the_url_lead_to_one_base() {
        for url in [
            "http://h:8123/p",
            "http://h:8123/p/",
            "ws://h:8123/p/api/websocket",
        ] {
            assert_eq!(rest_base(url).unwrap().as_str(), "http://h:8123/p");
        }
        assert_eq!(rest_base("wss://h").unwrap().as_str(), "https://h/");
        assert!(rest_base("ftp://h").is_err());
        assert!(rest_base("h:8123").is_err());
    }
}
