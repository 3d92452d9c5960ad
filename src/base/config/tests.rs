//! Each variable at its default, at its limits and beyond them.

use std::time::Duration;

use super::*;

fn names(error: &ConfigError) -> Vec<&'static str> {
    error.0.iter().map(|fault| fault.name).collect()
}

#[test]
fn defaults_match_the_documentation() {
    let config = Config::read(&[("HA_URL", "http://ha:8123")]).unwrap();
    assert_eq!(config.limits.validate_timeout, Duration::from_secs(3));
    assert_eq!(config.limits.connect_timeout, Duration::from_secs(5));
    assert_eq!(config.limits.command_timeout, Duration::from_secs(10));
    assert_eq!(config.limits.max_message_bytes, 33_554_432);
    assert_eq!(config.retry.attempts, 5);
    assert_eq!(config.retry.base, Duration::from_secs(1));
    assert_eq!(config.token.ttl, Duration::from_secs(300));
    assert_eq!(config.token.format, TokenFormat::Jwt);
    assert!(
        matches!(config.token.origin, TokenOrigin::Parameter(name) if name == "/homeautomation/tokens/home-assistant")
    );
    assert!(matches!(config.callers, Callers::Nobody));
    assert_eq!(config.metrics.sink, MetricsSink::CloudWatch);
    assert_eq!(config.metrics.namespace, "LEE/HomeAssistant");
    assert_eq!(config.log.level, tracing::level_filters::LevelFilter::INFO);
    assert_eq!(config.log.format, LogFormat::Json);
}

#[test]
fn all_faults_are_reported_at_once_without_values() {
    let error = Config::read(&[
        ("HA_URL", "ftp://canary"),
        ("TOKEN_TTL_SECONDS", "canary"),
        ("HA_VALIDATE_TIMEOUT_MS", "-1"),
        ("HA_CONNECT_TIMEOUT_MS", "0"),
        ("HA_COMMAND_TIMEOUT_MS", "1e3"),
        ("HA_MAX_MESSAGE_BYTES", "canary"),
        ("HA_RETRY_ATTEMPTS", "11"),
        ("HA_RETRY_BASE_MS", "canary"),
        ("HA_TOKEN_PARAMETER", "canary canary"),
        ("HA_TOKEN_FORMAT", "canary"),
        ("HA_CA_PARAMETER", "canary canary"),
        ("HA_CLIENT_CERT_PARAMETER", "canary canary"),
        ("HA_HEADERS_PARAMETER", "canary canary"),
        ("TABLE_NAME", "canary canary"),
        ("CALLER_AUTH", "canary"),
        ("METRICS", "canary"),
        ("METRICS_NAMESPACE", "canary canary"),
        ("LOG_LEVEL", "canary"),
        ("LOG_FORMAT", "canary"),
    ])
    .unwrap_err();
    let mut seen = names(&error);
    seen.sort_unstable();
    let mut expected = vec![
        "CALLER_AUTH",
        "HA_CA_PARAMETER",
        "HA_CLIENT_CERT_PARAMETER",
        "HA_HEADERS_PARAMETER",
        "TABLE_NAME",
        "HA_COMMAND_TIMEOUT_MS",
        "HA_CONNECT_TIMEOUT_MS",
        "HA_MAX_MESSAGE_BYTES",
        "HA_RETRY_ATTEMPTS",
        "HA_RETRY_BASE_MS",
        "HA_TOKEN_FORMAT",
        "HA_TOKEN_PARAMETER",
        "HA_URL",
        "HA_VALIDATE_TIMEOUT_MS",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "METRICS",
        "METRICS_NAMESPACE",
        "TOKEN_TTL_SECONDS",
    ];
    expected.sort_unstable();
    assert_eq!(seen, expected);
    assert!(!error.to_string().contains("canary"), "{error}");
}

#[test]
fn config_without_a_home_is_rejected() {
    assert_eq!(names(&Config::read(&[]).unwrap_err()), ["HA_URL"]);
    assert_eq!(
        names(&Config::read(&[("HA_URL", "  ")]).unwrap_err()),
        ["HA_URL"]
    );
}

#[test]
fn token_ttl_accepts_zero_to_one_day() {
    let ttl = |text| {
        Config::read(&[("HA_URL", "http://ha"), ("TOKEN_TTL_SECONDS", text)])
            .map(|config| config.token.ttl.as_secs())
            .map_err(|error| names(&error))
    };
    assert_eq!(ttl("0"), Ok(0));
    assert_eq!(ttl("86400"), Ok(86_400));
    assert_eq!(ttl("86401"), Err(vec!["TOKEN_TTL_SECONDS"]));
}

#[test]
fn retry_settings_enforce_their_ranges() {
    let read = |name, text| {
        Config::read(&[("HA_URL", "http://ha"), (name, text)])
            .map(|config| (config.retry.attempts, config.retry.base.as_millis()))
            .map_err(|error| names(&error))
    };
    for (name, text, expected) in [
        ("HA_RETRY_ATTEMPTS", "0", (0, 1_000)),
        ("HA_RETRY_ATTEMPTS", "10", (10, 1_000)),
        ("HA_RETRY_BASE_MS", "100", (5, 100)),
        ("HA_RETRY_BASE_MS", "60000", (5, 60_000)),
    ] {
        assert_eq!(read(name, text), Ok(expected), "{name}={text}");
    }
    for (name, text) in [
        ("HA_RETRY_ATTEMPTS", "11"),
        ("HA_RETRY_ATTEMPTS", "-1"),
        ("HA_RETRY_BASE_MS", "99"),
        ("HA_RETRY_BASE_MS", "60001"),
    ] {
        assert_eq!(read(name, text), Err(vec![name]), "{name}={text}");
    }
}

#[test]
fn every_parameter_variable_rejects_an_arn_of_another_service() {
    let secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:ha-AbCdEf";
    let parameter = "arn:aws:ssm:eu-central-1:123456789012:parameter/ha:prod";
    let base = [
        ("HA_URL", "http://ha"),
        ("CALLER_JWT_ISSUER", "https://issuer"),
        ("CALLER_JWT_AUDIENCE", "latchkey"),
    ];
    for name in [
        "HA_TOKEN_PARAMETER",
        "HA_CA_PARAMETER",
        "HA_CLIENT_CERT_PARAMETER",
        "HA_HEADERS_PARAMETER",
        "CALLER_JWT_SECRET_PARAMETER",
    ] {
        let read = |value: &str| {
            let keys = ("CALLER_JWT_SECRET_PARAMETER", "/callers");
            // The first entry of a variable is the one that counts.
            let [url, issuer, audience] = base;
            Config::read(&[(name, value), url, issuer, audience, keys])
        };
        let error = read(secret).unwrap_err();
        assert_eq!(names(&error), [name], "{error}");
        let text = error.to_string();
        assert!(text.contains("arn:aws:ssm:"), "{text}");
        assert!(!text.contains("AbCdEf"), "{text}");
        assert!(read("arn:aws:ssm:eu-central-1:123456789012:document/ha").is_err());
        assert!(read(parameter).is_ok(), "{name}");
    }
    let error = Config::read(&[("HOMES_PARAMETER_PREFIX", parameter)]).unwrap_err();
    assert_eq!(names(&error), ["HOMES_PARAMETER_PREFIX"]);
}

#[test]
fn token_in_lambda_comes_from_parameter_store_only() {
    let lambda = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
    let url = ("HA_URL", "http://ha");
    let error = Config::read(&[url, lambda, ("HA_TOKEN", "canary")]).unwrap_err();
    assert_eq!(names(&error), ["HA_TOKEN"]);
    assert!(!error.to_string().contains("canary"));
    let error = Config::read(&[url, lambda, ("HA_TOKEN_FILE", "/x")]).unwrap_err();
    assert_eq!(names(&error), ["HA_TOKEN_FILE"]);
    let error = Config::read(&[url, lambda, ("CALLER_AUTH", "none")]).unwrap_err();
    assert_eq!(names(&error), ["CALLER_AUTH"]);

    let sam = ("AWS_SAM_LOCAL", "true");
    let config = Config::read(&[
        url,
        lambda,
        sam,
        ("HA_TOKEN", "canary"),
        ("CALLER_AUTH", "none"),
    ])
    .unwrap();
    assert!(matches!(config.token.origin, TokenOrigin::Variable(_)));
    assert!(matches!(config.callers, Callers::Anyone));
    assert!(!format!("{config:?}").contains("canary"));
    let config = Config::read(&[url, ("HA_TOKEN_FILE", "/x")]).unwrap();
    assert!(matches!(config.token.origin, TokenOrigin::File(_)));
    let error = Config::read(&[url, ("HA_TOKEN", "a"), ("HA_TOKEN_FILE", "b")]).unwrap_err();
    assert_eq!(names(&error), ["HA_TOKEN_FILE"]);
}

#[test]
fn token_in_the_wrong_variable_is_rejected_and_not_shown() {
    let token = format!("eyJ{}", "canary".repeat(30));
    for name in [
        "HA_URL",
        "HA_TOKEN_PARAMETER",
        "HA_TOKEN_FILE",
        "HA_CA_PARAMETER",
        "HA_CLIENT_CERT_PARAMETER",
        "HA_HEADERS_PARAMETER",
        "TABLE_NAME",
        "METRICS_NAMESPACE",
        "LOG_LEVEL",
    ] {
        let error = Config::read(&[(name, token.as_str()), ("HA_URL", "http://ha")]).unwrap_err();
        assert_eq!(names(&error)[0], name);
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn caller_variables_select_the_authentication() {
    let read = |variables: &[(&str, &str)]| {
        let mut table: std::collections::BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        table.insert("HA_URL".into(), "http://ha:8123".into());
        Config::read(&table)
    };
    let base = [
        ("CALLER_JWT_ISSUER", "https://issuer"),
        ("CALLER_JWT_AUDIENCE", "latchkey"),
    ];
    let with = |more: &[(&'static str, &'static str)]| {
        let mut variables = base.to_vec();
        variables.extend_from_slice(more);
        variables
    };
    assert!(matches!(read(&[]).unwrap().callers, Callers::Nobody));
    let jwks = with(&[("CALLER_JWT_JWKS_URL", "https://issuer/jwks.json")]);
    match read(&jwks).unwrap().callers {
        Callers::Jwt(jwt) => {
            assert_eq!(jwt.issuer, "https://issuer");
            assert_eq!(jwt.tenant_claim, "tenant");
            assert_eq!(jwt.permissions_claim, "permissions");
            assert_eq!(jwt.plan_claim, "plan");
            assert!(matches!(jwt.keys, KeysConfig::Jwks(_)));
        }
        other => panic!("{other:?}"),
    }
    let secret = with(&[("CALLER_JWT_SECRET_PARAMETER", "/callers")]);
    assert!(matches!(
        read(&secret).unwrap().callers,
        Callers::Jwt(jwt) if matches!(&jwt.keys, KeysConfig::Secret(name) if name == "/callers")
    ));
    for (variables, faulty) in [
        (base.to_vec(), "CALLER_JWT_JWKS_URL"),
        (
            vec![("CALLER_JWT_JWKS_URL", "https://issuer/jwks.json")],
            "CALLER_JWT_ISSUER",
        ),
        (
            with(&[
                ("CALLER_JWT_JWKS_URL", "https://issuer/jwks.json"),
                ("CALLER_JWT_SECRET_PARAMETER", "/callers"),
            ]),
            "CALLER_JWT_SECRET_PARAMETER",
        ),
        (
            with(&[("CALLER_JWT_JWKS_URL", "https://user:secret@issuer/")]),
            "CALLER_JWT_JWKS_URL",
        ),
        (
            with(&[
                ("CALLER_JWT_JWKS_URL", "http://issuer/jwks.json"),
                ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
            ]),
            "CALLER_JWT_JWKS_URL",
        ),
    ] {
        let error = read(&variables).unwrap_err();
        assert!(names(&error).contains(&faulty), "{variables:?}: {error}");
        assert!(!error.to_string().contains("secret@"));
    }
}
