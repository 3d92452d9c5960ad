//! Commands over the HTTP API.

mod batch;
mod issuer;
mod load;

use std::convert::Infallible;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lambda_runtime::Context;
use latchkey::base::clock::{Clock, SystemClock};
use latchkey::base::config::Config;
use latchkey::composition;
use latchkey::doors::function::Function;
use latchkey::service::access::{Caller, Permission, Permit};
use latchkey::service::commands::CommandsRequest;
use latchkey_dev::home::HomeOptions;
use latchkey_local::LocalPort;
use serde_json::json;
use testkit::callers;
use tokio::net::TcpListener;

use self::batch::{BATCH, BATCHES, us_of_one};
use self::issuer::{AUDIENCE, ISSUER, Issuer, PERMISSIONS};
use self::load::load;
use crate::command::turn_on;
use crate::error::Error;
use crate::figures::{Figure, Sample};
use crate::network::Network;
use crate::surroundings::{DistantHome, Surroundings};

pub(super) const WHAT: &str = "a command over the HTTP API, in this process, with the caller's key in the cache; the \
    floor is the same command by direct invocation, so the difference is verification, authorisation and conversion";

/// Both kinds of command alternate, so that other load on the machine affects both.
const TURNS: usize = 20;
const COMMANDS_A_TURN: usize = 50;

pub(super) async fn measure(surroundings: &Surroundings) -> Result<Vec<Figure>, Error> {
    let home = surroundings
        .home(Network::NEAR, HomeOptions::default())
        .await?;
    let mut figures = Vec::new();
    for issuer in [Issuer::rs256()?, Issuer::es256()?] {
        figures.push(over_direct(surroundings, &home, &issuer).await?);
    }
    Ok(figures)
}

async fn over_direct(
    surroundings: &Surroundings,
    home: &DistantHome,
    issuer: &Issuer,
) -> Result<Figure, Error> {
    let jwt = issuer.token()?;
    let jwks = serve(issuer.key_set()).await?;
    let function = Arc::new(function(surroundings, home, &format!("http://{jwks}/")).await?);
    let direct = json!({ "command": turn_on() }).to_string();
    let event = callers::run(Some(&jwt), &turn_on()).to_string();
    let before = home.executions();
    let (mut floor, mut times) = (Sample::default(), Sample::default());
    // The first command of each kind fills the caches.
    ask(&function, &direct).await?;
    ask(&function, &event).await?;
    for _ in 0..TURNS {
        for _ in 0..COMMANDS_A_TURN {
            floor.push(ask(&function, &direct).await?);
            times.push(ask(&function, &event).await?);
        }
    }
    let executed = home.executions() - before;
    if executed != floor.len() + times.len() + 2 {
        return Err(Error::Wrong(format!(
            "{executed} executions of {} commands",
            floor.len() + times.len() + 2
        )));
    }
    let (verification, signature) = issuer.verification(&jwt).await?;
    let door_us = (times.p50_ms() - floor.p50_ms()) * 1_000.0;
    let figure = Figure::timed(issuer.name(), Network::NEAR, &times, floor.p50_ms())
        .with_number("door_us", door_us)
        .with_number("verification_us", verification)
        .with_number("signature_alone_us", signature)
        .with_number("decision_us", decision()?)
        .bound(
            "verification <= signature + 20 us, door <= verification + 150 us",
            verification <= signature + 20.0 && door_us <= verification + 150.0,
        );
    let port = LocalPort::open(function).await;
    let port = port.map_err(|source| Error::Io {
        what: "opening a local port".to_owned(),
        source,
    })?;
    Ok(match load(&port, &jwt, &direct).await? {
        Some((health, commands)) => figure
            .with_number("wrk_health_per_s", health)
            .with_number("wrk_commands_per_s", commands),
        None => figure.with("wrk", "not installed"),
    })
}

/// Returns the time of one event, which must succeed.
async fn ask(function: &Function, event: &str) -> Result<Duration, Error> {
    let mut context = Context::default();
    let end = SystemClock::new().now().after(Duration::from_secs(20));
    context.deadline = u64::try_from(end.unix.as_millis()).unwrap_or(u64::MAX);
    let began = Instant::now();
    let answer = serde_json::to_string(&function.handle(event, context).await);
    let took = began.elapsed();
    match answer {
        Ok(answer) if answer.contains(r#""statusCode":200"#) => Ok(took),
        Ok(answer) => Err(Error::Wrong(answer)),
        Err(error) => Err(Error::Wrong(error.to_string())),
    }
}

/// Returns the function with the HTTP API configured for the issuer.
async fn function(
    surroundings: &Surroundings,
    home: &DistantHome,
    jwks: &str,
) -> Result<Function, Error> {
    let url = home.url();
    let config = Config::read(&[
        ("HA_URL", url.as_str()),
        ("METRICS", "off"),
        ("CALLER_JWT_ISSUER", ISSUER),
        ("CALLER_JWT_AUDIENCE", AUDIENCE),
        ("CALLER_JWT_JWKS_URL", jwks),
        ("CALLER_RATE_LIMITS", "*=10000/100000"),
    ])
    .map_err(|error| Error::Wrong(error.to_string()))?;
    let aws = surroundings.aws().sdk_config().clone().into();
    let clock = Arc::new(SystemClock::new());
    Ok(composition::function(config, &aws, clock, 1).await)
}

/// Returns the time of the authorisation of one command, in microseconds.
fn decision() -> Result<f64, Error> {
    let request = CommandsRequest::parse(&json!({ "command": turn_on() }).to_string());
    let commands = request
        .map_err(|error| Error::Wrong(error.to_string()))?
        .commands;
    let permissions = PERMISSIONS
        .iter()
        .filter_map(|text| Permission::parse(text));
    let caller = Caller {
        permissions: permissions.collect(),
        ..Caller::unproven()
    };
    let mut times = Sample::default();
    for _ in 0..BATCHES {
        let began = Instant::now();
        for _ in 0..BATCH {
            let permit = Permit::of_commands(&caller, black_box(&commands));
            black_box(permit).map_err(|denied| Error::Wrong(denied.to_string()))?;
        }
        times.push(began.elapsed());
    }
    Ok(us_of_one(&times))
}

/// Serves a document on loopback, for any request.
async fn serve(document: String) -> Result<SocketAddr, Error> {
    let failed = |source| Error::Io {
        what: "serving a key set".to_owned(),
        source,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let document = Bytes::from(document.clone());
            let service = service_fn(move |_: http::Request<Incoming>| {
                let answer = http::Response::new(Full::new(document.clone()));
                async move { Ok::<_, Infallible>(answer) }
            });
            // An error means that the client closed the connection.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(tcp), service)
                .await;
        }
    });
    Ok(address)
}
