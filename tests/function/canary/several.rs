//! Searches of `Debug`, `Display` and replies for tokens: types of stored homes, of rotations and of the shared table.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use latchkey::base::ambient::Ambient;
use latchkey::base::clock::{Clock, Deadline, SystemClock, Timestamp};
use latchkey::base::config::HomeAddress;
use latchkey::base::home_name::HomeName;
use latchkey::base::random::Random;
use latchkey::base::secret::AccessToken;
use latchkey::base::table::{Condition, Item, Key, Table, TableError, Write};
use latchkey::doors::reply::{Problem, RotationReply};
use latchkey::home::bridge::BridgeError;
use latchkey::home::home_assistant::HomeError;
use latchkey::home::homes::HomesError;
use latchkey::home::source::{
    HomeStore, KeptSecret, Origin, SecretSource as _, Setting, SourceFault, SsmHomes, SsmVersions,
    StoreOutcome, StoredHome, StoredSecret, StoredToken, TokenVersions as _, Versions,
};
use latchkey::home::token::TokenError;
use latchkey::home::verdict::{SharedVerdicts, Standing, Turn, Verdict, VerdictStore, Verdicts};
use latchkey::service::failure::Failure;
use latchkey::service::rotation::{Progress, RotationError, RotationReport, SharedLeases};
use latchkey_dev::stack::AwsEmulator;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use testkit::{Sandbox, home};

use super::debug::Shown;

const PREFIX: &str = "/latchkey/homes";
const TABLE: &str = "latchkey";

fn name(leaf: &str) -> String {
    format!("{PREFIX}/cabin/{leaf}")
}

#[tokio::test]
async fn debug_of_stored_home_redacts_secrets() {
    let home = home().await;
    let aws = AwsEmulator::start().await.unwrap();
    let text = home.mint_token("latchkey");
    let (key, fence) = (home.mint_token("key"), home.mint_token("fence"));
    let mut shown = Shown::of(&text);
    shown.canary.watch(&key);
    shown.canary.watch(&fence);
    aws.put_parameter(&name("url"), &home.url()).await.unwrap();
    let headers = json!({ "X-Fence": fence }).to_string();
    for (leaf, value) in [
        ("token", &text),
        ("ca", &key),
        ("client-cert", &key),
        ("headers", &headers),
    ] {
        aws.put_token(&name(leaf), value).await.unwrap();
    }
    let client = aws_sdk_ssm::Client::new(aws.sdk_config());
    let homes = Arc::new(SsmHomes::new(client.clone(), PREFIX.to_owned()));
    shown.debug("SsmHomes", &homes);
    let cabin = HomeName::new("cabin").unwrap();
    let mut stored: StoredHome = homes.read(&cabin).await.unwrap();
    assert_eq!(stored.token.value.expose_secret(), text);
    assert!(stored.headers.is_some() && stored.client_cert.is_some() && stored.ca.is_some());
    shown.debug("StoredHome", &stored);
    let token = StoredToken::new(
        homes.clone(),
        cabin,
        &mut stored,
        Arc::new(SystemClock::new()),
    );
    for _ in 0..2 {
        shown.debug("what StoredToken fetches", &token.fetch().await.unwrap());
    }
    let kept = KeptSecret::new(StoredSecret {
        value: text.as_str().into(),
        version: Some(1),
    });
    shown.debug("KeptSecret", &kept);
    shown.debug("what KeptSecret fetches", &kept.fetch().await.unwrap());

    let versions = SsmVersions::new(client, &name("token"), Setting::HomeToken);
    shown.debug("SsmVersions", &versions);
    let another = SecretString::from(key.as_str());
    let outcome: StoreOutcome = versions.store(&another, None).await;
    shown.debug("StoreOutcome", &outcome);
    let all: Versions = versions.read().await.unwrap();
    assert_eq!(all.all.len(), 2);
    shown.debug("StoredVersion", &all.all[0]);
    shown.debug("Versions", &all);
}

/// The parameter of the address contains the token.
#[tokio::test]
async fn token_in_place_of_home_url_is_redacted() {
    let home = home().await;
    let aws = AwsEmulator::start().await.unwrap();
    let text = home.mint_token("latchkey");
    let shown = Shown::of(&text);
    let app = Sandbox::builder()
        .aws(&aws)
        .envs([("HOMES_PARAMETER_PREFIX", PREFIX)])
        .start()
        .await;
    aws.put_token(&name("token"), &text).await.unwrap();
    for url in [
        text.clone(),
        format!("http://{text}@home:8123"),
        format!("http://home:8123/?token={text}"),
        format!("{text}://home"),
    ] {
        let misplaced = HomeAddress::parse(&url).err();
        shown.debug("AddressError", &misplaced);
        aws.put_parameter(&name("url"), &url).await.unwrap();
        for event in [
            json!({ "command": { "type": "ping" }, "home": "cabin" }),
            json!({ "source": "keep-warm" }),
        ] {
            let answer = app.handle(&event).await;
            shown.canary.search("an answer", &answer.to_string());
        }
    }
}

#[tokio::test]
async fn failures_and_replies_of_homes_and_rotations_redact_the_token() {
    let home = home().await;
    let text = home.mint_token("latchkey");
    let shown = Shown::of(&text);
    let fingerprint = AccessToken::new(text.as_str().into()).fingerprint();
    let rejected = || {
        BridgeError::Token(TokenError::Rejected {
            origin: Origin::new(Setting::HomeToken, name("token")),
            fingerprint,
            version: Some(1),
        })
    };
    let source_error = |fault| Origin::new(Setting::HomeToken, name("token")).failed(fault);
    let source = || source_error(SourceFault::AccessDenied);
    let address = HomeAddress::parse(&text).unwrap_err();
    let homes = [
        HomesError::NotNamed,
        HomesError::OnlyOne,
        HomesError::NoName,
        HomesError::OtherTenant,
        HomesError::Source(source()),
        HomesError::Unknown {
            name: "cabin".into(),
            error: Origin::new(Setting::HomeUrl, name("url")).failed(SourceFault::NotFound),
        },
        HomesError::Address {
            name: "cabin".into(),
            error: address,
        },
    ];
    let rotations = [
        RotationError::NoParameter,
        RotationError::NotIdentified,
        RotationError::NotOwner {
            user: "Paulus".into(),
        },
        RotationError::Bridge(rejected()),
        RotationError::Source(source()),
        RotationError::Refused {
            command: "auth/current_user",
            reason: "unknown_command".into(),
        },
        RotationError::Unknown {
            command: "auth/long_lived_access_token",
        },
        RotationError::Unproven(HomeError::Rejected.into()),
        RotationError::NotStored(source()),
        RotationError::StoredOrNot(source_error(SourceFault::TimedOut)),
        RotationError::Overtaken,
        RotationError::LeaseLost,
        RotationError::Table(TableError("no answer".into())),
        RotationError::OutOfTime,
    ];
    let failures = homes.map(Failure::Homes).into_iter();
    let failures: Vec<Failure> = failures.chain(rotations.map(Failure::Rotation)).collect();
    let mut reports = Vec::new();
    for failure in failures {
        shown.debug("Failure", &failure);
        shown.canary.search("Failure", &failure.to_string());
        let problem = Problem::of(&failure);
        shown.debug("Problem", &problem);
        reports.push((HomeName::new("cabin"), Err(problem)));
    }
    let until = Duration::from_secs(1_800_000_000);
    for progress in [
        Progress::Rotated,
        Progress::Nothing,
        Progress::Draining { until },
        Progress::Busy { until },
        Progress::Planned,
    ] {
        let report = RotationReport {
            progress,
            steps: vec!["minted".into()],
            token: Some((fingerprint, Some(2))),
            revoked: 1,
        };
        shown.with_fingerprint("RotationReport", &report);
        let reply = RotationReply::one(report.clone());
        shown.with_fingerprint("RotationReply", &reply);
        let sent = serde_json::to_string(&reply).unwrap();
        shown.canary.search("RotationReply", &sent);
        reports.push((None, Ok(report)));
    }
    let reply = RotationReply::several(reports);
    shown.with_fingerprint("RotationReply", &reply);
    let sent = serde_json::to_string(&reply).unwrap();
    shown.canary.search("RotationReply", &sent);
}

/// A verdict store that records the pseudonyms and runs of its calls.
#[derive(Default)]
struct Names(Mutex<Vec<String>>);

impl VerdictStore for Names {
    fn claim<'a>(
        &'a self,
        pseudonym: &'a str,
        run: &'a str,
        _: Timestamp,
        _: Timestamp,
        _: Duration,
    ) -> BoxFuture<'a, Result<Turn, TableError>> {
        let mut names = self.0.lock().unwrap();
        names.extend([pseudonym.to_owned(), run.to_owned()]);
        // The third claim finds the token rejected.
        let turn = match names.len() {
            0..5 => Turn::Ours,
            _ => Turn::Rejected,
        };
        Box::pin(std::future::ready(Ok(turn)))
    }

    fn settle<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Verdict,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<(), TableError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test]
async fn shared_table_redacts_the_token() {
    let home = home().await;
    let aws = AwsEmulator::start().await.unwrap();
    aws.create_table(TABLE).await.unwrap();
    let text = home.mint_token("latchkey");
    let shown = Shown::of(&text);
    let access = AccessToken::new(text.as_str().into());
    let fingerprint = access.fingerprint();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let limit = Duration::from_secs(3);
    let verdicts = |store| Verdicts {
        store,
        scope: "cabin".into(),
        presentation_limit: limit,
        clock: clock.clone(),
        random: Random::seeded(1),
    };

    let names = Arc::new(Names::default());
    let named = verdicts(names.clone());
    for _ in 0..3 {
        match named.await_turn(fingerprint, Some(1)).await {
            Standing::Present(claim) => {
                shown.debug("Claim", &claim);
                shown.debug("Standing", &Standing::Present(claim));
            }
            other @ (Standing::Rejected | Standing::Busy) => {
                shown.debug("Standing", &other);
            }
        }
    }
    let said = names.0.lock().unwrap().join(" ");
    shown.canary.search("a verdict's name", &said);
    // Logs show the fingerprint. A fingerprint in the table would link a verdict to the token in the logs.
    assert!(!said.contains(&shown.fingerprint), "{said}");

    let client = aws_sdk_dynamodb::Client::new(aws.sdk_config());
    let table = Table::new(client, TABLE.into());
    shown.debug("Table", &table);
    shown.debug("SharedLeases", &SharedLeases::new(table.clone()));
    let shared = Arc::new(SharedVerdicts::new(table.clone()));
    shown.debug("SharedVerdicts", &shared);
    let shared = verdicts(shared);
    match shared.await_turn(fingerprint, Some(1)).await {
        Standing::Present(claim) => shared.settle(claim, Verdict::Rejected).await,
        other => panic!("{other:?}"),
    }
    shared.share_rejection(fingerprint, None).await;
    let items = aws.items(TABLE).await.unwrap();
    assert_eq!(items.len(), 2);
    for item in &items {
        let item = serde_json::to_string(item).unwrap();
        shown.canary.search("an item", &item);
        assert!(!item.contains(&shown.fingerprint), "{item}");
    }
    let key = Key {
        pk: items[0]["pk"].as_str().unwrap().to_owned(),
        sk: "presentation".into(),
    };
    shown.debug("Key", &key);
    let free = Condition {
        expression: "attribute_not_exists(pk)",
        names: &[],
        values: Vec::new(),
    };
    shown.debug("Condition", &free);
    let refused = table.put(&key, Item::default(), Some(free)).await.unwrap();
    assert!(matches!(refused, Write::Refused(_)));
    shown.debug("Write", &refused);
}

#[tokio::test]
async fn health_redacts_the_token() {
    let home = home().await;
    let aws = AwsEmulator::start().await.unwrap();
    let text = home.mint_token("latchkey");
    let shown = Shown::of(&text);
    aws.put_parameter(&name("url"), &home.url()).await.unwrap();
    aws.put_token(&name("token"), &text).await.unwrap();
    let app = Sandbox::builder()
        .aws(&aws)
        .envs([("HOMES_PARAMETER_PREFIX", PREFIX)])
        .start()
        .await;
    let event = json!({ "source": "keep-warm" }).to_string();
    for revoked in [false, true] {
        if revoked {
            home.revoke(&text);
            home.wait_for(|counters| counters.open_sockets == 0).await;
        }
        let answer = app.handle(&event).await;
        assert_eq!(answer["homes"][0]["token"]["valid"], !revoked, "{answer}");
        for (_, health) in app.function.app.health() {
            shown.with_fingerprint("Health", &health);
            shown.with_fingerprint("TokenHealth", &health.token);
            shown.debug("SessionHealth", &health.session);
            shown.debug("its verdict", &health.verdict);
        }
    }
}

/// The answer to a command that mints a token contains the token.
#[tokio::test]
async fn debug_of_home_answer_redacts_a_minted_token() {
    use latchkey::base::config::{Config, TokenFormat};
    use latchkey::base::metrics::{Meter, Metrics};
    use latchkey::home::bridge::Bridge;
    use latchkey::home::home_assistant::{Answer, Command, Extras, Outcome, Session};
    use latchkey::home::source::VariableSource;
    use latchkey::home::token::TokenService;

    let home = home().await;
    let text = home.mint_token("latchkey");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let meter = Meter::new(Arc::new(Metrics::new(None, clock.clone())), None);
    let ambient = Ambient {
        clock: clock.clone(),
        random: Random::seeded(1),
        meter,
    };
    let tokens = TokenService::new(
        Box::new(VariableSource::new(text.as_str().into())),
        TokenFormat::Jwt,
        Duration::from_secs(300),
        ambient.clone(),
    );
    let url = home.url();
    let config = Config::read(&[("HA_URL", url.as_str())]).unwrap();
    let address = config.home.unwrap().address;
    let session = Session::new(address, config.limits, Extras::default(), clock.clone());
    let bridge = Bridge::new(tokens, session, None, ambient);
    let mint = Command::new(json!({
        "type": "auth/long_lived_access_token", "client_name": "another", "lifespan": 1,
    }));
    let deadline = Deadline::at(clock.now().after(Duration::from_secs(20)));
    let outcomes = bridge.run(&[mint.unwrap()], deadline).await.unwrap();
    let [Outcome::Answered(Answer::Success(Some(minted)))] = &outcomes[..] else {
        panic!("nothing was minted");
    };
    let minted_text: String = serde_json::from_str(minted.get()).unwrap();
    let mut shown = Shown::of(&minted_text);
    shown.canary.watch(&text);
    shown.debug("JsonSlice", minted);
    shown.debug("Outcome", &outcomes);
}
