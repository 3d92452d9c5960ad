//! The surroundings of a function: homes and AWS, each behind a simulated network.

use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use latchkey_dev::home::{HomeOptions, SimulatedHome};
use latchkey_dev::relay::{Ending, Relay, RelayCounters, RelayOptions};
use latchkey_dev::stack::AwsEmulator;
use rustls::pki_types::ServerName;
use serde_json::json;
use testkit::Authority;
use testkit::callers::{self, SECRET, SECRET_PARAMETER};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::command::LIGHT;
use crate::error::Error;
use crate::figures::Sample;
use crate::http_wire::HttpWire;
use crate::network::Network;
use crate::request::Request;
use crate::sandbox::Program;

/// The round trip to AWS.
pub(super) const AWS_ROUND_TRIP: Duration = Duration::from_millis(5);
const TOKEN_PARAMETER: &str = "/homeautomation/tokens/home-assistant";
/// The number of reads that the emulator's time for a read is measured with.
const READS: usize = 20;
/// The permissions of the caller of the HTTP API.
const PERMISSIONS: [&str; 2] = ["read:light.*", "call:light.*:light.*"];
/// The name in the certificates of homes.
const HOST: &str = "127.0.0.1";
const CA_PARAMETER: &str = "/homeautomation/ca";

/// A connection to a home.
pub(super) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// AWS, and a thread for the homes and the networks.
pub(super) struct Surroundings {
    bootstrap: PathBuf,
    bare: PathBuf,
    home_thread: HomeThread,
    aws: AwsEmulator,
    aws_relay: Relay,
    authority: Authority,
    /// The token of a caller of the HTTP API.
    jwt: String,
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
        let authority = Authority::new();
        aws.put_parameter(CA_PARAMETER, &authority.pem).await?;
        aws.put_token(SECRET_PARAMETER, SECRET).await?;
        let jwt = callers::token(&PERMISSIONS, &json!({}));
        Ok(Self {
            bootstrap,
            bare,
            home_thread,
            aws,
            aws_relay,
            authority,
            jwt,
        })
    }

    /// Starts a home behind a network, and stores its token for functions that are started later.
    pub(super) async fn home(
        &self,
        network: Network,
        options: HomeOptions,
    ) -> Result<DistantHome, Error> {
        let tls = network
            .has_tls
            .then(|| self.authority.server_for(HOST, None));
        let options = HomeOptions {
            has_alexa: true,
            tls,
            ..options
        };
        let home = self.home_thread.run(SimulatedHome::start(options)).await?;
        let round_trip = network.round_trip;
        let relay = Relay::start(home.address(), RelayOptions { round_trip });
        let relay = self.home_thread.run(relay).await?;
        let token = home.mint_token("latchkey");
        self.aws.put_token(TOKEN_PARAMETER, &token).await?;
        let tls = network.has_tls.then(|| self.authority.connector());
        Ok(DistantHome {
            home,
            relay,
            token,
            tls,
        })
    }

    /// Returns latchkey, configured for `home`.
    pub(super) fn latchkey(&self, home: &DistantHome) -> Program {
        let program = Program::new(&self.bootstrap).env("HA_URL", home.url());
        let program = match home.tls {
            Some(_) => program.env("HA_CA_PARAMETER", CA_PARAMETER),
            None => program,
        };
        let environment = self.aws.environment().into_iter();
        environment
            .fold(program, |program, (name, value)| program.env(&name, value))
            // Set last, so that it overrides the emulator's own address.
            .env(
                "AWS_ENDPOINT_URL",
                format!("http://{}", self.aws_relay.addr()),
            )
    }

    /// Returns latchkey, configured for `home` and for the callers of a request.
    pub(super) fn latchkey_for(&self, home: &DistantHome, request: Request) -> Program {
        let program = self.latchkey(home);
        if !request.needs_caller() {
            return program;
        }
        let url = home.url();
        let variables = callers::variables(&url).into_iter();
        variables
            .fold(program, |program, (name, value)| program.env(name, value))
            .env("CALLER_RATE_LIMITS", "*=10000/100000")
    }

    /// Returns the payload of a request.
    pub(super) fn payload(&self, request: Request) -> Bytes {
        request.payload(&self.jwt)
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

    /// Returns the time that the AWS emulator needs for a read of the token: the median on an open connection without
    /// the network.
    pub(super) async fn read_time(&self) -> Result<Duration, Error> {
        let failed = |source| Error::Io {
            what: "reading from the AWS emulator".to_owned(),
            source,
        };
        let address = self.aws.endpoint().trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let body = json!({ "Name": TOKEN_PARAMETER, "WithDecryption": true });
        let request = hyper::Request::builder()
            .method("POST")
            .uri("/")
            .header("host", address)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "AmazonSSM.GetParameter")
            // The emulator finds the service here, and does not check the signature.
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=bench/20250101/eu-central-1/ssm/aws4_request, \
                 SignedHeaders=host, Signature=none",
            )
            .body(Full::new(body.to_string().into()))
            .map_err(io::Error::other)
            .map_err(failed)?;
        let mut wire = HttpWire::on(stream, request).await?;
        let mut times = Sample::default();
        for _ in 0..READS {
            times.push(wire.ask().await?);
        }
        Ok(Duration::from_secs_f64(times.p50_ms() / 1_000.0))
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
pub(super) struct DistantHome {
    home: SimulatedHome,
    relay: Relay,
    token: String,
    tls: Option<TlsConnector>,
}

impl DistantHome {
    /// Returns the address of the network's near end.
    pub(super) fn near_end(&self) -> std::net::SocketAddr {
        self.relay.addr()
    }

    /// Returns the base URL of the home, through the network.
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.relay.addr())
    }

    /// Opens a connection to the home.
    pub(super) async fn connect(&self) -> Result<Stream, Error> {
        let connected = async {
            let tcp = TcpStream::connect(self.near_end()).await?;
            tcp.set_nodelay(true)?;
            Ok(match &self.tls {
                None => Either::Left(tcp),
                Some(tls) => {
                    let name = ServerName::IpAddress(self.near_end().ip().into());
                    Either::Right(tls.connect(name, tcp).await?)
                }
            })
        };
        connected.await.map_err(|source| Error::Io {
            what: "connecting to the home".to_owned(),
            source,
        })
    }

    /// Returns the token of the home.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Returns the counters of the network.
    pub(super) fn traffic(&self) -> RelayCounters {
        self.relay.counters()
    }

    /// Closes all connections.
    pub(super) fn cut(&self) {
        self.relay.drop_connections(Ending::Fin);
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
        work: impl Future<Output = io::Result<T>> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.runtime.spawn(work).await;
        done.map_err(io::Error::other)
            .and_then(|done| done)
            .map_err(|source| Error::Io {
                what: "starting a server".to_owned(),
                source,
            })
    }
}
