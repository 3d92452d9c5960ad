//! A client for Home Assistant's REST API. The client sends the home's token in place of the caller's token.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use http::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE};
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::answerer::{Answerer, Expected, ForeignAnswer, answerer};
use super::error::{HomeError, Stage};
use super::target::Target;
use super::token_check::{bearer, classify, client};
use super::transport::Transport;
use crate::base::clock::Limit;
use crate::base::lock::Lock;
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

/// The time that an idle connection stays in the pool. Home Assistant keeps it open longer. The open session was heard
/// within that time or has just answered a ping.
const IDLE_LIMIT: Duration = Duration::from_secs(15);

/// The number of idle connections in the pool.
const MAX_IDLE: usize = 8;

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
    response: reqwest::Response,
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
#[expect(
    clippy::large_enum_variant,
    reason = "one value for each request, and mostly the larger variant"
)]
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
        self.response.content_length()
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
        let part = tokio::time::timeout(self.silence, self.response.chunk()).await;
        match part {
            Ok(part) => part.map_err(|error| self.broken(classify(&error, Stage::Command))),
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
pub(super) struct RestClient {
    /// The client for read-only requests, with the number of its session. The client reuses its connections, but only
    /// as long as the session lives: the cause that ended the session may also have ended the connections.
    kept: Lock<Option<(u64, reqwest::Client)>>,
    /// The client for all other requests, with a new connection for each. A reused connection that died cannot tell
    /// "not sent" from "sent".
    fresh: reqwest::Client,
    silence: Duration,
    max_bytes: usize,
}

impl RestClient {
    pub(super) fn new(target: &Target, transport: &Transport) -> Result<Self, HomeError> {
        Ok(Self {
            kept: Lock::default(),
            fresh: client(target, transport, std::convert::identity)?,
            silence: target.limits.command_timeout,
            max_bytes: target.limits.max_message_bytes,
        })
    }

    /// Returns the client that reuses its connections during the session with this number.
    fn kept(
        &self,
        target: &Target,
        transport: &Transport,
        session: u64,
    ) -> Result<reqwest::Client, HomeError> {
        let mut kept = self.kept.lock();
        if let Some((_, client)) = kept.as_ref().filter(|(number, _)| *number == session) {
            return Ok(client.clone());
        }
        let client = client(target, transport, |builder| {
            builder
                .pool_max_idle_per_host(MAX_IDLE)
                .pool_idle_timeout(IDLE_LIMIT)
        })?;
        *kept = Some((session, client.clone()));
        Ok(client)
    }

    /// Sends a request during the session with this number. `Err` means that the request was not executed.
    pub(super) async fn send(
        &self,
        target: &Target,
        transport: &Transport,
        session: u64,
        token: &AccessToken,
        call: &RestCall,
        limit: Limit,
    ) -> Result<RestOutcome, HomeError> {
        let mut url = target.address.rest(&call.path);
        url.set_query(Some(call.query.as_str()).filter(|query| !query.is_empty()));
        let mut headers = HeaderMap::new();
        for name in PASSED_ON {
            if let Some(value) = call.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert(AUTHORIZATION, bearer(token)?);
        let request = |client: &reqwest::Client| {
            client
                .request(call.method.clone(), url.clone())
                .headers(headers.clone())
                .body(call.body.clone())
        };
        let asked = async {
            if !call.only_reads {
                return self.ask(request(&self.fresh), target, call).await;
            }
            let kept = self
                .kept(target, transport, session)
                .map_err(NoResponse::NotSent)?;
            match self.ask(request(&kept), target, call).await {
                // The home may have closed the connection at that moment. A read-only request may be sent twice.
                Err(NoResponse::Lost(HomeError::Unreachable { .. })) => {
                    self.ask(request(&self.fresh), target, call).await
                }
                outcome => outcome,
            }
        };
        let missing = match tokio::time::timeout(limit.duration, asked).await {
            Ok(Ok(answer)) => return Ok(RestOutcome::Answered(answer)),
            Ok(Err(missing)) => missing,
            Err(_) => NoResponse::Lost(HomeError::out_of_time(Stage::Command, limit)),
        };
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

    async fn ask(
        &self,
        request: reqwest::RequestBuilder,
        target: &Target,
        call: &RestCall,
    ) -> Result<RestAnswer, NoResponse> {
        let mut response = request.send().await.map_err(|error| {
            let reason = classify(&error, Stage::Command);
            match error.is_connect() {
                true => NoResponse::NotSent(reason),
                false => NoResponse::Lost(reason),
            }
        })?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        if let Answerer::Other(foreign) = answerer(status, &headers, call.expected, target) {
            return Err(NoResponse::Foreign(foreign));
        }
        Ok(RestAnswer {
            status,
            headers,
            body: RestBody {
                response,
                silence: self.silence,
                max_bytes: self.max_bytes,
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
