//! The commands that a rotation sends to the home.

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::RotationError;
use super::plan::Known;
use crate::base::clock::Deadline;
use crate::home::bridge::Bridge;
use crate::home::home_assistant::{Answer, Command, JsonSlice, Outcome};

/// Home Assistant's type of long-lived access tokens.
const LONG_LIVED: &str = "long_lived_access_token";

/// Home Assistant's error code for a revocation of a token that does not exist.
const NO_SUCH_TOKEN: &str = "invalid_token_id";

/// The user to whom the token belongs.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    #[serde(default)]
    pub(super) name: String,
    pub(super) is_owner: bool,
}

/// A token that the home knows.
#[derive(Debug, Deserialize)]
pub(super) struct Token {
    pub(super) id: String,
    client_name: Option<String>,
    r#type: String,
    /// True if the present connection uses this token.
    pub(super) is_current: bool,
}

impl Token {
    pub(super) fn into_known(self) -> Known {
        Known {
            id: self.id,
            client_name: self.client_name.unwrap_or_default(),
        }
    }
}

/// Sends the commands of a rotation, with the token in use.
pub(super) struct HomeCommands<'a> {
    pub(super) bridge: &'a Bridge,
    pub(super) deadline: Deadline,
}

impl HomeCommands<'_> {
    pub(super) async fn user(&self) -> Result<User, RotationError> {
        const COMMAND: &str = "auth/current_user";
        read(
            COMMAND,
            &self.ask(COMMAND, json!({ "type": COMMAND })).await?,
        )
    }

    /// Returns the long-lived tokens of the same user.
    pub(super) async fn tokens(&self) -> Result<Vec<Token>, RotationError> {
        const COMMAND: &str = "auth/refresh_tokens";
        let answer = self.ask(COMMAND, json!({ "type": COMMAND })).await?;
        let mut tokens: Vec<Token> = read(COMMAND, &answer)?;
        tokens.retain(|token| token.r#type == LONG_LIVED);
        Ok(tokens)
    }

    pub(super) async fn mint(&self, name: &str, days: u32) -> Result<SecretString, RotationError> {
        const COMMAND: &str = "auth/long_lived_access_token";
        let command = json!({ "type": COMMAND, "client_name": name, "lifespan": days });
        let text: String = read(COMMAND, &self.ask(COMMAND, command).await?)?;
        Ok(SecretString::from(text))
    }

    /// Revokes a token. Succeeds if the token does not exist.
    pub(super) async fn revoke(&self, id: &str) -> Result<(), RotationError> {
        const COMMAND: &str = "auth/delete_refresh_token";
        let command = json!({ "type": COMMAND, "refresh_token_id": id });
        match self.answer(COMMAND, command).await? {
            Answer::Success(_) => Ok(()),
            Answer::Failure(failure) if failure.code == NO_SUCH_TOKEN => Ok(()),
            Answer::Failure(failure) => Err(RotationError::Refused {
                command: COMMAND,
                reason: failure.code,
            }),
        }
    }

    async fn ask(
        &self,
        name: &'static str,
        command: Value,
    ) -> Result<Option<JsonSlice>, RotationError> {
        match self.answer(name, command).await? {
            Answer::Success(result) => Ok(result),
            Answer::Failure(failure) => Err(RotationError::Refused {
                command: name,
                reason: failure.code,
            }),
        }
    }

    async fn answer(&self, name: &'static str, command: Value) -> Result<Answer, RotationError> {
        let not_understood = || RotationError::Refused {
            command: name,
            reason: "the command is invalid".into(),
        };
        let command = Command::new(command).map_err(|_| not_understood())?;
        let mut outcomes = self.bridge.run(&[command], self.deadline).await?;
        match outcomes.pop() {
            Some(Outcome::Answered(answer)) => Ok(answer),
            Some(Outcome::Unknown(_)) | None => Err(RotationError::Unknown { command: name }),
        }
    }
}

fn read<T: DeserializeOwned>(
    command: &'static str,
    answer: &Option<JsonSlice>,
) -> Result<T, RotationError> {
    let text = answer.as_ref().map_or("null", JsonSlice::get);
    // The text of the parser's error is dropped: it may repeat a token from the answer.
    serde_json::from_str(text).map_err(|_| RotationError::Refused {
        command,
        reason: "the answer has an unknown format".into(),
    })
}
