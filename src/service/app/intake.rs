//! Filters the home's answers to commands as they arrive. An answer is redacted for the caller and fitted to the size
//! of the reply.

use std::sync::Arc;

use crate::base::json::json_bytes;
use crate::base::lock::Lock;
use crate::home::home_assistant::{Answer, Command, CommandFailure, JsonSlice, Outcome, Sieve};
use crate::service::access::{Permit, Permitted};
use crate::service::failure::ProblemName;
use crate::service::idempotency::MAX_OUTCOME_BYTES;

/// The maximum size of an error message. The home repeats parts of the request in its messages.
const MAX_MESSAGE_BYTES: usize = 4_096;

/// An upper limit for the size of the JSON around one stored result.
const BYTES_AROUND_A_RESULT: usize = 256;

/// The space for results in a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// The maximum size of all results together.
    pub(crate) bytes: usize,
    /// True if the results are sent inside a JSON string, in which each quotation mark takes two bytes.
    pub(crate) is_in_string: bool,
}

/// A filter for the answers to one batch of commands.
pub(super) struct Intake {
    permit: Permit,
    commands: Arc<[Command]>,
    room: Room,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    used_bytes: usize,
    /// The unredacted answers by command index. A caller who repeats the request may have more permissions. `None` if
    /// the request has no idempotency key.
    whole: Option<Vec<Option<Answer>>>,
    whole_bytes: usize,
}

impl Intake {
    /// Creates a filter for the answers to `commands`. If `remembers` is true, it also keeps the unredacted answers.
    pub(super) fn new(
        commands: &Permitted<Arc<[Command]>>,
        room: Room,
        remembers: bool,
    ) -> Arc<Self> {
        let whole = remembers.then(|| commands.what().iter().map(|_| None).collect());
        Arc::new(Self {
            permit: commands.permit().clone(),
            commands: commands.what().clone(),
            room,
            state: Lock::new(State {
                whole,
                ..State::default()
            }),
        })
    }

    /// Returns this filter as the callback that a connection takes.
    pub(super) fn sieve(self: &Arc<Self>) -> Arc<Sieve> {
        let intake = self.clone();
        Arc::new(move |place, answer| intake.take(place, answer))
    }

    /// Returns the answer to the command at index `place`, redacted and fitted to the reply.
    pub(super) fn take(&self, place: usize, answer: Answer) -> Answer {
        self.remember(place, &answer);
        let Some(command) = self.commands.get(place) else {
            return answer;
        };
        match answer {
            Answer::Success(Some(result)) => self.fit(command, result),
            // Redaction decides whether an empty result is a valid answer to this command.
            Answer::Success(None) if self.permit.redacts() && command.kind() != "ping" => {
                self.fit(command, JsonSlice::from_text("null".into()))
            }
            Answer::Success(None) => Answer::Success(None),
            Answer::Failure(CommandFailure { code, message }) => {
                let message = self.permit.redacted_message(command, message);
                Answer::Failure(CommandFailure {
                    code,
                    message: self.fit_message(message),
                })
            }
        }
    }

    /// Returns the unredacted outcomes of the batch. `None` if they are not kept or an answer is missing.
    pub(super) fn whole(&self, outcomes: &[Outcome]) -> Option<Vec<Outcome>> {
        let mut state = self.state.lock();
        let whole = state.whole.take()?;
        let whole = outcomes.iter().zip(whole);
        let whole = whole.map(|(outcome, answer)| match (outcome, answer) {
            (Outcome::Answered(_), Some(answer)) => Some(Outcome::Answered(answer)),
            (Outcome::Unknown(error), _) => Some(Outcome::Unknown(error.clone())),
            (Outcome::Answered(_), None) => None,
        });
        whole.collect()
    }

    /// Keeps an unredacted answer. Keeps an error in its place if the answer is too large.
    fn remember(&self, place: usize, answer: &Answer) {
        let mut state = self.state.lock();
        let bytes = match answer {
            Answer::Success(result) => result.as_ref().map_or(0, |result| result.get().len()),
            Answer::Failure(failure) => failure.message.len(),
        } + BYTES_AROUND_A_RESULT;
        let fits = state.whole_bytes + bytes <= MAX_OUTCOME_BYTES;
        if fits {
            state.whole_bytes += bytes;
        }
        if let Some(kept) = state.whole.as_mut().and_then(|whole| whole.get_mut(place)) {
            *kept = Some(match fits {
                true => answer.clone(),
                false => failure(
                    ProblemName::MessageTooLarge,
                    format!(
                        "the home answered the first request, but the answer of {bytes} bytes was not stored: the \
                         stored answers of one request can have {MAX_OUTCOME_BYTES} bytes together"
                    ),
                ),
            });
        }
    }

    /// Truncates an error message to the space that is left in the reply.
    fn fit_message(&self, mut message: String) -> String {
        let mut state = self.state.lock();
        // Divided by 4: a character may be escaped once, and again inside a JSON string.
        let room = (self.room.bytes.saturating_sub(state.used_bytes) / 4).min(MAX_MESSAGE_BYTES);
        if message.len() > room {
            let cut = message.floor_char_boundary(room);
            message.truncate(cut);
            message.push('…');
        }
        state.used_bytes += message.len();
        message
    }

    /// Redacts a result. Returns an error in its place if the reply has no space for the result.
    fn fit(&self, command: &Command, result: JsonSlice) -> Answer {
        let result = if self.permit.redacts() {
            match self.permit.redacted_result(command, result.get()) {
                Ok(text) => JsonSlice::from_text(text),
                Err(error) => {
                    let message = format!("the home answered, but {error}");
                    return failure(ProblemName::NotHomeAssistant, message);
                }
            }
        } else {
            result
        };
        let bytes = match self.room.is_in_string {
            true => json_bytes(&result.get()),
            false => result.get().len(),
        };
        let mut state = self.state.lock();
        if bytes > self.room.bytes.saturating_sub(state.used_bytes) {
            let limit = self.room.bytes;
            let message = format!(
                "the home answered, but the result of {bytes} bytes does not fit: the results of one reply can \
                 have {limit} bytes together; request less data or send fewer commands"
            );
            return failure(ProblemName::MessageTooLarge, message);
        }
        state.used_bytes += bytes;
        Answer::Success(Some(result))
    }
}

fn failure(name: ProblemName, message: String) -> Answer {
    Answer::Failure(CommandFailure {
        code: name.name().into(),
        message,
    })
}
