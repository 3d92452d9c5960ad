//! The stack: moto, and the error for a missing function.

use std::time::Duration;

use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use aws_sdk_ssm::error::ProvideErrorMetadata;
use latchkey_dev::stack::{AwsEmulator, Error, Fault, Function, FunctionOptions};

const TOKEN: &str = "/homeautomation/tokens/home-assistant";
const GET: &str = "ssm:GetParameter";

async fn get(client: &aws_sdk_ssm::Client) -> Result<String, String> {
    let sent = client
        .get_parameter()
        .name(TOKEN)
        .with_decryption(true)
        .send()
        .await;
    match sent {
        Ok(output) => Ok(output.parameter.and_then(|it| it.value).unwrap_or_default()),
        Err(error) => Err(format!(
            "{}: {}",
            error.code().unwrap_or_default(),
            error.message().unwrap_or_default()
        )),
    }
}

/// Returns a client without retries.
fn ssm(aws: &AwsEmulator) -> aws_sdk_ssm::Client {
    let once = aws_sdk_ssm::config::retry::RetryConfig::disabled();
    aws_sdk_ssm::Client::new(&aws.sdk_config().to_builder().retry_config(once).build())
}

#[tokio::test]
async fn token_is_encrypted_and_its_reads_are_counted() {
    let aws = AwsEmulator::start().await.unwrap();
    assert_eq!(aws.put_token(TOKEN, "first").await.unwrap(), 1);
    assert_eq!(aws.put_token(TOKEN, "second").await.unwrap(), 2);
    assert_eq!(aws.calls_of(GET).await.unwrap(), 0);
    let client = ssm(&aws);
    assert_eq!(get(&client).await.as_deref(), Ok("second"));
    let sealed = client.get_parameter().name(TOKEN).send().await.unwrap();
    assert_ne!(sealed.parameter.unwrap().value.as_deref(), Some("second"));
    assert_eq!(aws.calls_of(GET).await.unwrap(), 2);
    aws.forget_calls().await.unwrap();
    assert!(aws.calls().await.unwrap().is_empty());
    aws.stop().await;
}

#[tokio::test]
async fn faults_take_effect_in_order() {
    let aws = AwsEmulator::start().await.unwrap();
    aws.put_token(TOKEN, "good").await.unwrap();
    for fault in [
        Fault::new(GET, "ThrottlingException").times(2),
        Fault::new(GET, "KMSAccessDenied").times(1),
        Fault::new(GET, "InvalidKeyId").message("disabled").times(1),
        Fault::new(GET, "500").times(1),
    ] {
        aws.inject(&fault).await.unwrap();
    }
    let client = ssm(&aws);
    let mut said = Vec::new();
    for _ in 0..5 {
        said.push(get(&client).await.unwrap_err());
    }
    assert!(
        said[..2]
            .iter()
            .all(|error| error.starts_with("ThrottlingException: "))
    );
    assert!(said[2].starts_with("AccessDeniedException: The ciphertext refers to"));
    assert_eq!(said[3], "InvalidKeyId: disabled");
    assert!(said[4].starts_with("InternalServerError: "));
    assert_eq!(get(&client).await.as_deref(), Ok("good"));
    aws.stop().await;
}

#[tokio::test]
async fn clear_faults_ends_a_hanging_call() {
    let aws = AwsEmulator::start().await.unwrap();
    aws.put_token(TOKEN, "good").await.unwrap();
    aws.inject(&Fault::new(GET, "hang")).await.unwrap();
    let client = ssm(&aws);
    let hanging = tokio::spawn(async move { get(&client).await });
    while aws.calls_of(GET).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!hanging.is_finished());
    aws.clear_faults().await.unwrap();
    assert!(
        hanging
            .await
            .unwrap()
            .unwrap_err()
            .starts_with("InternalServerError")
    );
    assert_eq!(get(&ssm(&aws)).await.as_deref(), Ok("good"));
    aws.stop().await;
}

#[tokio::test]
async fn metrics_have_the_values_that_were_put() {
    let aws = AwsEmulator::start().await.unwrap();
    let client = aws_sdk_cloudwatch::Client::new(aws.sdk_config());
    let datum = |name: &str, value: f64| {
        MetricDatum::builder()
            .metric_name(name)
            .value(value)
            .unit(StandardUnit::Count)
            .timestamp(std::time::SystemTime::now().into())
    };
    let home = Dimension::builder().name("Home").value("cabin").build();
    // There are enough data points that the SDK compresses the request.
    let crowd = (0..400).map(|_| datum("Crowd", 1.0));
    let data = [datum("TokenValid", 1.0), datum("TokenValid", 0.0)]
        .into_iter()
        .chain([datum("TokenValid", 1.0).dimensions(home)])
        .chain(crowd)
        .map(|datum| datum.build())
        .collect();
    client
        .put_metric_data()
        .namespace("Test")
        .set_metric_data(Some(data))
        .send()
        .await
        .unwrap();
    let metrics = aws.metrics("Test").await.unwrap();
    let [crowd, plain, of_home] = metrics.as_slice() else {
        panic!("{metrics:?}")
    };
    assert_eq!(
        (crowd.name.as_str(), crowd.sum(), crowd.samples()),
        ("Crowd", 400.0, 400.0)
    );
    assert_eq!((plain.name.as_str(), plain.samples()), ("TokenValid", 2.0));
    assert_eq!(
        (plain.sum(), plain.minimum(), plain.maximum()),
        (1.0, 0.0, 1.0)
    );
    assert_eq!(
        (of_home.dimensions["Home"].as_str(), of_home.sum()),
        ("cabin", 1.0)
    );
    assert_eq!(aws.calls_of("cloudwatch:PutMetricData").await.unwrap(), 1);
    let none = aws.metrics_until("Other", Duration::ZERO, |metrics| !metrics.is_empty());
    assert!(matches!(none.await, Err(Error::Timeout { .. })));
    aws.stop().await;
}

#[tokio::test]
async fn missing_function_error_names_its_path() {
    let missing = Function::start(FunctionOptions::new("/nowhere/bootstrap")).await;
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("/nowhere/bootstrap")
    );
}
