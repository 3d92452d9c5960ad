//! Searches of `Debug`, `Display` and panic messages of every type that holds a token.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use latchkey::base::ambient::Ambient;
use latchkey::base::clock::{Clock, Deadline, SystemClock};
use latchkey::base::config::{Config, TokenFormat};
use latchkey::base::metrics::{Meter, Metrics};
use latchkey::base::random::Random;
use latchkey::base::secret::AccessToken;
use latchkey::doors::reply::{KeepWarmReply, Problem};
use latchkey::home::bridge::{BridgeError, Warmth};
use latchkey::home::home_assistant::{Extras, HomeError, Session, SessionState};
use latchkey::home::source::{
    Encryption, FileSource, Origin, SecretSource as _, Setting, SourceFault, SsmSource,
    StoredSecret, VariableSource,
};
use latchkey::home::token::{Token, TokenCache, TokenError, TokenService, Ttl, inspect};
use latchkey::service::failure::Failure;
use latchkey_dev::stack::AwsEmulator;
use testkit::canary::Canary;
use testkit::home;

/// A search for a token, and the fingerprint of the token, which may be shown.
pub(crate) struct Shown {
    pub(crate) canary: Canary,
    pub(crate) fingerprint: String,
}

impl Shown {
    pub(crate) fn of(token: &str) -> Self {
        let access = AccessToken::new(token.into());
        Self {
            canary: Canary::new(token),
            fingerprint: access.fingerprint().to_string(),
        }
    }

    /// Searches both forms of the `Debug` output of a value.
    pub(crate) fn debug(&self, what: &str, value: &impl Debug) -> String {
        let shown = format!("{value:?} {value:#?}");
        self.canary.search(what, &shown);
        shown
    }

    /// As [`Shown::debug`], and asserts that the value shows the fingerprint of its token.
    pub(crate) fn with_fingerprint(&self, what: &str, value: &impl Debug) {
        let shown = self.debug(what, value);
        assert!(shown.contains(&self.fingerprint), "{what}: {shown}");
    }
}

#[tokio::test]
async fn debug_output_redacts_the_token() {
    let home = home().await;
    let aws = AwsEmulator::start().await.unwrap();
    let text = home.mint_token("latchkey");
    let access = Arc::new(AccessToken::new(text.as_str().into()));
    let shown = Shown::of(&text);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let now = clock.now();

    // The token and its cache.
    shown.with_fingerprint("AccessToken", &access);
    shown.with_fingerprint("Fingerprint", &access.fingerprint());
    let token = Token {
        access: access.clone(),
        version: Some(1),
        expires_at: None,
    };
    shown.with_fingerprint("Token", &token);
    let mut cache = TokenCache::default();
    cache.put(token.clone(), now, Ttl::new(Duration::from_secs(300), 0.5));
    let facts = cache.last().unwrap();
    shown.with_fingerprint("TokenFacts", &facts);
    shown.with_fingerprint("Offer", &cache.offer(now));
    shown.with_fingerprint("TokenCache", &cache);
    cache.reject(token.fingerprint());
    shown.with_fingerprint("TokenCache", &cache);

    // The sources of the token.
    let stored = || StoredSecret {
        value: text.as_str().into(),
        version: Some(1),
    };
    shown.debug("StoredSecret", &stored());
    let variable = VariableSource::new(text.as_str().into());
    shown.debug("VariableSource", &variable);
    shown.debug("what a source fetches", &variable.fetch().await);
    shown.debug("FileSource", &FileSource::new("/token".into()));
    let client = aws_sdk_ssm::Client::new(aws.sdk_config());
    shown.debug(
        "SsmSource",
        &SsmSource::new(
            client,
            "/token".to_owned(),
            Encryption::Required,
            Setting::Token,
        ),
    );
    let url = home.url();
    let config = Config::read(&[("HA_URL", url.as_str()), ("HA_TOKEN", text.as_str())]).unwrap();
    shown.debug("Config", &config);
    shown.debug("TokenConfig", &config.token);
    shown.debug("TokenOrigin", &config.token.origin);
    shown.debug("Claims", &inspect(&text, TokenFormat::Jwt).unwrap().1);

    // The session that the token opens.
    let address = config.home.unwrap().address;
    let session = Session::new(address, config.limits, Extras::default(), clock.clone());
    let deadline = Deadline::at(now.after(Duration::from_secs(20)));
    let proven = async { Ok::<_, HomeError>(access.clone()) };
    let checkout = session.checkout(deadline, proven, |_| false, |_| {});
    let checkout = checkout.await.unwrap();
    session.ready(&checkout.connection, deadline).await.unwrap();
    shown.with_fingerprint("Checkout", &checkout);
    shown.with_fingerprint("Connection", &checkout.connection);
    shown.debug("Status", &checkout.connection.status());
    shown.debug("SessionReport", &session.report());

    // The errors of the token.
    let fingerprint = token.fingerprint();
    let origin = || Origin::new(Setting::Token, "/token");
    let mut errors = vec![
        TokenError::Expired {
            origin: origin(),
            fingerprint,
        },
        TokenError::Rejected {
            origin: origin(),
            fingerprint,
            version: Some(1),
        },
        TokenError::Source(origin().failed(SourceFault::NotFound)),
    ];
    for damaged in [
        format!("Bearer {text}"),
        format!("'{text}'"),
        format!("{text} {text}"),
        format!("{text}.{text}"),
        text[..100].to_owned(),
        text.repeat(30),
    ] {
        let defect = inspect(&damaged, TokenFormat::Jwt).unwrap_err();
        errors.push(TokenError::Malformed {
            origin: origin(),
            defect,
        });
    }
    for error in errors {
        shown.canary.search("TokenError", &error.to_string());
        shown.debug("TokenError", &error);
        let failure = Failure::Bridge(BridgeError::Token(error.clone()));
        shown.canary.search("Failure", &failure.to_string());
        let problem = Problem::of(&failure);
        shown.debug("Problem", &problem);
        shown.debug("Document", &problem.document("request", true));
        let warmth = Warmth {
            valid: Some(false),
            refreshed: true,
            token: Some(facts),
            session: SessionState::Ready,
            error: Some(error.into()),
        };
        shown.with_fingerprint("Warmth", &warmth);
        let reply = KeepWarmReply::one((Some(warmth), Some(problem)));
        shown.with_fingerprint("KeepWarmReply", &reply);
        let sent = serde_json::to_string(&reply).unwrap();
        shown.canary.search("KeepWarmReply", &sent);
    }
}

/// A panic message contains the `Debug` output of a value.
#[tokio::test]
async fn panic_message_redacts_the_token() {
    let home = home().await;
    let text = home.mint_token("latchkey");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let service = TokenService::new(
        Box::new(VariableSource::new(text.as_str().into())),
        TokenFormat::Jwt,
        Duration::from_secs(300),
        Ambient {
            clock: clock.clone(),
            random: Random::seeded(1),
            meter: Meter::new(Arc::new(Metrics::new(None, clock)), None),
        },
    );
    let panicked = tokio::spawn(async move {
        service.current().await.expect_err("there is a token");
    });
    let panic = panicked.await.unwrap_err().into_panic();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("AccessToken("), "{message}");
    Canary::new(&text).search("a panic", message);
}
