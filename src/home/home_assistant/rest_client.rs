//! Home Assistant's own REST API, asked with the token in the caller's stead.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use http::header::{ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE};
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::answerer::{Expected, ForeignAnswer, foreign_answer};
use super::error::{HomeError, Stage};
use super::target::Target;
use super::token_check::{bearer, classify, client};
use super::transport::Transport;
use crate::base::clock::Limit;
use crate::base::lock::Lock;
use crate::base::secret::AccessToken;

/// The headers of a caller that are the home's business. All others are the caller's own, the way's, or latchkey's.
const PASSED_ON: [HeaderName; 6] = [
    ACCEPT,
    ACCEPT_LANGUAGE,
    CONTENT_TYPE,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    RANGE,
];

/// For how long a connection that nobody uses is kept. Home Assistant keeps it longer, and beside it is a session that
/// was heard within that time or has just answered a ping.
const KEPT_FOR: Duration = Duration::from_secs(15);

/// How many of them are kept.
const KEPT: usize = 8;

/// A request to the home's REST API.
#[derive(Clone, Debug)]
pub struct RestCall {
    /// Its method.
    pub method: Method,
    /// Its path and query below the home's prefix, like `/api/states?x=y`.
    pub path: String,
    /// The query, encoded; empty if there is none.
    pub query: String,
    /// What the caller sent; only what is the home's business is passed on.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Whether it only reads, so that it does no harm if it is carried out twice.
    pub only_reads: bool,
    /// What the home answers to it.
    pub expected: Expected,
}

/// The home's answer, as it is.
#[derive(Debug)]
pub struct RestAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, all of them: which are the caller's business is not decided here.
    pub headers: HeaderMap,
    /// Its body.
    pub body: RestBody,
}

/// The body of an answer, which is still on its way.
#[derive(Debug)]
pub struct RestBody {
    response: reqwest::Response,
    /// How long the home may fall silent in the midst of it.
    silence: Duration,
    max_bytes: usize,
    may_have_acted: bool,
}

/// An answer that broke off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the home's answer broke off: {error}")]
pub struct BrokenAnswer {
    /// Why.
    pub error: HomeError,
    /// Whether it was the answer to more than a question.
    pub may_have_acted: bool,
}

/// What became of a request that was sent.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one a request, and mostly the larger variant"
)]
pub enum RestOutcome {
    /// The home answered.
    Answered(RestAnswer),
    /// It may or may not have been carried out.
    Unknown(HomeError),
}

impl RestAnswer {
    /// Whether the home refuses the token, or what its user may do.
    pub fn is_refusal(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }
}

impl RestBody {
    /// How long it is, if the home has said so.
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Whether it is the answer to more than a question, so that without it nobody knows what was done.
    pub fn may_have_acted(&self) -> bool {
        self.may_have_acted
    }

    /// All of it, within this time, if it is no more than a message of the home may be.
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

    /// Part by part, as it comes.
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

/// Passes requests on to one home.
pub(super) struct RestClient {
    /// For what only reads: its connections are kept, but for no longer than the session beside them, by whose number
    /// it is told: what ended that may have ended them.
    kept: Lock<Option<(u64, reqwest::Client)>>,
    /// For all else, on a connection of its own: one that was kept and died cannot tell "not sent" from "sent".
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

    /// The client whose connections are kept, beside the session of this number.
    fn kept(
        &self,
        target: &Target,
        transport: &Transport,
        session: u64,
    ) -> Result<reqwest::Client, HomeError> {
        // Nothing is left half done in there.
        let mut kept = self.kept.lock();
        if let Some((_, client)) = kept.as_ref().filter(|(number, _)| *number == session) {
            return Ok(client.clone());
        }
        let client = client(target, transport, |builder| {
            builder
                .pool_max_idle_per_host(KEPT)
                .pool_idle_timeout(KEPT_FOR)
        })?;
        *kept = Some((session, client.clone()));
        Ok(client)
    }

    /// Sends a request beside the session of this number. `Err` means that it was not carried out.
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
                .map_err(Missing::NotSent)?;
            match self.ask(request(&kept), target, call).await {
                // The home may have hung up just then. What only reads may be asked for twice.
                Err(Missing::NoAnswer(HomeError::Unreachable { .. })) => {
                    self.ask(request(&self.fresh), target, call).await
                }
                outcome => outcome,
            }
        };
        let missing = match tokio::time::timeout(limit.duration, asked).await {
            Ok(Ok(answer)) => return Ok(RestOutcome::Answered(answer)),
            Ok(Err(missing)) => missing,
            Err(_) => Missing::NoAnswer(HomeError::out_of_time(Stage::Command, limit)),
        };
        match missing {
            // What only reads was not carried out in any sense that matters.
            Missing::NoAnswer(error) if !call.only_reads => Ok(RestOutcome::Unknown(error)),
            Missing::NoAnswer(error) | Missing::NotSent(error) => Err(error),
            Missing::Foreign(foreign) if foreign.may_have_arrived && !call.only_reads => {
                Ok(RestOutcome::Unknown(foreign.error))
            }
            Missing::Foreign(foreign) => Err(foreign.error),
        }
    }

    async fn ask(
        &self,
        request: reqwest::RequestBuilder,
        target: &Target,
        call: &RestCall,
    ) -> Result<RestAnswer, Missing> {
        let mut response = request.send().await.map_err(|error| {
            let reason = classify(&error, Stage::Command);
            match error.is_connect() {
                true => Missing::NotSent(reason),
                false => Missing::NoAnswer(reason),
            }
        })?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        if let Some(foreign) = foreign_answer(status, &headers, call.expected, target) {
            return Err(Missing::Foreign(foreign));
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

/// Why there is no answer of the home's.
enum Missing {
    /// The request was not sent.
    NotSent(HomeError),
    /// It was sent, wholly or in part.
    NoAnswer(HomeError),
    /// Something else answered.
    Foreign(ForeignAnswer),
}
