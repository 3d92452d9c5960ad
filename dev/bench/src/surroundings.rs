//! The surroundings of a function: homes and AWS, each behind a simulated network.

use std::ops::Deref;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::relay::{Relay, RelayCounters, RelayOptions};
use latchkey_dev::stack::AwsEmulator;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::command::LIGHT;
use crate::error::Error;
use crate::sandbox::Program;

/// The round trip to AWS.
pub(super) const AWS_ROUND_TRIP: Duration = Duration::from_millis(5);
/// The round trips to the home at which commands are measured.
pub(super) const ROUND_TRIPS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(80),
];

const TOKEN_PARAMETER: &str = "/homeautomation/tokens/home-assistant";

/// AWS, and a thread for the homes and the networks.
#[derive(Debug)]
pub(super) struct Surroundings {
    bootstrap: PathBuf,
    bare: PathBuf,
    home_thread: HomeThread,
    aws: AwsEmulator,
    aws_relay: Relay,
}

impl Surroundings {
    /// Starts AWS and the thread.
    pub(super) async fn start(bootstrap: PathBuf, bare: PathBuf) -> Result<Self, Error> {
        let home_thread = HomeThread::start()?;
        let aws = AwsEmulator::start().await?;
        let address = aws.endpoint().trim_start_matches("http://").parse();
        let address = address.map_err(|_| {
            Error::Wrong("the endpoint of the AWS emulator has no address".to_owned())
        })?;
        let options = RelayOptions {
            round_trip: AWS_ROUND_TRIP,
        };
        let aws_relay = home_thread.run(Relay::start(address, options)).await?;
        Ok(Self {
            bootstrap,
            bare,
            home_thread,
            aws,
            aws_relay,
        })
    }

    /// Starts a home behind a network, and stores its token for functions that are started later.
    pub(super) async fn home(
        &self,
        round_trip: Duration,
        options: HomeOptions,
    ) -> Result<DistantHome, Error> {
        let home = self.home_thread.run(SimulatedHome::start(options)).await?;
        let relay = Relay::start(home.address(), RelayOptions { round_trip });
        let relay = self.home_thread.run(relay).await?;
        let token = home.mint_token("latchkey");
        self.aws.put_token(TOKEN_PARAMETER, &token).await?;
        Ok(DistantHome { home, relay, token })
    }

    /// Returns latchkey, configured for `home`.
    pub(super) fn latchkey(&self, home: &DistantHome) -> Program {
        let program = Program::new(&self.bootstrap).env("HA_URL", home.url());
        let environment = self.aws.environment().into_iter();
        environment
            .fold(program, |program, (name, value)| program.env(&name, value))
            // Set last, so that it overrides the emulator's own address.
            .env(
                "AWS_ENDPOINT_URL",
                format!("http://{}", self.aws_relay.addr()),
            )
    }

    /// Returns the bare function.
    pub(super) fn bare(&self) -> Program {
        Program::new(&self.bare)
    }

    /// Returns the executables of latchkey and of the bare function.
    pub(super) fn executables(&self) -> [&PathBuf; 2] {
        [&self.bootstrap, &self.bare]
    }

    /// Returns the AWS emulator, without the network.
    pub(super) fn aws(&self) -> &AwsEmulator {
        &self.aws
    }

    /// Returns the number of reads from Parameter Store.
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
    /// Returns the address of the network's near end.
    pub(super) fn near_end(&self) -> std::net::SocketAddr {
        self.relay.addr()
    }

    /// Returns the base URL of the home, through the network.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.relay.addr())
    }

    /// Returns the token of the home.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Returns the counters of the network.
    pub(super) fn traffic(&self) -> RelayCounters {
        self.relay.counters()
    }

    /// Returns the number of executions of the measured command.
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

/// A thread with a tokio runtime for the homes and the networks, so that they do not delay the tasks that measure.
/// Dropping it ends the thread.
#[derive(Debug)]
struct HomeThread {
    runtime: Handle,
    /// Dropping the sender ends the thread.
    _stop: oneshot::Sender<()>,
}

impl HomeThread {
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
                // The sender never sends; its drop ends the wait with an error.
                let _ = runtime.block_on(stopped);
            })
            .map_err(failed)?;
        Ok(Self {
            runtime: handle,
            _stop: stop,
        })
    }

    /// Runs `work` on the thread.
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
