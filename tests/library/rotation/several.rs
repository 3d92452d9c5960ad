//! A test of one event that rotates several homes. A failure in one home does not affect another home.

use std::sync::Arc;

use latchkey::base::clock::ManualClock;
use latchkey_dev::home::SimulatedHome;
use latchkey_dev::stack::AwsEmulator;
use serde_json::{Value, json};
use testkit::{Sandbox, home, problem, stopped_clock};

use super::{DRAINED, RESUME, ROTATE, TABLE};

fn token_parameter(name: &str) -> String {
    format!("/latchkey/homes/{name}/token")
}

/// Stores a home with its own token and returns the token.
async fn store(aws: &AwsEmulator, name: &str, home: &SimulatedHome) -> String {
    let token = home.mint_token("made by hand");
    let url = format!("/latchkey/homes/{name}/url");
    aws.put_parameter(&url, &home.url()).await.unwrap();
    aws.put_token(&token_parameter(name), &token).await.unwrap();
    token
}

async fn sandbox(aws: &AwsEmulator, clock: Arc<ManualClock>) -> Sandbox {
    let variables = [
        ("HOMES_PARAMETER_PREFIX", "/latchkey/homes"),
        ("TABLE_NAME", TABLE),
        ("HA_VALIDATE_TIMEOUT_MS", "700"),
        ("HA_CONNECT_TIMEOUT_MS", "700"),
        ("HA_COMMAND_TIMEOUT_MS", "700"),
    ];
    Sandbox::builder()
        .aws(aws)
        .local()
        .envs(variables)
        .clock(clock)
        .any_seed()
        .start()
        .await
}

/// Returns the entry of one home in a response.
fn entry_of<'a>(answer: &'a Value, name: &str) -> &'a Value {
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let homes = answer["homes"].as_array().unwrap();
    assert_eq!(homes.len(), 3, "{answer}");
    homes.iter().find(|home| home["home"] == name).unwrap()
}

#[tokio::test]
async fn one_event_rotates_every_reachable_home() {
    let cabin = home().await;
    let mut down = home().await;
    let house = home().await;
    let aws = AwsEmulator::start().await.unwrap();
    aws.create_table(TABLE).await.unwrap();
    let homes = [("cabin", &cabin), ("house", &house)];
    store(&aws, "down", &down).await;
    for (name, home) in homes {
        store(&aws, name, home).await;
    }
    down.stop().await;
    let clock = stopped_clock();
    let app = sandbox(&aws, clock.clone()).await;

    let answer = app.handle(ROTATE).await;
    for (name, home) in homes {
        assert_eq!(
            entry_of(&answer, name)["rotation"]["state"],
            "draining",
            "{answer}"
        );
        assert!(entry_of(&answer, name).get("problem").is_none());
        let history = aws.history(&token_parameter(name)).await.unwrap();
        assert_eq!(history.len(), 2);
        // Each parameter holds tokens of its own home.
        assert!(history.iter().all(|version| home.accepts(&version.value)));
    }
    let problem_of_down = &entry_of(&answer, "down")["problem"];
    assert_eq!(problem(problem_of_down), "home-unreachable", "{answer}");
    assert_eq!(
        aws.history(&token_parameter("down")).await.unwrap().len(),
        1
    );

    clock.advance(DRAINED);
    let answer = app.handle(RESUME).await;
    for (name, home) in homes {
        assert_eq!(
            entry_of(&answer, name)["rotation"]["state"],
            "rotated",
            "{answer}"
        );
        let stored = aws.history(&token_parameter(name)).await.unwrap();
        let tokens: Vec<_> = home
            .tokens()
            .into_iter()
            .map(|it| it.access_token)
            .collect();
        assert_eq!(tokens, [stored[1].value.clone()]);
        assert_eq!(home.counters().failed_logins, 0);
    }

    // After its restart, the third home is rotated alone.
    down.restart().await.unwrap();
    let only = json!({ "source": "rotate-token", "home": "down" }).to_string();
    let clock = stopped_clock();
    let app = sandbox(&aws, clock.clone()).await;
    let answer = app.handle(&only).await;
    assert_eq!(answer["rotation"]["state"], "draining", "{answer}");
    assert_eq!(
        aws.history(&token_parameter("down")).await.unwrap().len(),
        2
    );
    for (name, _) in homes {
        assert_eq!(aws.history(&token_parameter(name)).await.unwrap().len(), 2);
    }
}
