//! API Gateway's management API for WebSocket connections.

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::config::Builder;
use aws_sdk_apigatewaymanagement::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_apigatewaymanagement::primitives::Blob;
use futures_util::future::BoxFuture;

use super::{Gateway, PostError, SdkSettings};
use crate::base::lock::Lock;
use crate::service::connections::connection::Address;

/// Posts frames through API Gateway.
pub struct ApiGateway {
    settings: SdkSettings,
    /// The client of the last endpoint. A function usually serves one API.
    client: Lock<Option<(String, Client)>>,
}

/// The rules by which the management API of an event's connection is found.
#[derive(Clone, Debug)]
struct Endpoints {
    /// The URL of a local cloud, if the SDK uses one.
    local: Option<String>,
    /// The region of the function.
    region: Option<String>,
}

impl Endpoints {
    /// Creates the rules from the settings of the SDK.
    fn of(config: &SdkConfig) -> Self {
        Self {
            local: config.endpoint_url().map(str::to_owned),
            region: config.region().map(ToString::to_string),
        }
    }

    fn find(&self, domain: &str, api: &str, stage: &str) -> String {
        // A gateway on loopback names its port. AWS never does.
        if domain.contains(':') {
            return format!("http://{domain}/{stage}");
        }
        if let Some(local) = &self.local {
            let local = local.trim_end_matches('/');
            return format!("{local}/_aws/execute-api/{api}/{stage}");
        }
        match &self.region {
            // Below a custom domain, the path depends on a mapping that the event does not show.
            Some(region) if !domain.contains(".execute-api.") => {
                let suffix = match region.starts_with("cn-") {
                    true => "amazonaws.com.cn",
                    false => "amazonaws.com",
                };
                format!("https://{api}.execute-api.{region}.{suffix}/{stage}")
            }
            _ => format!("https://{domain}/{stage}"),
        }
    }
}

impl ApiGateway {
    /// Creates an adapter with these settings. It makes its client at the first use.
    pub fn new(settings: SdkSettings) -> Self {
        Self {
            settings,
            client: Lock::new(None),
        }
    }

    async fn client(&self, endpoint: &str) -> Client {
        if let Some((url, client)) = &*self.client.lock()
            && url == endpoint
        {
            return client.clone();
        }
        let config = Builder::from(&(self.settings)().await)
            .endpoint_url(endpoint)
            // The SDK would post a frame again after a lost response, and the client would get it twice.
            .retry_config(RetryConfig::disabled())
            .build();
        let client = Client::from_conf(config);
        *self.client.lock() = Some((endpoint.to_owned(), client.clone()));
        client
    }
}

impl Gateway for ApiGateway {
    fn endpoint<'a>(
        &'a self,
        domain: &'a str,
        api: &'a str,
        stage: &'a str,
    ) -> BoxFuture<'a, String> {
        Box::pin(async move {
            let endpoints = Endpoints::of(&(self.settings)().await);
            endpoints.find(domain, api, stage)
        })
    }

    fn post<'a>(&'a self, to: &'a Address, frame: String) -> BoxFuture<'a, Result<(), PostError>> {
        Box::pin(async move {
            let request = self
                .client(&to.endpoint)
                .await
                .post_to_connection()
                .connection_id(&to.id.0)
                .data(Blob::new(frame));
            match request.send().await {
                Ok(_) => Ok(()),
                Err(error) => Err(post_error(&error)),
            }
        })
    }

    fn is_open<'a>(&'a self, connection: &'a Address) -> BoxFuture<'a, Result<bool, PostError>> {
        Box::pin(async move {
            let request = self
                .client(&connection.endpoint)
                .await
                .get_connection()
                .connection_id(&connection.id.0);
            match request.send().await.map_err(|error| post_error(&error)) {
                Ok(_) => Ok(true),
                Err(PostError::Gone) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    fn close<'a>(&'a self, connection: &'a Address) -> BoxFuture<'a, Result<(), PostError>> {
        Box::pin(async move {
            let request = self
                .client(&connection.endpoint)
                .await
                .delete_connection()
                .connection_id(&connection.id.0);
            match request.send().await.map_err(|error| post_error(&error)) {
                Ok(_) | Err(PostError::Gone) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }
}

/// Returns the error of a request. All requests of the management API have the same errors.
fn post_error<E: ProvideErrorMetadata>(error: &SdkError<E>) -> PostError {
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    match (error.code(), status) {
        (Some("GoneException"), _) | (_, Some(410)) => PostError::Gone,
        (
            Some("LimitExceededException" | "ThrottlingException" | "TooManyRequestsException"),
            _,
        )
        | (_, Some(429)) => PostError::Throttled,
        (Some(code), _) => PostError::Failed(code.to_owned()),
        (None, Some(status)) => PostError::Failed(format!("status {status}")),
        (None, None) => PostError::Failed("no answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(local: Option<&str>, region: &str, domain: &str) -> String {
        let endpoints = Endpoints {
            local: local.map(str::to_owned),
            region: Some(region.to_owned()),
        };
        endpoints.find(domain, "abc", "prod")
    }

    #[test]
    fn endpoint_follows_the_kind_of_cloud() {
        let host = "abc.execute-api.eu-central-1.amazonaws.com";
        for (local, region, domain, expected) in [
            (None, "eu-central-1", host, format!("https://{host}/prod")),
            (
                None,
                "eu-central-1",
                "home.example",
                format!("https://{host}/prod"),
            ),
            (
                None,
                "cn-north-1",
                "home.example",
                "https://abc.execute-api.cn-north-1.amazonaws.com.cn/prod".to_owned(),
            ),
            (
                Some("http://127.0.0.1:4566/"),
                "us-east-1",
                "abc.execute-api.localhost",
                "http://127.0.0.1:4566/_aws/execute-api/abc/prod".to_owned(),
            ),
            (
                Some("http://127.0.0.1:4566"),
                "us-east-1",
                "127.0.0.1:9000",
                "http://127.0.0.1:9000/prod".to_owned(),
            ),
        ] {
            assert_eq!(found(local, region, domain), expected, "{domain}");
        }
    }
}
