//! The first request after a cold start.

use std::time::Duration;

use hyper::body::Bytes;
use latchkey_dev::home::HomeOptions;

use crate::error::Error;
use crate::figures::{self, Figure, Sample, ms};
use crate::network::Network;
use crate::request::Request;
use crate::sandbox::{Program, Sandbox};
use crate::surroundings::{AWS_ROUND_TRIP, Surroundings};

pub(super) const WHAT: &str = "from the start of the process to the first response; the floor is the bare \
    function's time plus the necessary round trips: max(2S + A, R) + 2R, where S is the round trip to AWS \
    and A the emulator's own time for its reads; with TLS and a private CA, 2S + A + 4R";

const STARTS: usize = 20;
/// The bound of latchkey's own time, in milliseconds.
const OWN_MS: f64 = 5.0;

/// Measures a request on each network. `name` is the name of the figures.
pub(super) async fn measure(
    surroundings: &Surroundings,
    name: &'static str,
    request: Request,
) -> Result<Vec<Figure>, Error> {
    figures::on_each_network(async |network| at(surroundings, name, request, network).await).await
}

/// Returns the necessary time of the first request. The token is read while the connection is opened. The token check
/// and the request follow, one after the other.
///
/// `read` is the time that the AWS emulator needs for a read. It serves one read at a time. A home with a private CA
/// needs that certificate first, which is read together with the token. A caller of the HTTP API needs the secret for
/// its verification, which is read at that time too.
fn paper(network: Network, request: Request, read: Duration) -> Duration {
    let reads = 1 + u32::from(network.has_tls) + u32::from(request.needs_caller());
    let read = 2 * AWS_ROUND_TRIP + reads * read;
    let connect = network.round_trips_to_connect() * network.round_trip;
    let ready = match network.has_tls {
        true => read + connect,
        false => read.max(connect),
    };
    ready + 2 * network.round_trip
}

/// The times of first invocations.
#[derive(Default)]
struct Starts {
    from_start: Sample,
    from_handing_out: Sample,
    until_asking: Sample,
}

impl Starts {
    /// Starts a function, invokes it once and ends it. `request` is `None` for the bare function. The invocation is
    /// queued before the function asks for it, as when Lambda starts an execution environment on demand.
    async fn once(
        &mut self,
        program: &Program,
        payload: &Bytes,
        request: Option<Request>,
    ) -> Result<(), Error> {
        let mut sandbox = Sandbox::start(program).await?;
        let answer = match request {
            Some(request) => sandbox.ask(request, payload).await?,
            None => sandbox.invoke(payload).await?,
        };
        self.from_start.push(answer.answered - sandbox.spawned());
        self.from_handing_out.push(answer.elapsed());
        let asked = sandbox.api().first_asked().await;
        self.until_asking.push(asked - sandbox.spawned());
        // Waits until the metrics are sent, so that they do not affect the next start.
        sandbox.idle().await?;
        sandbox.end().await;
        Ok(())
    }
}

async fn at(
    surroundings: &Surroundings,
    name: &'static str,
    request: Request,
    network: Network,
) -> Result<Figure, Error> {
    let home = surroundings.home(network, HomeOptions::default()).await?;
    let payload = surroundings.payload(request);
    let program = surroundings.latchkey_for(&home, request);
    let (reads, connections) = (
        surroundings.token_reads().await?,
        home.traffic().connections,
    );
    let mut bare = Starts::default();
    let mut latchkey = Starts::default();
    for _ in 0..STARTS {
        bare.once(&surroundings.bare(), &payload, None).await?;
        latchkey.once(&program, &payload, Some(request)).await?;
    }
    let executed = home.executions();
    if executed != request.executions() * STARTS {
        return Err(Error::Wrong(format!(
            "{executed} executions of {STARTS} first requests"
        )));
    }
    let a_start = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / STARTS as f64;
    let reads = a_start(surroundings.token_reads().await? - reads);
    let connections = a_start(home.traffic().connections - connections);
    let failed_logins = home.counters().failed_logins;

    let read = surroundings.read_time().await?;
    let paper = paper(network, request, read);
    let floor_ms = bare.from_start.p50_ms() + ms(paper);
    let own_ms = latchkey.from_start.p50_ms() - floor_ms;
    let handed_out_floor_ms = bare.from_handing_out.p50_ms() + ms(paper);
    Ok(Figure::timed(name, network, &latchkey.from_start, floor_ms)
        .with_number("paper_ms", ms(paper))
        .with_number("own_ms", own_ms)
        .with_number("bare_p50_ms", bare.from_start.p50_ms())
        .with_number("until_asking_p50_ms", latchkey.until_asking.p50_ms())
        .with_number("bare_until_asking_p50_ms", bare.until_asking.p50_ms())
        .with_number("handed_out_p50_ms", latchkey.from_handing_out.p50_ms())
        .with_number("handed_out_p99_ms", latchkey.from_handing_out.p99_ms())
        .with_number("handed_out_floor_p50_ms", handed_out_floor_ms)
        .with_number("home_connections", connections)
        .with_number("token_reads", reads)
        .with("failed_logins", failed_logins)
        .bound("p50 <= floor + 5 ms", own_ms <= OWN_MS))
}
