//! The home of a run and its REST API.

use std::io::Read as _;
use std::time::{Duration, Instant};

use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::stack::{Error, RealHome, RealHomeOptions, http_client};
use reqwest::{StatusCode, Url};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use crate::options::{HomeChoice, RunOptions};

/// A light of Home Assistant's demo integration.
const DEMO_LIGHT: &str = "light.bed_light";
const SIMULATED_LIGHT: &str = "light.living_room";
/// A real light may report its new state late.
const STATE_WITHIN: Duration = Duration::from_secs(5);
const STATE_POLL_EVERY: Duration = Duration::from_millis(50);

enum Kind {
    Simulated(SimulatedHome),
    Real(Box<RealHome>),
    /// The user's own home, which this process neither starts nor stops.
    Own,
}

/// A home, its URL and its token.
pub(crate) struct Home {
    kind: Kind,
    url: String,
    token: String,
    /// The base of the REST API.
    rest: Url,
    client: reqwest::Client,
}

impl Home {
    pub(crate) async fn start(options: &RunOptions) -> Result<Self, String> {
        let (kind, url, token) = match &options.home {
            HomeChoice::Simulated => {
                let home = SimulatedHome::start(HomeOptions::default())
                    .await
                    .map_err(|error| format!("the simulated home did not start: {error}"))?;
                let (url, token) = (home.url(), home.mint_token("latchkey"));
                (Kind::Simulated(home), url, token)
            }
            HomeChoice::Real => {
                let home = RealHome::start(RealHomeOptions::default())
                    .await
                    .map_err(|error| error.to_string())?;
                let (url, token) = (home.url().to_owned(), home.token().to_owned());
                (Kind::Real(Box::new(home)), url, token)
            }
            HomeChoice::Own(url) => (Kind::Own, url.clone(), token_from_standard_input()?),
        };
        Ok(Self {
            kind,
            rest: rest_base(&url)?,
            url,
            token,
            client: http_client().map_err(|error| error.to_string())?,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn describe(&self) -> String {
        let kind = match self.kind {
            Kind::Simulated(_) => "simulated",
            Kind::Real(_) => "real Home Assistant",
            Kind::Own => "your own home",
        };
        format!("{}, {kind}", self.url)
    }

    /// Returns the light to switch: `wanted`, the default of the home, or the home's first light.
    pub(crate) async fn choose_light(&self, wanted: Option<&str>) -> Result<String, String> {
        if let Some(light) = wanted {
            return Ok(light.to_owned());
        }
        match self.kind {
            Kind::Simulated(_) => return Ok(SIMULATED_LIGHT.to_owned()),
            Kind::Real(_) => return Ok(DEMO_LIGHT.to_owned()),
            Kind::Own => {}
        }
        let states = self.get("states").await?;
        states
            .as_array()
            .into_iter()
            .flatten()
            // An unavailable light cannot be switched.
            .filter(|state| state["state"] == "on" || state["state"] == "off")
            .filter_map(|state| state["entity_id"].as_str())
            .find(|entity_id| entity_id.starts_with("light."))
            .map(str::to_owned)
            .ok_or_else(|| {
                "the home has no light whose state is on or off: set LIGHT to the light to switch"
                    .to_owned()
            })
    }

    pub(crate) async fn state(&self, entity_id: &str) -> Result<String, String> {
        let state = self.get(&format!("states/{entity_id}")).await?;
        let state = state["state"].as_str().map(str::to_owned);
        state.ok_or_else(|| format!("{entity_id}: the home returned no state"))
    }

    /// Waits until an entity has the state `wanted`. Returns the state, which is another one after 5 s.
    pub(crate) async fn state_settled(
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
            let error = Error::from(error);
            format!("GET /api/{path} of the home failed: {error}")
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
                Err("the home rejected the token (401): create a new token there".to_owned())
            }
            status => Err(format!(
                "GET /api/{path} of the home returned status {status}"
            )),
        }
    }

    /// Waits for Ctrl-C. The end of standard input ends the wait too, unless the token was read from there.
    pub(crate) async fn until_stopped(&self) -> Result<(), String> {
        let input_ends = async {
            if matches!(self.kind, Kind::Own) {
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

    pub(crate) async fn stop(self) {
        match self.kind {
            Kind::Simulated(mut home) => home.stop().await,
            Kind::Real(home) => home.stop().await,
            Kind::Own => {}
        }
    }
}

fn token_from_standard_input() -> Result<String, String> {
    let mut token = String::new();
    // The limit protects against input that is not a token.
    std::io::stdin()
        .take(8192)
        .read_to_string(&mut token)
        .map_err(|error| format!("the token could not be read from standard input: {error}"))?;
    match token.trim() {
        "" => Err(
            "standard input is empty: with HA_URL, write the token to standard input".to_owned(),
        ),
        token => Ok(token.to_owned()),
    }
}

/// Returns the base of the REST API for both forms of `HA_URL`.
fn rest_base(url: &str) -> Result<Url, String> {
    // `Url::set_scheme` does not change ws to http, so this replaces the text.
    let text = match url.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        _ => url.to_owned(),
    };
    let text = text
        .trim_end_matches('/')
        .trim_end_matches("/api/websocket");
    let url = Url::parse(text).map_err(|error| format!("HA_URL is not a URL: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(format!(
            "HA_URL has the scheme `{scheme}`: use http, https, ws or wss"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::rest_base;

    #[test]
    fn rest_base_accepts_both_forms_of_the_url() {
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
