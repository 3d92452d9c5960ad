//! What a function is measured in: homes at a distance, AWS at another, each on threads of their own.

use std::ops::Deref;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::Error;
use super::sandbox::Program;
use crate::home::{HomeOptions, SimulatedHome};
use crate::relay::{Relay, RelayCounters, RelayOptions};
use crate::stack::AwsEmulator;

/// The round trip to AWS.
pub(super) const AWS_ROUND_TRIP: Duration = Duration::from_millis(5);
/// The light that is switched.
pub(super) const LIGHT: &str = "light.kitchen";

const TOKEN_PARAMETER: &str = "/homeautomation/tokens/home-assistant";

/// Everything around the function.
#[derive(Debug)]
pub(super) struct Surroundings {
    bootstrap: PathBuf,
    bare: PathBuf,
    elsewhere: Elsewhere,
    aws: AwsEmulator,
    aws_relay: Relay,
}

impl Surroundings {
    /// Starts AWS and a thread for the homes.
    pub(super) async fn start(bootstrap: PathBuf, bare: PathBuf) -> Result<Self, Error> {
        let elsewhere = Elsewhere::start()?;
        let aws = AwsEmulator::start().await?;
        let address = aws.endpoint().trim_start_matches("http://").parse();
        let address = address.map_err(|_| Error::Wrong("AWS has no address".to_owned()))?;
        let options = RelayOptions {
            round_trip: AWS_ROUND_TRIP,
        };
        let aws_relay = elsewhere.run(Relay::start(address, options)).await?;
        Ok(Self {
            bootstrap,
            bare,
            elsewhere,
            aws,
            aws_relay,
        })
    }

    /// Starts a home at a distance, and stores its token as the one that functions started from now on use.
    pub(super) async fn home(
        &self,
        round_trip: Duration,
        options: HomeOptions,
    ) -> Result<DistantHome, Error> {
        let home = self.elsewhere.run(SimulatedHome::start(options)).await?;
        let relay = Relay::start(home.address(), RelayOptions { round_trip });
        let relay = self.elsewhere.run(relay).await?;
        let token = home.mint_token("latchkey");
        self.aws.put_token(TOKEN_PARAMETER, &token).await?;
        Ok(DistantHome { home, relay, token })
    }

    /// The function, in front of `home`.
    pub(super) fn latchkey(&self, home: &DistantHome) -> Program {
        let program = Program::new(&self.bootstrap).env("HA_URL", home.url());
        let environment = self.aws.environment().into_iter();
        environment
            .fold(program, |program, (name, value)| program.env(&name, value))
            // Set last, it wins over the emulator's own address.
            .env(
                "AWS_ENDPOINT_URL",
                format!("http://{}", self.aws_relay.addr()),
            )
    }

    /// A function that does nothing.
    pub(super) fn bare(&self) -> Program {
        Program::new(&self.bare)
    }

    /// The two executables.
    pub(super) fn executables(&self) -> [&PathBuf; 2] {
        [&self.bootstrap, &self.bare]
    }

    /// AWS itself.
    pub(super) fn aws(&self) -> &AwsEmulator {
        &self.aws
    }

    /// How often the token was read from Parameter Store so far.
    pub(super) async fn token_reads(&self) -> Result<u64, Error> {
        let calls = self.aws.calls().await?;
        let reads = calls
            .iter()
            .filter(|(action, _)| action.starts_with("ssm:GetParameter"));
        Ok(reads.map(|(_, calls)| calls).sum())
    }
}

/// A home behind a network.
#[derive(Debug)]
pub(super) struct DistantHome {
    home: SimulatedHome,
    relay: Relay,
    token: String,
}

impl DistantHome {
    /// Where the network's near end is.
    pub(super) fn near_end(&self) -> std::net::SocketAddr {
        self.relay.addr()
    }

    /// Its base URL as seen from here.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.relay.addr())
    }

    /// The token it accepts.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// What passed on the network.
    pub(super) fn traffic(&self) -> RelayCounters {
        self.relay.counters()
    }

    /// How often the light was switched on.
    pub(super) fn executions(&self) -> usize {
        self.home.counters().calls_of("light", "turn_on", LIGHT)
    }
}

impl Deref for DistantHome {
    type Target = SimulatedHome;

    fn deref(&self) -> &SimulatedHome {
        &self.home
    }
}

/// A thread with a tokio runtime of its own, so that what runs there takes no turns from what measures. It ends when
/// dropped.
#[derive(Debug)]
struct Elsewhere {
    runtime: Handle,
    /// Dropped, it tells the thread to end.
    _stop: oneshot::Sender<()>,
}

impl Elsewhere {
    fn start() -> Result<Self, Error> {
        let failed = |source| Error::Io {
            what: "starting a thread for the homes".to_owned(),
            source,
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("homes".to_owned())
            .spawn(move || {
                // The sender is dropped, never used: an error is the sign.
                let _ = runtime.block_on(stopped);
            })
            .map_err(failed)?;
        Ok(Self {
            runtime: handle,
            _stop: stop,
        })
    }

    /// Runs `work` there.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = std::io::Result<T>> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.runtime.spawn(work).await;
        done.map_err(std::io::Error::other)
            .and_then(|done| done)
            .map_err(|source| Error::Io {
                what: "starting a server".to_owned(),
                source,
            })
    }
}
