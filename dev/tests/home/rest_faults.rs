//! Every connection fault and every REST fault, as a client observes it.

use std::time::Duration;

use latchkey_dev::home::{ConnectionFault, Fault, RestFault, SimulatedHome};
use serde_json::Value;

use crate::client::{http, log_in, start};

/// The time limit for a response on loopback. Only faults without a response reach it.
const RESPONSE_WITHIN: Duration = Duration::from_secs(4);

#[derive(Debug, PartialEq)]
enum Answer {
    Json(u16, Value),
    Text(u16, String),
    Failed,
    Nothing,
}

async fn ask(home: &SimulatedHome, token: &str) -> Answer {
    let answer = async {
        let request = http().get(format!("{}/api/config", home.url()));
        let response = request.bearer_auth(token).send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok::<_, reqwest::Error>(match serde_json::from_str(&text) {
            Ok(value) => Answer::Json(status, value),
            Err(_) => Answer::Text(status, text),
        })
    };
    match tokio::time::timeout(RESPONSE_WITHIN, answer).await {
        Ok(answer) => answer.unwrap_or(Answer::Failed),
        Err(_) => Answer::Nothing,
    }
}

/// Returns true if the fault causes this answer.
fn is_expected(fault: &Fault, answer: &Answer) -> bool {
    match fault {
        Fault::Connection(ConnectionFault::Hang) => *answer == Answer::Nothing,
        Fault::Connection(_) => *answer == Answer::Failed,
        Fault::Rest(fault) => match fault {
            RestFault::Hang | RestFault::HalfOpen | RestFault::SlowBody(_) => {
                *answer == Answer::Nothing
            }
            RestFault::Close | RestFault::Reset | RestFault::CutBody => *answer == Answer::Failed,
            RestFault::EndlessHeaders => matches!(answer, Answer::Failed | Answer::Nothing),
            RestFault::Status(code) => {
                matches!(answer, Answer::Text(got, text) if got == code && text.starts_with(&code.to_string()))
            }
            RestFault::Redirect => matches!(answer, Answer::Text(302, _)),
            RestFault::Html => matches!(answer, Answer::Text(200, text) if text.contains("<html>")),
            RestFault::Challenge => matches!(answer, Answer::Text(401, _)),
            RestFault::Text | RestFault::NotJson => matches!(answer, Answer::Text(200, _)),
            RestFault::EmptyJson | RestFault::NoVersion => {
                matches!(answer, Answer::Json(200, body) if body.get("version").is_none())
            }
            RestFault::JsonArray => matches!(answer, Answer::Json(200, Value::Array(_))),
            RestFault::HugeBody(bytes) => {
                matches!(answer, Answer::Json(200, body) if body["filler"].as_str().unwrap().len() >= *bytes)
            }
        },
        Fault::Socket(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_has_its_effect_and_is_not_a_failed_login() {
    let connection = ConnectionFault::all().into_iter().map(Fault::from);
    let rest = RestFault::all().into_iter().map(|fault| match fault {
        // The default size is for clients with a size limit. This client has no limit.
        RestFault::HugeBody(_) => RestFault::HugeBody(1 << 20),
        fault => fault,
    });
    let faults = connection.chain(rest.map(Fault::from));
    let trials = faults.map(|fault| async move {
        let home = start().await;
        let token = home.mint_token("test");
        home.set_fault(fault.clone());
        let answer = ask(&home, &token).await;
        assert!(is_expected(&fault, &answer), "{fault:?}: {answer:?}");
        let counters = home.counters();
        assert!(counters.faults_hit > 0, "{fault:?}");
        assert_eq!(counters.failed_logins, 0, "{fault:?}");

        home.clear_faults();
        assert!(matches!(ask(&home, &token).await, Answer::Json(200, _)));
    });
    futures_util::future::join_all(trials).await;
}

#[tokio::test]
async fn set_fault_times_limits_the_number_of_effects() {
    let home = start().await;
    let token = home.mint_token("test");
    home.set_fault_times(RestFault::Status(503), 2);
    // A REST fault does not affect WebSockets.
    log_in(&home, &token).await;
    for _ in 0..2 {
        assert!(matches!(ask(&home, &token).await, Answer::Text(503, _)));
    }
    assert!(matches!(ask(&home, &token).await, Answer::Json(200, _)));
    assert_eq!(home.counters().faults_hit, 2);
}
