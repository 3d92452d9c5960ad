//! The AWS emulator: conditional writes, versions of parameters, and faults of single calls.
#![expect(clippy::unwrap_used, reason = "a failed call must fail the test")]

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use aws_sdk_ssm::types::ParameterType;
use futures_util::future::join_all;
use latchkey_dev::stack::{AwsEmulator, Error, Fault};
use serde_json::json;

const TABLE: &str = "latchkey";
const TOKEN: &str = "/homeautomation/tokens/home-assistant";
const PUT: &str = "ssm:PutParameter";
const ANY_TIME: Duration = Duration::from_secs(60);
const RIVALS: usize = 32;

/// Returns a client without retries.
fn ssm(aws: &AwsEmulator) -> aws_sdk_ssm::Client {
    let once = aws_sdk_ssm::config::retry::RetryConfig::disabled();
    aws_sdk_ssm::Client::new(&aws.sdk_config().to_builder().retry_config(once).build())
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

async fn table() -> (AwsEmulator, aws_sdk_dynamodb::Client) {
    let aws = AwsEmulator::start().await.unwrap();
    aws.create_table(TABLE).await.unwrap();
    let client = aws_sdk_dynamodb::Client::new(aws.sdk_config());
    (aws, client)
}

/// Creates an item that must not exist.
async fn claim(
    client: &aws_sdk_dynamodb::Client,
    key: &str,
    owner: usize,
) -> Result<(), SdkError<PutItemError>> {
    let put = client
        .put_item()
        .table_name(TABLE)
        .item("pk", text(key))
        .item("sk", text("-"))
        .item("owner", AttributeValue::N(owner.to_string()))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    put.send().await.map(drop)
}

/// Changes the owner of an item, which must be `from`.
async fn succeed(
    client: &aws_sdk_dynamodb::Client,
    key: &str,
    from: usize,
    to: usize,
) -> Result<(), SdkError<UpdateItemError>> {
    let update = client
        .update_item()
        .table_name(TABLE)
        .key("pk", text(key))
        .key("sk", text("-"))
        .update_expression("SET #owner = :to")
        .condition_expression("#owner = :from")
        .expression_attribute_names("#owner", "owner")
        .expression_attribute_values(":from", AttributeValue::N(from.to_string()))
        .expression_attribute_values(":to", AttributeValue::N(to.to_string()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    update.send().await.map(drop)
}

/// Returns the owner of the item that made a condition fail.
fn owner(item: Option<&HashMap<String, AttributeValue>>) -> usize {
    item.unwrap()["owner"].as_n().unwrap().parse().unwrap()
}

#[tokio::test]
async fn exactly_one_concurrent_conditional_write_succeeds() {
    let (aws, client) = table().await;
    for key in ["LOCK#a", "LOCK#b", "LOCK#c", "LOCK#d"] {
        let claims = join_all((1..=RIVALS).map(|rival| claim(&client, key, rival))).await;
        let won = claims.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "put {key}");
        let winner = 1 + claims.iter().position(Result::is_ok).unwrap();
        for refused in claims.into_iter().filter_map(Result::err) {
            match refused.into_service_error() {
                PutItemError::ConditionalCheckFailedException(refused) => {
                    assert_eq!(owner(refused.item()), winner);
                }
                other => panic!("{other:?}"),
            }
        }
        let heirs = (1..=RIVALS).map(|rival| succeed(&client, key, winner, 100 + rival));
        let heirs = join_all(heirs).await;
        let won = heirs.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "update {key}");
        let heir = 101 + heirs.iter().position(Result::is_ok).unwrap();
        for refused in heirs.into_iter().filter_map(Result::err) {
            match refused.into_service_error() {
                UpdateItemError::ConditionalCheckFailedException(refused) => {
                    assert_eq!(owner(refused.item()), heir);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    // An update of a missing item fails without an item.
    let nothing = succeed(&client, "LOCK#e", 1, 2).await.unwrap_err();
    match nothing.into_service_error() {
        UpdateItemError::ConditionalCheckFailedException(refused) => {
            assert_eq!(refused.item(), None);
        }
        other => panic!("{other:?}"),
    }
    aws.stop().await;
}

#[tokio::test]
async fn table_has_its_items_and_its_time_to_live() {
    let (aws, client) = table().await;
    for (key, number) in [("b", "1.5"), ("a", "1700000000")] {
        client
            .put_item()
            .table_name(TABLE)
            .item("pk", text(key))
            .item("sk", text("s"))
            .item("expires_at", AttributeValue::N(number.to_owned()))
            .item("list", AttributeValue::L(vec![AttributeValue::Bool(true)]))
            .item("none", AttributeValue::Null(true))
            .send()
            .await
            .unwrap();
    }
    let items = aws.items(TABLE).await.unwrap();
    let item = |key, number| json!({"pk": key, "sk": "s", "expires_at": number, "list": [true], "none": null});
    assert_eq!(
        json!(items),
        json!([item("a", json!(1_700_000_000)), item("b", json!(1.5))])
    );
    let expiry = client
        .describe_time_to_live()
        .table_name(TABLE)
        .send()
        .await;
    let expiry = expiry.unwrap().time_to_live_description.unwrap();
    assert_eq!(expiry.attribute_name(), Some("expires_at"));
    assert!(aws.items("other").await.is_err());
    aws.stop().await;
}

#[tokio::test]
async fn hanging_write_does_not_block_other_writes() {
    let (aws, client) = table().await;
    let action = "dynamodb:PutItem";
    let fault = Fault::new(action, "hang").after().containing("LOCK#a");
    aws.inject(&fault).await.unwrap();
    let hanging = tokio::spawn({
        let client = client.clone();
        async move { claim(&client, "LOCK#a", 1).await }
    });
    aws.until_hanging(action, ANY_TIME).await.unwrap();
    // The hanging write has taken effect, and another write succeeds.
    claim(&client, "LOCK#b", 2).await.unwrap();
    let items = aws.items(TABLE).await.unwrap();
    let owners: Vec<_> = items.iter().map(|item| &item["owner"]).collect();
    assert_eq!(owners, [1, 2]);
    assert!(!hanging.is_finished());
    // Each hanging call ends only one wait.
    let again = aws.until_hanging(action, Duration::from_millis(1)).await;
    assert!(matches!(again, Err(Error::Timeout { .. })));
    hanging.abort();
    aws.stop().await;
}

async fn put(client: &aws_sdk_ssm::Client, name: &str, value: &str) -> Result<i64, String> {
    let put = client
        .put_parameter()
        .name(name)
        .value(value)
        .r#type(ParameterType::SecureString)
        .overwrite(true);
    match put.send().await {
        Ok(output) => Ok(output.version()),
        Err(error) => Err(error.code().unwrap_or_default().to_owned()),
    }
}

#[tokio::test]
async fn fault_affects_only_matching_calls() {
    let aws = AwsEmulator::start().await.unwrap();
    let client = ssm(&aws);
    let aimed = Fault::new(PUT, "InternalServerError")
        .containing("/other")
        .skip(1)
        .times(1);
    aws.inject(&aimed).await.unwrap();
    let late = Fault::new(PUT, "ThrottlingException").after().times(1);
    aws.inject(&late).await.unwrap();
    // Only the second fault matches this call, so the first fault does not count it.
    assert_eq!(
        put(&client, TOKEN, "a").await.unwrap_err(),
        "ThrottlingException"
    );
    assert_eq!(put(&client, TOKEN, "b").await, Ok(2));
    assert_eq!(put(&client, "/other", "c").await, Ok(1));
    assert_eq!(
        put(&client, "/other", "d").await.unwrap_err(),
        "InternalServerError"
    );
    assert_eq!(put(&client, "/other", "e").await, Ok(2));
    let values = |history: Vec<latchkey_dev::stack::StoredVersion>| {
        history.into_iter().map(|it| it.value).collect::<Vec<_>>()
    };
    // A call that failed after its effect has stored a version. A call that failed before has not.
    assert_eq!(values(aws.history(TOKEN).await.unwrap()), ["a", "b"]);
    assert_eq!(values(aws.history("/other").await.unwrap()), ["c", "e"]);
    aws.stop().await;
}

#[tokio::test]
async fn history_has_each_version_with_its_key() {
    let aws = AwsEmulator::start().await.unwrap();
    let start = SystemTime::now() - Duration::from_secs(1);
    assert_eq!(
        aws.put_secure(TOKEN, "a", Some("alias/own")).await.unwrap(),
        1
    );
    assert_eq!(aws.put_secure(TOKEN, "b", None).await.unwrap(), 2);
    assert_eq!(aws.put_parameter("/plain", "text").await.unwrap(), 1);
    let client = ssm(&aws);
    let label = client
        .label_parameter_version()
        .name(TOKEN)
        .labels("pending");
    label.parameter_version(1).send().await.unwrap();

    let history = aws.history(TOKEN).await.unwrap();
    let seen: Vec<_> = history
        .iter()
        .map(|it| {
            (
                it.version,
                it.value.as_str(),
                it.key_id.as_deref().unwrap(),
                it.labels.len(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [(1, "a", "alias/own", 1), (2, "b", "alias/aws/ssm", 0)]
    );
    assert!(history.iter().all(|it| it.modified >= start));
    assert_eq!(history[0].labels, ["pending"]);
    assert_eq!(aws.history("/plain").await.unwrap()[0].key_id, None);

    for (selector, value) in [("", "b"), (":1", "a"), (":2", "b"), (":pending", "a")] {
        let read = client.get_parameter().name(format!("{TOKEN}{selector}"));
        let read = read.with_decryption(true).send().await.unwrap();
        let read = read.parameter.unwrap();
        assert_eq!(read.value.as_deref(), Some(value), "{selector}");
        assert_eq!(read.version, if value == "a" { 1 } else { 2 });
        assert!(read.arn.unwrap().ends_with(&format!(":parameter{TOKEN}")));
        assert!(SystemTime::try_from(read.last_modified_date.unwrap()).unwrap() >= start);
    }
    let missing = client
        .get_parameter()
        .name(format!("{TOKEN}:3"))
        .send()
        .await;
    assert_eq!(
        missing.unwrap_err().code(),
        Some("ParameterVersionNotFound")
    );
    let both = client.get_parameters().names(TOKEN).names("/nowhere");
    let both = both.names(format!("{TOKEN}:9")).send().await.unwrap();
    assert_eq!(both.parameters().len(), 1);
    assert_eq!(
        both.invalid_parameters(),
        ["/nowhere", &format!("{TOKEN}:9")]
    );

    let day = Duration::from_secs(24 * 60 * 60);
    aws.date_versions_back(day).await.unwrap();
    aws.put_token(TOKEN, "old").await.unwrap();
    let history = aws.history(TOKEN).await.unwrap();
    assert!(history[1].modified >= start);
    assert!(history[2].modified <= SystemTime::now() - day);
    aws.date_versions_back(Duration::ZERO).await.unwrap();

    aws.delete_parameter(TOKEN).await.unwrap();
    assert!(aws.history(TOKEN).await.is_err());
    assert!(aws.delete_parameter(TOKEN).await.is_err());
    assert_eq!(aws.put_token(TOKEN, "c").await.unwrap(), 1);
    aws.stop().await;
}

#[tokio::test]
async fn long_lists_have_pages() {
    let aws = AwsEmulator::start().await.unwrap();
    let client = ssm(&aws);
    // Each concurrent write gets its own version.
    let puts = join_all((0..60).map(|_| put(&client, TOKEN, "value"))).await;
    let mut versions: Vec<_> = puts.into_iter().map(Result::unwrap).collect();
    versions.sort_unstable();
    let all: Vec<i64> = (1..=60).collect();
    assert_eq!(versions, all);
    let history = aws.history(TOKEN).await.unwrap();
    assert_eq!(history.iter().map(|it| it.version).collect::<Vec<_>>(), all);
    assert_eq!(aws.calls_of("ssm:GetParameterHistory").await.unwrap(), 2);
    let page = client.get_parameter_history().name(TOKEN).max_results(7);
    let page = page.send().await.unwrap();
    assert_eq!(
        (page.parameters().len(), page.next_token().is_some()),
        (7, true)
    );
    let greedy = client.get_parameter_history().name(TOKEN).max_results(51);
    assert_eq!(
        greedy.send().await.unwrap_err().code(),
        Some("ValidationException")
    );

    for home in 0..6 {
        for leaf in ["url", "token"] {
            let name = format!("/homes/{home}/{leaf}");
            aws.put_secure(&name, "value", None).await.unwrap();
        }
    }
    let by_path = |recursive: bool| {
        let request = client
            .get_parameters_by_path()
            .path("/homes")
            .recursive(recursive);
        request.with_decryption(true).into_paginator().send()
    };
    let mut pages = by_path(true);
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.unwrap().parameters().len());
    }
    assert_eq!(sizes, [10, 2]);
    let level = by_path(false).next().await.unwrap().unwrap();
    assert!(level.parameters().is_empty());
    aws.stop().await;
}
