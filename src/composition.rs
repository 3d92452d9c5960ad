//! The composition root: it creates the function and selects the adapter for each role. Lambda, the command line and
//! the tests use it.

use std::sync::Arc;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use memchr::memmem::Finder;
use tokio::sync::OnceCell;

use crate::base::clock::Clock;
use crate::base::config::{
    Callers, Config, Environment, HomeConfig, HomeLimits, KeysConfig, Lookup as _, MetricsConfig,
    MetricsSink, TokenOrigin,
};
use crate::base::metrics::{CloudWatchSink, EmfSink, MetricSink, Metrics};
use crate::base::random::Random;
use crate::base::table::Table;
use crate::doors::function::Function;
use crate::home::bridge::Retry;
use crate::home::home_assistant::{Extras, Labels};
use crate::home::homes::{DefaultHome, HomeBuilder, Homes, KEPT_HOMES};
use crate::home::source::{
    Encryption, FileSource, HomeStore, SecretSource, Setting, SsmHomes, SsmSource, SsmVersions,
    TokenVersions, VariableSource,
};
use crate::home::token::Ttl;
use crate::home::verdict::{SharedVerdicts, VerdictStore};
use crate::service::access::{
    Authenticator, HttpJwks, KeySource, KeyStore, PushSecret, Verifier, VerifierConfig,
};
use crate::service::app::App;
use crate::service::connections::{Connections, SdkSettings, Surroundings};
use crate::service::idempotency::{Idempotency, MemoryStore, OutcomeStore, SharedStore};
use crate::service::rate_limit::RateLimiter;
use crate::service::rotation::{LeaseStore, MemoryLeases, Rotation, RotationTerms, SharedLeases};

/// The time limit of a rate limit check in the table. The check does not justify a longer wait.
const RATES_TIMEOUT: Duration = Duration::from_secs(1);

/// The AWS settings and clients, created at the first use of AWS.
#[derive(Clone, Debug, Default)]
pub struct Aws(Arc<AwsCells>);

#[derive(Debug, Default)]
struct AwsCells {
    config: OnceCell<SdkConfig>,
    ssm: OnceCell<aws_sdk_ssm::Client>,
}

impl From<SdkConfig> for Aws {
    fn from(config: SdkConfig) -> Self {
        Self(Arc::new(AwsCells {
            config: OnceCell::new_with(Some(config)),
            ssm: OnceCell::new(),
        }))
    }
}

/// Creates a function from `config`. All its randomness comes from `seed`.
pub async fn function(config: Config, aws: &Aws, clock: Arc<dyn Clock>, seed: u64) -> Function {
    let random = Random::seeded(seed);
    let sink = metric_sink(&config.metrics, aws).await;
    let metrics = Arc::new(Metrics::new(sink, clock.clone()));
    let table = match config.table {
        Some(name) => {
            let client = aws_sdk_dynamodb::Client::new(aws.config().await);
            Some(Table::new(client, name))
        }
        None => None,
    };
    let verdicts = table
        .clone()
        .map(|table| Arc::new(SharedVerdicts::new(table)) as Arc<dyn VerdictStore>);
    let builder = HomeBuilder {
        limits: config.limits,
        token_ttl: config.token.ttl,
        token_format: config.token.format,
        retry: Retry {
            base: config.retry.base,
            attempts: config.retry.attempts,
            ..Retry::default()
        },
        clock: clock.clone(),
        metrics: metrics.clone(),
        verdicts,
        rejections: Arc::default(),
        random: random.clone(),
    };
    let default = match config.home {
        Some(home) => Some(default_home(&builder, home, config.token.origin, aws).await),
        None => None,
    };
    let stored: Option<Arc<dyn HomeStore>> = match config.homes_prefix {
        Some(prefix) => Some(Arc::new(SsmHomes::new(aws.ssm().await.clone(), prefix))),
        None => None,
    };
    let homes = Homes::new(builder, default, stored, KEPT_HOMES);
    let rates = RateLimiter::new(
        config.rate_limits,
        table.clone(),
        RATES_TIMEOUT,
        clock.clone(),
    );
    let connections = Connections::new(
        config.websocket.clone(),
        Surroundings {
            settings: aws.settings(),
            table: table.clone(),
            clock: clock.clone(),
            random: random.clone(),
            metrics: metrics.clone(),
        },
    );
    let (outcomes, leases): (Box<dyn OutcomeStore>, Box<dyn LeaseStore>) = match table {
        Some(table) => (
            Box::new(SharedStore::new(table.clone())),
            Box::new(SharedLeases::new(table)),
        ),
        None => (
            Box::new(MemoryStore::default()),
            Box::new(MemoryLeases::default()),
        ),
    };
    let idempotency = Idempotency::new(outcomes, clock.clone(), random.clone());
    let request_limit = longest_request(config.limits);
    let rotation = Rotation::new(RotationTerms {
        leases,
        clock: clock.clone(),
        // After this time no execution environment has the old token in its cache, and every request with the old token
        // has ended.
        drain: Ttl::new(config.token.ttl, 0.0).hard + request_limit,
        step_limit: request_limit,
        random: random.clone(),
    });
    let authenticator = authenticator(config.callers, aws, &clock).await;
    let push_secret = match config.events_secret_parameter {
        Some(name) => {
            let (encryption, setting) = (Encryption::Required, Setting::EventsSecret);
            let source = aws.parameter(name, encryption, setting).await;
            Some(PushSecret::new(source, clock.clone()))
        }
        None => None,
    };
    let app = App {
        homes,
        rotation,
        idempotency,
        authenticator,
        rates,
        connections,
        push_secret,
        clock,
        random,
        metrics,
    };
    Function::new(Arc::new(app), config.http, &config.websocket)
}

async fn authenticator(callers: Callers, aws: &Aws, clock: &Arc<dyn Clock>) -> Authenticator {
    let jwt = match callers {
        Callers::Anyone => return Authenticator::AllowAll,
        Callers::Nobody => return Authenticator::RejectAll,
        Callers::Jwt(jwt) => *jwt,
    };
    let source = match jwt.keys {
        KeysConfig::Jwks(url) => KeySource::Jwks(Box::new(HttpJwks::new(url))),
        KeysConfig::Secret(name) => {
            let (encryption, setting) = (Encryption::Required, Setting::CallerSecret);
            KeySource::Secret(aws.parameter(name, encryption, setting).await)
        }
    };
    let config = VerifierConfig {
        issuer: jwt.issuer,
        audience: jwt.audience,
        tenant_claim: jwt.tenant_claim,
        permissions_claim: jwt.permissions_claim,
        plan_claim: jwt.plan_claim,
    };
    let keys = KeyStore::new(source, clock.clone());
    Authenticator::Jwt(Box::new(Verifier::new(config, keys, clock.clone())))
}

/// Returns the longest time that a request to a home is in flight after the request has its token.
fn longest_request(limits: HomeLimits) -> Duration {
    limits.validate_timeout + limits.connect_timeout + limits.command_timeout
}

async fn default_home(
    builder: &HomeBuilder,
    config: HomeConfig,
    origin: TokenOrigin,
    aws: &Aws,
) -> DefaultHome {
    let settings = [
        &config.ca_parameter,
        &config.client_cert_parameter,
        &config.headers_parameter,
    ];
    let setting_parameters = settings.into_iter().flatten().cloned().collect();
    let (token_parameter, source): (_, Box<dyn SecretSource>) = match origin {
        TokenOrigin::Parameter(name) => {
            let (encryption, setting) = (Encryption::Required, Setting::Token);
            let source = aws.parameter(name.clone(), encryption, setting).await;
            (Some(name), source)
        }
        TokenOrigin::Variable(value) => (None, Box::new(VariableSource::new(value))),
        TokenOrigin::File(path) => (None, Box::new(FileSource::new(path))),
    };
    let versions: Option<Arc<dyn TokenVersions>> = match &token_parameter {
        Some(name) => {
            let client = aws.ssm().await.clone();
            Some(Arc::new(SsmVersions::new(client, name, Setting::Token)))
        }
        None => None,
    };
    let extras = extras(&config, aws).await;
    DefaultHome {
        home: builder.unnamed(config.address, source, versions, extras),
        token_parameter,
        setting_parameters,
    }
}

async fn metric_sink(config: &MetricsConfig, aws: &Aws) -> Option<Box<dyn MetricSink>> {
    let namespace = config.namespace.clone();
    match config.sink {
        MetricsSink::CloudWatch => {
            let aws_config = aws.config().await.clone();
            Some(Box::new(CloudWatchSink::new(aws_config, namespace)))
        }
        MetricsSink::Emf => Some(Box::new(EmfSink::new(namespace))),
        MetricsSink::Off => None,
    }
}

async fn extras(config: &HomeConfig, aws: &Aws) -> Extras {
    let secret = async |name: &Option<String>, encryption, setting| match name {
        Some(name) => Some(aws.parameter(name.clone(), encryption, setting).await),
        None => None,
    };
    let (optional, required) = (Encryption::Optional, Encryption::Required);
    Extras {
        ca: secret(&config.ca_parameter, optional, Setting::Ca).await,
        client_cert: secret(&config.client_cert_parameter, required, Setting::ClientCert).await,
        headers: secret(&config.headers_parameter, required, Setting::Headers).await,
        labels: Labels::VARIABLES,
    }
}

impl Aws {
    async fn config(&self) -> &SdkConfig {
        self.0.config.get_or_init(load_aws_config).await
    }

    /// Returns the settings for adapters that load them at their first use.
    fn settings(&self) -> SdkSettings {
        let aws = self.clone();
        Arc::new(move || {
            let aws = aws.clone();
            Box::pin(async move { aws.config().await.clone() })
        })
    }

    async fn ssm(&self) -> &aws_sdk_ssm::Client {
        self.0
            .ssm
            .get_or_init(async || aws_sdk_ssm::Client::new(self.config().await))
            .await
    }

    async fn parameter(
        &self,
        name: String,
        encryption: Encryption,
        setting: Setting,
    ) -> Box<dyn SecretSource> {
        let client = self.ssm().await.clone();
        Box::new(SsmSource::new(client, name, encryption, setting))
    }
}

async fn load_aws_config() -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .tls_context(aws_tls())
        .build_https();
    // Parameter Store answers within milliseconds. A retry is better than a longer wait.
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(1_000))
        .operation_attempt_timeout(Duration::from_millis(2_000))
        .operation_timeout(Duration::from_millis(5_000))
        .build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts);
    // Lambda sets these variables. The default chain would look at them first too, but it also prepares the other
    // providers, which takes a part of INIT.
    let has_keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
        .into_iter()
        .all(|name| Environment.get(name).is_some_and(|value| !value.is_empty()));
    let loader = match has_keys {
        true => loader.credentials_provider(EnvironmentVariableCredentialsProvider::new()),
        false => loader,
    };
    loader.load().await
}

/// The names of the roots of AWS's endpoints: Amazon and Starfield in most regions, DigiCert in China. The last one is
/// Let's Encrypt, which local clouds use.
const AWS_ROOTS: [&str; 4] = [
    "Amazon Root CA",
    "Starfield Services Root",
    "DigiCert Global Root",
    "ISRG Root",
];

/// Returns the TLS settings of the AWS clients.
///
/// The root certificates are compiled in, because the client would read the system's certificates from some hundred
/// files. Only some of them are used, because the client parses each one. Either takes milliseconds of INIT.
fn aws_tls() -> tls::TlsContext {
    let mut pem = String::new();
    for root in aws_roots() {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        BASE64_STANDARD.encode_string(root, &mut pem);
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    let store = tls::TrustStore::empty().with_pem_certificate(pem);
    let context = tls::TlsContext::builder().with_trust_store(store).build();
    // This never fails: the settings are constant. The default reads the system's certificates.
    context.unwrap_or_default()
}

/// Returns the root certificates with one of these names.
fn aws_roots() -> impl Iterator<Item = &'static [u8]> {
    let names = AWS_ROOTS.map(Finder::new);
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let is_of_aws = move |root: &&[u8]| names.iter().any(|name| name.find(root).is_some());
    roots.map(AsRef::as_ref).filter(is_of_aws)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_roots_contain_the_roots_that_aws_documents() {
        let roots: Vec<&[u8]> = aws_roots().collect();
        for name in [
            "Amazon Root CA 1",
            "Amazon Root CA 2",
            "Amazon Root CA 3",
            "Amazon Root CA 4",
            "Starfield Services Root Certificate Authority - G2",
            "DigiCert Global Root G2",
            "ISRG Root X1",
        ] {
            let names = |root: &&[u8]| root.windows(name.len()).any(|part| part == name.as_bytes());
            assert!(roots.iter().any(names), "{name}");
        }
        assert!(roots.len() <= 12, "{}", roots.len());
    }
}
