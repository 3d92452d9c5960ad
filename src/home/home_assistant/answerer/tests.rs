//! Tests of each status with each kind of body and each kind of request.

use std::time::Duration;

use super::*;
use crate::base::config::{HomeAddress, HomeLimits};

const ALL: [Expected; 5] = [
    Expected::Proof,
    Expected::Upgrade,
    Expected::Json,
    Expected::File,
    Expected::Anything,
];

fn target(url: &str) -> Target {
    let second = Duration::from_secs(1);
    Target {
        address: HomeAddress::parse(url).unwrap(),
        limits: HomeLimits {
            validate_timeout: second,
            connect_timeout: second,
            command_timeout: second,
            max_message_bytes: 1_024,
        },
    }
}

fn seen(code: u16, headers: &[(&'static str, &str)], expected: Expected) -> Option<ForeignAnswer> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    let status = StatusCode::from_u16(code).unwrap();
    foreign(answerer(status, &map, expected, &target("http://ha:8123")))
}

fn foreign(answerer: Answerer) -> Option<ForeignAnswer> {
    match answerer {
        Answerer::Home => None,
        Answerer::Other(foreign) => Some(foreign),
    }
}

const PLAIN: &[(&str, &str)] = &[("content-type", "text/plain; charset=utf-8")];
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const PAGE: &[(&str, &str)] = &[("content-type", "Text/HTML; charset=utf-8")];
const CHALLENGE: &[(&str, &str)] = &[("www-authenticate", "Basic")];

fn edge(status: u16) -> HomeError {
    HomeError::EdgeBlocked {
        status,
        has_path: false,
    }
}

#[test]
fn only_a_plain_401_to_the_token_check_means_rejected() {
    for code in 100..1_000 {
        for headers in [PLAIN, JSON, PAGE, CHALLENGE, &[]] {
            for expected in ALL {
                let answer = seen(code, headers, expected);
                let is_rejected = answer.is_some_and(|answer| answer.error == HomeError::Rejected);
                let is_plain = headers == PLAIN || headers.is_empty();
                assert_eq!(
                    is_rejected,
                    code == 401 && expected == Expected::Proof && is_plain,
                    "{code} {headers:?} {expected:?}"
                );
            }
        }
    }
}

#[test]
fn pages_redirects_and_challenges_mean_edge_blocked() {
    for expected in ALL {
        for (code, headers) in [
            (302, &[("location", "https://login.example/")][..]),
            (302, &[("location", "//login.example/")]),
            (302, &[]),
            (401, CHALLENGE),
            (200, CHALLENGE),
            (407, &[("proxy-authenticate", "Basic")]),
            (530, PLAIN),
            (530, PAGE),
        ] {
            let answer = seen(code, headers, expected).unwrap();
            assert_eq!(answer.error, edge(code), "{code} {expected:?}");
            assert!(!answer.may_have_arrived, "{code} {expected:?}");
        }
    }
    for expected in [
        Expected::Proof,
        Expected::Upgrade,
        Expected::Json,
        Expected::File,
    ] {
        for code in [200, 401, 403, 404] {
            let answer = seen(code, PAGE, expected).unwrap();
            assert_eq!(answer.error, edge(code), "{expected:?}");
            assert!(!answer.may_have_arrived, "{code} {expected:?}");
        }
        let login = &[("location", "/login")][..];
        assert_eq!(seen(302, login, expected).unwrap().error, edge(302));
    }
}

/// On a route that latchkey does not know, the home can send pages, redirects and rejections.
#[test]
fn unknown_route_accepts_any_response_as_the_homes() {
    for (code, headers) in [
        (200, PAGE),
        (404, PAGE),
        (500, PAGE),
        (403, PLAIN),
        (403, JSON),
        (503, PLAIN),
        (429, JSON),
        (303, &[("location", "/api/other")]),
    ] {
        assert_eq!(seen(code, headers, Expected::Anything), None, "{code}");
    }
}

#[test]
fn plain_403_means_banned() {
    for expected in [
        Expected::Proof,
        Expected::Upgrade,
        Expected::Json,
        Expected::File,
    ] {
        for headers in [PLAIN, &[]] {
            let answer = seen(403, headers, expected).unwrap();
            assert_eq!(answer.error, HomeError::Banned, "{expected:?}");
            assert!(!answer.may_have_arrived);
        }
    }
    assert_eq!(seen(403, JSON, Expected::Json).unwrap().error, edge(403));
}

#[test]
fn error_status_with_an_open_session_comes_from_the_home() {
    for expected in [Expected::Json, Expected::File, Expected::Anything] {
        for code in [400, 401, 404, 405, 500] {
            assert_eq!(seen(code, PLAIN, expected), None, "{code} {expected:?}");
            assert_eq!(seen(code, JSON, expected), None, "{code} {expected:?}");
        }
        assert_eq!(seen(200, JSON, expected), None);
        assert_eq!(seen(304, &[], expected), None);
    }
    // A camera that is off sends 503.
    assert_eq!(seen(503, PLAIN, Expected::File), None);
}

#[test]
fn plain_503_with_an_open_session_may_have_arrived() {
    for headers in [PLAIN, PAGE, &[]] {
        let answer = seen(503, headers, Expected::Json).unwrap();
        assert!(answer.may_have_arrived, "{headers:?}");
        assert!(!answer.error.is_transient(), "{headers:?}");
    }
    for expected in [Expected::Proof, Expected::Upgrade] {
        let answer = seen(503, PLAIN, expected).unwrap();
        assert_eq!(answer.error, HomeError::Starting);
    }
}

#[test]
fn gateway_error_means_the_request_may_have_arrived() {
    for code in [502, 504, 520, 522, 524] {
        for headers in [PLAIN, JSON, PAGE] {
            for expected in [Expected::Proof, Expected::Upgrade, Expected::Json] {
                let answer = seen(code, headers, expected).unwrap();
                assert!(answer.may_have_arrived, "{code} {expected:?}");
                assert_ne!(answer.error, HomeError::Rejected);
            }
        }
    }
    for code in [500, 503, 507] {
        let page = seen(code, PAGE, Expected::Json).unwrap();
        assert!(page.may_have_arrived, "{code}");
    }
    for code in [408, 460, 499, 561] {
        let strange = seen(code, PLAIN, Expected::Json).unwrap();
        assert_eq!(strange.error, edge(code));
        assert!(strange.may_have_arrived, "{code}");
    }
    let text = seen(200, PLAIN, Expected::Json).unwrap();
    assert!(text.may_have_arrived);
    assert!(matches!(text.error, HomeError::NotHomeAssistant { .. }));
}

#[test]
fn edge_blocked_error_tells_if_the_address_has_a_path() {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, "text/html".parse().unwrap());
    let target = target("https://ha.example/lovelace/0");
    let answer = answerer(StatusCode::OK, &headers, Expected::Proof, &target);
    let answer = foreign(answer).unwrap();
    assert_eq!(
        answer.error,
        HomeError::EdgeBlocked {
            status: 200,
            has_path: true
        }
    );
}
