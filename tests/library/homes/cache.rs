//! Tests of the cache of open homes. An execution environment keeps a bounded number of homes open.

use std::num::NonZeroUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;

use latchkey::base::clock::{Clock as _, Deadline, SystemClock};
use latchkey::base::config::{Config, TokenFormat};
use latchkey::base::home_name::HomeName;
use latchkey::base::metrics::Metrics;
use latchkey::base::random::Random;
use latchkey::home::bridge::{BridgeError, Retry};
use latchkey::home::home_assistant::{Answer, Command, Outcome};
use latchkey::home::homes::{Home, HomeBuilder, Homes, HomesError};
use latchkey::home::source::SsmHomes;
use latchkey_dev::home::SocketFault;
use latchkey_dev::stack::{AwsEmulator, Fault};
use testkit::homes::{GET_PARAMETERS, House, LIGHT, PREFIX, parameter, village};

/// Returns the homes of an application that keeps at most two homes open.
fn two_at_a_time(aws: &AwsEmulator) -> Arc<Homes> {
    let config = Config::read(&[("HOMES_PARAMETER_PREFIX", PREFIX)]).unwrap();
    let clock = Arc::new(SystemClock::new());
    let builder = HomeBuilder {
        limits: config.limits,
        token_ttl: Duration::from_secs(300),
        token_format: TokenFormat::Jwt,
        retry: Retry::default(),
        clock: clock.clone(),
        metrics: Arc::new(Metrics::new(None, clock)),
        verdicts: None,
        rejections: Arc::default(),
        random: Random::seeded(1),
    };
    let client = aws_sdk_ssm::Client::new(aws.sdk_config());
    let store = Arc::new(SsmHomes::new(client, PREFIX.to_owned()));
    let kept = NonZeroUsize::new(2).unwrap();
    Arc::new(Homes::new(builder, None, Some(store), kept))
}

fn name(text: &str) -> HomeName {
    HomeName::new(text).unwrap()
}

async fn find(homes: &Homes, text: &str) -> Result<Arc<Home>, HomesError> {
    homes.find(Some(&name(text)), None).await
}

/// Toggles the light.
async fn toggle(home: &Home) -> Result<Vec<Outcome>, BridgeError> {
    let commands = [Command::new(testkit::light("toggle", LIGHT)).unwrap()];
    let deadline = SystemClock::new().now().after(Duration::from_secs(20));
    home.bridge.run(&commands, Deadline::at(deadline)).await
}

/// Opens a home and runs one command.
async fn visit(homes: &Homes, house: &House) -> Weak<Home> {
    let home = find(homes, house.name).await.unwrap();
    let outcome = toggle(&home).await;
    let is_done = matches!(
        outcome.as_deref(),
        Ok([Outcome::Answered(Answer::Success(_))])
    );
    assert!(is_done, "{}: {outcome:?}", house.name);
    Arc::downgrade(&home)
}

/// Returns the names of the open homes.
fn open_names(homes: &Homes) -> Vec<String> {
    let homes = homes.open_ones();
    let names = homes.iter().filter_map(|home| home.name.as_ref());
    let mut names: Vec<_> = names.map(|name| name.as_str().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn least_recently_used_home_is_closed() {
    let (aws, [attic, beach, cabin]) = village(["attic", "beach", "cabin"]).await;
    let reads = async || aws.calls_of(GET_PARAMETERS).await.unwrap();
    let homes = two_at_a_time(&aws);
    let in_attic = visit(&homes, &attic).await;
    let in_beach = visit(&homes, &beach).await;
    // The attic is used again, so the beach is closed next.
    visit(&homes, &attic).await;
    assert_eq!(
        (open_names(&homes).join(" ").as_str(), reads().await),
        ("attic beach", 2)
    );
    let in_cabin = visit(&homes, &cabin).await;
    assert_eq!(
        (open_names(&homes).join(" ").as_str(), reads().await),
        ("attic cabin", 3)
    );

    // The closed home drops its socket and its token.
    beach
        .home
        .wait_for(|counters| counters.open_sockets == 0)
        .await;
    assert!(in_beach.upgrade().is_none());
    for (house, kept) in [(&attic, &in_attic), (&cabin, &in_cabin)] {
        assert_eq!(house.home.counters().open_sockets, 1);
        assert!(kept.upgrade().is_some());
    }

    // The beach is opened again and displaces the attic.
    visit(&homes, &beach).await;
    assert_eq!(
        (open_names(&homes).join(" ").as_str(), reads().await),
        ("beach cabin", 4)
    );
    attic
        .home
        .wait_for(|counters| counters.open_sockets == 0)
        .await;
    assert!(in_attic.upgrade().is_none());
    assert_eq!(beach.home.counters().auth_ok, 2);
    assert_eq!(beach.toggles(), 2);
    for house in [&attic, &beach, &cabin] {
        house.assert_saw_only_its_own_token();
    }
}

#[tokio::test]
async fn command_in_flight_finishes_in_a_home_that_is_closed() {
    let (aws, [attic, beach, cabin]) = village(["attic", "beach", "cabin"]).await;
    let homes = two_at_a_time(&aws);
    let slow = SocketFault::SlowReply(Duration::from_millis(10));
    attic.home.set_fault_times(slow, 1);
    let staying = tokio::spawn({
        let homes = homes.clone();
        async move { toggle(&find(&homes, "attic").await.unwrap()).await }
    });
    let is_in =
        |counters: &latchkey_dev::home::Counters| counters.commands.contains_key("call_service");
    attic.home.wait_for(is_in).await;
    visit(&homes, &beach).await;
    visit(&homes, &cabin).await;
    assert_eq!(open_names(&homes), ["beach", "cabin"]);
    let outcome = staying.await.unwrap().unwrap();
    assert!(
        matches!(outcome[..], [Outcome::Answered(Answer::Success(_))]),
        "{outcome:?}"
    );
    attic
        .home
        .wait_for(|counters| counters.open_sockets == 0)
        .await;
}

#[tokio::test]
async fn unusable_home_name_does_not_displace_an_open_home() {
    let (aws, [attic, beach]) = village(["attic", "beach"]).await;
    aws.put_parameter(&parameter("broken", "url"), "nonsense")
        .await
        .unwrap();
    aws.put_token(&parameter("broken", "token"), &attic.token)
        .await
        .unwrap();
    let homes = two_at_a_time(&aws);
    visit(&homes, &attic).await;
    visit(&homes, &beach).await;
    for text in ["nowhere", "nobody", "broken"] {
        for _ in 0..2 {
            let error = find(&homes, text).await.err().unwrap();
            assert!(
                matches!(
                    error,
                    HomesError::Unknown { .. } | HomesError::Address { .. }
                ),
                "{error:?}"
            );
        }
    }
    aws.inject(&Fault::new(GET_PARAMETERS, "ParameterNotFound"))
        .await
        .unwrap();
    assert!(find(&homes, "cabin").await.is_err());
    aws.clear_faults().await.unwrap();
    aws.forget_calls().await.unwrap();
    assert_eq!(open_names(&homes), ["attic", "beach"]);
    visit(&homes, &attic).await;
    visit(&homes, &beach).await;
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 0);
    assert_eq!(attic.home.counters().auth_ok, 1);
    assert_eq!(beach.home.counters().auth_ok, 1);
}

#[tokio::test]
async fn concurrent_first_uses_open_a_home_once() {
    let (aws, [attic]) = village(["attic"]).await;
    let homes = two_at_a_time(&aws);
    let uses: Vec<_> = (0..50)
        .map(|_| {
            let homes = homes.clone();
            tokio::spawn(async move {
                let home = find(&homes, "attic").await.unwrap();
                toggle(&home).await.unwrap();
                home
            })
        })
        .collect();
    let mut opened = Vec::new();
    for each in uses {
        opened.push(each.await.unwrap());
    }
    assert!(opened.iter().all(|home| Arc::ptr_eq(home, &opened[0])));
    assert_eq!(aws.calls_of(GET_PARAMETERS).await.unwrap(), 1);
    let counters = attic.home.counters();
    assert_eq!((counters.auth_ok, counters.config_checks), (1, 1));
    assert_eq!(attic.toggles(), 50);
}

/// The first caller that opens a home is cancelled. The other callers still get the home.
#[tokio::test]
async fn cancelled_opening_does_not_fail_other_callers() {
    let (aws, [attic]) = village(["attic"]).await;
    let homes = two_at_a_time(&aws);
    aws.inject(&Fault::new(GET_PARAMETERS, "hang"))
        .await
        .unwrap();
    let begin = || {
        let homes = homes.clone();
        tokio::spawn(async move { find(&homes, "attic").await })
    };
    let first = begin();
    let within = Duration::from_secs(20);
    aws.until_hanging(GET_PARAMETERS, within).await.unwrap();
    let second = begin();
    first.abort();
    assert!(first.await.is_err_and(|error| error.is_cancelled()));
    aws.clear_faults().await.unwrap();
    assert!(second.await.unwrap().is_ok());
    visit(&homes, &attic).await;
    assert_eq!(open_names(&homes), ["attic"]);
}
