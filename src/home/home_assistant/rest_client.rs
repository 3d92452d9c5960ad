//! A client for Home Assistant's REST API. The client sends the home's token in place of the caller's token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use http::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE};
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::answerer::{Answerer, Expected, ForeignAnswer, answerer};
use super::error::{HomeError, Stage};
use super::http_connection::{HttpRequest, SendError, bearer, request};
use super::http_pool::{HttpBody, HttpPool};
use super::target::Target;
use super::transport::Transport;
use crate::base::clock::Limit;
use crate::base::secret::AccessToken;

/// The caller's headers that are forwarded to the home. The other headers concern the caller, the connection or
/// latchkey.
const PASSED_ON: [HeaderName; 6] = [
    ACCEPT,
    ACCEPT_LANGUAGE,
    CONTENT_TYPE,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    RANGE,
];

/// A request to the home's REST API.
#[derive(Clone, Debug)]
pub struct RestCall {
    /// The method.
    pub method: Method,
    /// The path below the home's prefix, for example `/api/states`.
    pub path: String,
    /// The encoded query; empty if the request has none.
    pub query: String,
    /// The caller's headers. Only some of them are forwarded.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// True if the request is read-only, so that it may safely be executed twice.
    pub only_reads: bool,
    /// The kind of response that the home is expected to send.
    pub expected: Expected,
}

/// The home's response, unchanged.
#[derive(Debug)]
pub struct RestAnswer {
    /// The status.
    pub status: StatusCode,
    /// All headers of the response. The receiver decides which headers the caller gets.
    pub headers: HeaderMap,
    /// The body.
    pub body: RestBody,
}

/// A response body that is still being received.
#[derive(Debug)]
pub struct RestBody {
    body: HttpBody,
    /// The longest pause between two parts of the body.
    silence: Duration,
    max_bytes: usize,
    may_have_acted: bool,
}

/// The error of a response body that was cut off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the home's response was cut off: {error}")]
pub struct BrokenAnswer {
    /// The cause.
    pub error: HomeError,
    /// True if the request may have changed something, so the outcome is unknown.
    pub may_have_acted: bool,
}

/// The outcome of a request that was sent.
#[derive(Debug)]
pub enum RestOutcome {
    /// The home responded.
    Answered(RestAnswer),
    /// The request may or may not have been executed.
    Unknown(HomeError),
}

impl RestAnswer {
    /// Returns true for a 401: the home rejects the token, or the token's user lacks a permission.
    pub fn is_refusal(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }
}

impl RestBody {
    /// Returns the body's length, if the home sent it.
    pub fn length(&self) -> Option<u64> {
        self.body.length()
    }

    /// Returns true if the request may have changed something. If the body is then cut off, the outcome of the request
    /// is unknown.
    pub fn may_have_acted(&self) -> bool {
        self.may_have_acted
    }

    /// Reads the whole body within `limit`. Fails if the body is larger than the limit for messages of the home.
    pub async fn whole(mut self, limit: Limit) -> Result<Bytes, BrokenAnswer> {
        let may_have_acted = self.may_have_acted;
        let gathered = async {
            let mut whole = BytesMut::new();
            while let Some(part) = self.next().await? {
                if whole.len() + part.len() > self.max_bytes {
                    let limit_bytes = self.max_bytes;
                    return Err(self.broken(HomeError::MessageTooLarge { limit_bytes }));
                }
                whole.extend_from_slice(&part);
            }
            Ok(whole.freeze())
        };
        let gathered = tokio::time::timeout(limit.duration, gathered).await;
        gathered.unwrap_or_else(|_| {
            Err(BrokenAnswer {
                error: HomeError::out_of_time(Stage::Command, limit),
                may_have_acted,
            })
        })
    }

    /// Returns the parts of the body as they arrive.
    pub fn parts(self) -> impl Stream<Item = Result<Bytes, BrokenAnswer>> + Send + 'static {
        stream::try_unfold(self, |mut body| async move {
            let part = body.next().await?;
            Ok(part.map(|part| (part, body)))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BrokenAnswer> {
        let part = tokio::time::timeout(self.silence, self.body.next(Stage::Command)).await;
        match part {
            Ok(part) => part.map_err(|error| self.broken(error)),
            Err(_) => Err(self.broken(HomeError::Timeout {
                stage: Stage::Command,
            })),
        }
    }

    fn broken(&self, error: HomeError) -> BrokenAnswer {
        BrokenAnswer {
            error,
            may_have_acted: self.may_have_acted,
        }
    }
}

/// Forwards requests to one home.
pub(super) struct RestClient<'a> {
    pub(super) target: &'a Target,
    pub(super) transport: &'a Transport,
    pub(super) pool: &'a Arc<HttpPool>,
}

impl RestClient<'_> {
    /// Sends a request. `Err` means that the request was not executed.
    pub(super) async fn send(
        &self,
        token: &AccessToken,
        call: &RestCall,
        limit: Limit,
    ) -> Result<RestOutcome, HomeError> {
        let request = self.request(token, call)?;
        let is_sending = AtomicBool::new(false);
        let asked = self.ask(&request, call, &is_sending);
        let missing = match tokio::time::timeout(limit.duration, asked).await {
            Ok(Ok(answer)) => return Ok(RestOutcome::Answered(answer)),
            Ok(Err(missing)) => missing,
            Err(_) => {
                let error = HomeError::out_of_time(Stage::Command, limit);
                match is_sending.load(Ordering::Relaxed) {
                    true => NoResponse::Lost(error),
                    false => NoResponse::NotSent(error),
                }
            }
        };
        if matches!(missing, NoResponse::Lost(_)) {
            self.pool.clear();
        }
        match missing {
            // A failed read-only request counts as not executed.
            NoResponse::Lost(error) if !call.only_reads => Ok(RestOutcome::Unknown(error)),
            NoResponse::Lost(error) | NoResponse::NotSent(error) => Err(error),
            NoResponse::Foreign(foreign) if foreign.may_have_arrived && !call.only_reads => {
                Ok(RestOutcome::Unknown(foreign.error))
            }
            NoResponse::Foreign(foreign) => Err(foreign.error),
        }
    }

    fn request(&self, token: &AccessToken, call: &RestCall) -> Result<HttpRequest, HomeError> {
        let mut url = self.target.address.rest(&call.path);
        url.set_query(Some(call.query.as_str()).filter(|query| !query.is_empty()));
        let mut headers = HeaderMap::new();
        for name in PASSED_ON {
            if let Some(value) = call.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert(AUTHORIZATION, bearer(token)?);
        let method = call.method.clone();
        request(method, &url, headers, call.body.clone(), self.transport)
    }

    /// Sends a request on a connection that is alive. Sets `is_sending` while a part of the request may have been
    /// written.
    async fn ask(
        &self,
        request: &HttpRequest,
        call: &RestCall,
        is_sending: &AtomicBool,
    ) -> Result<RestAnswer, NoResponse> {
        let connection = self.pool.connection().await;
        let mut connection = connection.map_err(NoResponse::NotSent)?;
        let mut is_second = false;
        let exchange = loop {
            let sent = match connection.ready(Stage::Command).await {
                Ok(()) => {
                    is_sending.store(true, Ordering::Relaxed);
                    let sent = self.pool.send(connection, request.clone(), Stage::Command);
                    sent.await
                }
                Err(error) => Err(error),
            };
            let error = match sent {
                Ok(exchange) => break exchange,
                Err(error) => error,
            };
            let may_repeat = match &error {
                SendError::NotSent(_) => true,
                // The home may have closed the connection at that moment. A read-only request may be sent twice.
                SendError::Lost(HomeError::Unreachable { .. }) => call.only_reads,
                SendError::Lost(_) => false,
            };
            if is_second || !may_repeat {
                return Err(match error {
                    SendError::NotSent(error) => NoResponse::NotSent(error),
                    SendError::Lost(error) => NoResponse::Lost(error),
                });
            }
            is_second = true;
            is_sending.store(false, Ordering::Relaxed);
            let opened = self.pool.new_connection(self.pool.now()).await;
            connection = opened.map_err(NoResponse::NotSent)?;
        };
        let (head, body) = exchange.response.into_parts();
        if let Answerer::Other(foreign) =
            answerer(head.status, &head.headers, call.expected, self.target)
        {
            return Err(NoResponse::Foreign(foreign));
        }
        Ok(RestAnswer {
            status: head.status,
            headers: head.headers,
            body: RestBody {
                body: HttpBody::new(body, exchange.connection, self.pool.clone()),
                silence: self.target.limits.command_timeout,
                max_bytes: self.target.limits.max_message_bytes,
                may_have_acted: !call.only_reads,
            },
        })
    }
}

/// The reason why the home's response is missing.
enum NoResponse {
    /// The request was not sent.
    NotSent(HomeError),
    /// The request was sent, wholly or in part, and no response arrived.
    Lost(HomeError),
    /// Another system responded.
    Foreign(ForeignAnswer),
}
