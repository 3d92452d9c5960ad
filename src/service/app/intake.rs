//! What is kept of the home's answers to commands, as they come: what the caller may see, and what a reply can carry.

use std::sync::Arc;

use crate::base::json::json_bytes;
use crate::base::lock::Lock;
use crate::home::home_assistant::{Answer, Command, CommandFailure, JsonSlice, Outcome, Sieve};
use crate::service::access::{Permit, Permitted};
use crate::service::failure::ProblemName;
use crate::service::idempotency::MAX_OUTCOME_BYTES;

/// The most bytes of an error's message. The home repeats in it what it was sent.
const MAX_MESSAGE_BYTES: usize = 4_096;

/// More than goes around a result where it is kept.
const BYTES_AROUND_A_RESULT: usize = 256;

/// How many bytes of results a reply can carry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// How many.
    pub(crate) bytes: usize,
    /// Whether the results travel inside a JSON string, in which each quotation mark is two bytes.
    pub(crate) is_in_string: bool,
}

/// Takes answers in.
pub(super) struct Intake {
    permit: Permit,
    commands: Arc<[Command]>,
    room: Room,
    state: Lock<State>,
}

#[derive(Default)]
struct State {
    used_bytes: usize,
    /// The whole answers by their place, for whoever repeats the request and may see more; `None` if nobody can repeat
    /// it.
    whole: Option<Vec<Option<Answer>>>,
    whole_bytes: usize,
}

impl Intake {
    /// An intake for the answers to `commands`. With `remembers` the whole answers are kept as well.
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

    /// The intake as the connection wants it.
    pub(super) fn sieve(self: &Arc<Self>) -> Arc<Sieve> {
        let intake = self.clone();
        Arc::new(move |place, answer| intake.take(place, answer))
    }

    /// What is left of the answer to the command in this place of the batch.
    pub(super) fn take(&self, place: usize, answer: Answer) -> Answer {
        self.remember(place, &answer);
        let Some(command) = self.commands.get(place) else {
            return answer;
        };
        match answer {
            Answer::Success(Some(result)) => self.fit(command, result),
            // Whether nothing is what the home answers depends on what it was asked.
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

    /// The whole outcomes of the batch, if they are to be remembered and small enough.
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

    /// Keeps an answer whole, or what is known of it if it is too large for that.
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
                        "the home answered when this request was first made, but the answer of {bytes} bytes \
                         was too large to be kept"
                    ),
                ),
            });
        }
    }

    /// As much of the message of an error as the reply can carry.
    fn fit_message(&self, mut message: String) -> String {
        let mut state = self.state.lock();
        // Escaped once, and once more inside a string.
        let room = (self.room.bytes.saturating_sub(state.used_bytes) / 4).min(MAX_MESSAGE_BYTES);
        if message.len() > room {
            let cut = message.floor_char_boundary(room);
            message.truncate(cut);
            message.push('…');
        }
        state.used_bytes += message.len();
        message
    }

    /// What the caller may see of a result, if the reply can carry it.
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
                "the home answered, but the result has {bytes} bytes, and the results of one reply can have \
                {limit} together; \
                 ask for less in one request"
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
