//! The results of commands, as callers receive them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::home::home_assistant::{Answer, CommandFailure, HomeError, JsonSlice, Outcome};
use crate::service::failure::ProblemName;

/// The results of a batch of commands, in the order of the commands. Their JSON is sent to callers and recorded under
/// an idempotency key.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct CommandResults(Vec<CommandResult>);

/// The result of one command.
#[derive(Debug, Serialize)]
pub struct CommandResult {
    outcome: &'static str,
    success: bool,
    #[serde(skip_serializing_if = "Content::is_error", rename = "result")]
    content: Content,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<CommandErrorReply>,
}

#[derive(Debug)]
enum Content {
    Result(Option<JsonSlice>),
    Error,
}

impl Content {
    fn is_error(&self) -> bool {
        matches!(self, Self::Error)
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Result(Some(raw)) => raw.serialize(serializer),
            Self::Result(None) | Self::Error => serializer.serialize_none(),
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct CommandErrorReply {
    code: Cow<'static, str>,
    message: String,
}

/// The recorded result of one command.
#[derive(Deserialize)]
struct Recorded<'a> {
    outcome: &'a str,
    success: bool,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<CommandErrorReply>,
}

impl CommandResults {
    /// Creates the results of a batch from its outcomes.
    pub fn new(outcomes: Vec<Outcome>) -> Self {
        Self(outcomes.into_iter().map(CommandResult::of).collect())
    }

    /// Creates the results of a batch that was run before, from the recorded results. `take` redacts each answer for
    /// the present caller. It gets the index of the command and the unredacted answer.
    pub(crate) fn repeated(
        recorded: &RawValue,
        take: impl Fn(usize, Answer) -> Answer,
    ) -> serde_json::Result<Self> {
        let recorded: Vec<Recorded<'_>> = serde_json::from_str(recorded.get())?;
        let results = recorded.into_iter().enumerate();
        let results = results.map(|(place, one)| match (one.outcome, one.error) {
            ("answered", error) => {
                let answer = match error {
                    Some(error) if !one.success => Answer::Failure(CommandFailure {
                        code: error.code.into_owned(),
                        message: error.message,
                    }),
                    _ => Answer::Success(
                        one.result
                            .map(|raw| JsonSlice::from_text(raw.get().to_owned())),
                    ),
                };
                CommandResult::of(Outcome::Answered(take(place, answer)))
            }
            (_, error) => CommandResult {
                outcome: "unknown",
                success: false,
                content: Content::Error,
                error,
            },
        });
        Ok(Self(results.collect()))
    }

    /// Returns the results, in the order of the commands.
    pub(crate) fn into_results(self) -> Vec<CommandResult> {
        self.0
    }

    /// Creates `unknown` results for `count` commands. An earlier invocation began the batch and recorded no outcome.
    pub fn begun_before(count: usize) -> Self {
        let message =
            "a request with this `idempotency_key` was begun before, and its outcome is unknown";
        let results = std::iter::repeat_with(|| CommandResult::unknown(message.to_owned()));
        Self(results.take(count).collect())
    }
}

impl CommandResult {
    /// Returns the outcome: `answered` or `unknown`.
    pub(crate) fn outcome(&self) -> &'static str {
        self.outcome
    }

    /// Returns the home's result as JSON. `None` if the command has no result.
    pub(crate) fn json(&self) -> Option<&str> {
        match &self.content {
            Content::Result(Some(slice)) => Some(slice.get()),
            Content::Result(None) | Content::Error => None,
        }
    }

    /// Returns the code and the message of the error, if the command failed or its outcome is unknown.
    pub(crate) fn error(&self) -> Option<(&str, &str)> {
        let error = self.error.as_ref()?;
        Some((&error.code, &error.message))
    }

    /// Adds a hint to the message of an error with this name.
    pub(crate) fn with_hint(mut self, name: ProblemName, hint: &str) -> Self {
        if let Some(error) = self
            .error
            .as_mut()
            .filter(|error| error.code == name.name())
        {
            error.message.push_str(hint);
        }
        self
    }

    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered(Answer::Success(result)) => Self {
                outcome: "answered",
                success: true,
                content: Content::Result(result),
                error: None,
            },
            Outcome::Answered(Answer::Failure(CommandFailure { code, message })) => Self {
                outcome: "answered",
                success: false,
                content: Content::Error,
                error: Some(CommandErrorReply {
                    code: code.into(),
                    message,
                }),
            },
            Outcome::Unknown(error) => {
                let unknown = Self::unknown(format!(
                    "the command was sent and may have been executed, but the home did not answer: {error}"
                ));
                if matches!(error, HomeError::MessageTooLarge { .. }) {
                    unknown.named(ProblemName::MessageTooLarge)
                } else {
                    unknown
                }
            }
        }
    }

    fn unknown(message: String) -> Self {
        let error = CommandErrorReply {
            code: ProblemName::CommandOutcomeUnknown.name().into(),
            message: format!(
                "{message}; check the state of the home before you send the command again"
            ),
        };
        Self {
            outcome: "unknown",
            success: false,
            content: Content::Error,
            error: Some(error),
        }
    }

    fn named(mut self, name: ProblemName) -> Self {
        if let Some(error) = &mut self.error {
            error.code = name.name().into();
        }
        self
    }
}
