//! An authenticated client and its commands.

use std::{collections::BTreeMap, mem, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::{
    configuration::configuration,
    fault::{Break, SocketFault, SocketStage},
    peer::{Ended, Peer},
    reply::{Refused, error, only, required, success},
    service::{self, Service},
    shared::Shared,
    token::Proven,
};
use crate::{expiry::unix_now, lock::locked};

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// An authenticated client and its subscriptions.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    token: Proven,
    last_id: u64,
    may_coalesce: bool,
    /// The event type of each subscription. `*` stands for all types.
    subscriptions: BTreeMap<u64, String>,
    /// Replies that a fault holds back.
    held: Vec<String>,
    pub(super) events: broadcast::Receiver<Arc<Value>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(shared: &'a Shared, token: Proven) -> Self {
        shared.tally.count(|counters| counters.open_sockets += 1);
        Self {
            shared,
            token,
            last_id: 0,
            may_coalesce: false,
            subscriptions: BTreeMap::new(),
            held: Vec::new(),
            events: shared.events.subscribe(),
        }
    }

    /// Returns true if the client's token still exists.
    pub(super) fn is_authorised(&self) -> bool {
        locked(&self.shared.tokens).exists(&self.token.id)
    }

    /// Sends an event to every matching subscription.
    pub(super) async fn forward(&self, event: &Value, peer: &mut Peer<'_>) -> Result<(), Ended> {
        for (id, event_type) in &self.subscriptions {
            if event_type == "*" || event["event_type"] == *event_type {
                let message = json!({"type": "event", "event": event, "id": id});
                peer.send(message.to_string()).await?;
            }
        }
        Ok(())
    }

    /// Handles a frame, which has one command or an array of commands.
    pub(super) async fn handle(&mut self, frame: Value, peer: &mut Peer<'_>) -> Result<(), Ended> {
        let commands = match frame {
            Value::Array(commands) => commands,
            command => vec![command],
        };
        let mut replies = Vec::with_capacity(commands.len());
        for command in commands {
            if let Some(name) = command["type"].as_str() {
                self.shared.tally.count(|counters| {
                    *counters.commands.entry(name.to_owned()).or_default() += 1;
                });
            }
            if self
                .is_broken_at(SocketStage::Command, &command, peer)
                .await?
            {
                continue;
            }
            let reply = self.reply(&command);
            // Home Assistant sends the events of a command before its result.
            while let Ok(event) = self.events.try_recv() {
                self.forward(&event, peer).await?;
            }
            // If a client deletes its own token, the WebSocket closes before the result is sent.
            if !self.is_authorised() {
                return Ok(());
            }
            let is_swallowed = self
                .is_broken_at(SocketStage::Reply, &command, peer)
                .await?
                || peer.junk_at(SocketStage::Reply).await?;
            if !is_swallowed {
                replies.push(reply);
            }
        }
        self.send(replies, peer).await
    }

    /// Breaks the WebSocket if a fault is armed for this stage. Returns true if the command hangs,
    /// which does not affect other commands.
    async fn is_broken_at(
        &self,
        here: SocketStage,
        command: &Value,
        peer: &mut Peer<'_>,
    ) -> Result<bool, Ended> {
        match self.shared.command_fault(command, here) {
            Some(Break::Hang) => Ok(true),
            Some(way) => Err(peer.break_off(way).await),
            None => Ok(false),
        }
    }

    /// Sends replies, or holds them if a fault is armed.
    async fn send(&mut self, replies: Vec<String>, peer: &mut Peer<'_>) -> Result<(), Ended> {
        self.held.extend(replies);
        let is_enough = |wanted: &usize| self.held.len() >= *wanted;
        let holding = self.shared.socket_fault.find(|fault| match fault {
            SocketFault::OutOfOrder(wanted) | SocketFault::Coalesce(wanted) => {
                (!is_enough(wanted)).then_some(())
            }
            _ => None,
        });
        if holding.is_some() || self.held.is_empty() {
            return Ok(());
        }
        let fault = self.shared.socket_fault(|fault| match fault {
            SocketFault::OutOfOrder(_) | SocketFault::Coalesce(_) => Some(fault.clone()),
            _ => None,
        });
        let mut replies = mem::take(&mut self.held);
        let is_array = match fault {
            Some(SocketFault::OutOfOrder(_)) => {
                replies.reverse();
                false
            }
            Some(_) => true,
            None => self.may_coalesce && replies.len() > 1,
        };
        if is_array {
            return peer.send_reply(format!("[{}]", replies.join(","))).await;
        }
        for reply in replies {
            peer.send_reply(reply).await?;
        }
        Ok(())
    }

    /// Executes a command and returns the reply.
    fn reply(&mut self, command: &Value) -> String {
        let id = command["id"].as_u64().filter(|id| *id > 0);
        let name = command["type"].as_str().filter(|name| !name.is_empty());
        let (Some(id), Some(name)) = (id, name) else {
            let id = command
                .as_object()
                .map_or(json!(0), |_| command["id"].clone());
            let message = "Message incorrectly formatted.";
            return error(&id, &Refused::new("invalid_format", message));
        };
        if id <= self.last_id {
            let message = "Identifier values have to increase.";
            return error(&json!(id), &Refused::new("id_reuse", message));
        }
        let outcome = self.execute(id, name, command);
        // As in Home Assistant, an unknown command does not use its id.
        if !matches!(&outcome, Err(refused) if refused.code == "unknown_command") {
            self.last_id = id;
        }
        let fault = self.shared.socket_fault(|fault| match fault {
            SocketFault::HugeReply(_) | SocketFault::ErrorReply(_) => Some(fault.clone()),
            _ => None,
        });
        match (fault, outcome) {
            (Some(SocketFault::HugeReply(bytes)), _) => {
                success(id, &format!("\"{}\"", "x".repeat(bytes)))
            }
            (Some(SocketFault::ErrorReply(code)), _) => {
                error(&json!(id), &Refused::new(code, "Simulated failure."))
            }
            (_, Ok(None)) => json!({"id": id, "type": "pong"}).to_string(),
            (_, Ok(Some(result))) => success(id, &result),
            (_, Err(refused)) => error(&json!(id), &refused),
        }
    }

    /// Executes a command. Returns the result as JSON text, or `None` for `pong`.
    fn execute(&mut self, id: u64, name: &str, command: &Value) -> Result<Option<String>, Refused> {
        let result = match name {
            "ping" => {
                only(command, &[])?;
                return Ok(None);
            }
            "get_states" => {
                only(command, &[])?;
                return Ok(Some(locked(&self.shared.entities).states_json()));
            }
            "get_config" => {
                only(command, &[])?;
                configuration(&self.shared.options.ha_version)
            }
            "get_services" => {
                only(command, &[])?;
                service::services_json()
            }
            "supported_features" => {
                only(command, &["features"])?;
                let features = required(command, "features", Value::as_object)?;
                self.may_coalesce = features
                    .get("coalesce_messages")
                    .and_then(Value::as_i64)
                    .is_some_and(|version| version > 0);
                Value::Null
            }
            "call_service" => self.call_service(command)?,
            "subscribe_events" => {
                only(command, &["event_type"])?;
                let event_type = command["event_type"].as_str().unwrap_or("*");
                self.subscriptions.insert(id, event_type.to_owned());
                Value::Null
            }
            "unsubscribe_events" => {
                only(command, &["subscription"])?;
                let subscription = required(command, "subscription", Value::as_u64)?;
                if self.subscriptions.remove(&subscription).is_none() {
                    return Err(Refused::new("not_found", "Subscription not found."));
                }
                Value::Null
            }
            "auth/long_lived_access_token" => self.mint(command)?,
            "auth/current_user" => {
                only(command, &[])?;
                locked(&self.shared.tokens).user_json(self.token.user)
            }
            "auth/refresh_tokens" => {
                only(command, &[])?;
                locked(&self.shared.tokens).list(&self.token)
            }
            "auth/delete_refresh_token" => {
                only(command, &["refresh_token_id"])?;
                let id = required(command, "refresh_token_id", Value::as_str)?;
                let is_own = locked(&self.shared.tokens).user_of(id) == Some(self.token.user);
                if !(is_own && self.shared.delete_token(id)) {
                    return Err(Refused::new("invalid_token_id", "Received invalid token"));
                }
                json!({})
            }
            // Not a command of Home Assistant: tests use it to match replies with commands.
            "latchkey_dev/echo" => {
                only(command, &["payload"])?;
                command["payload"].clone()
            }
            _ => return Err(Refused::new("unknown_command", "Unknown command.")),
        };
        Ok(Some(result.to_string()))
    }

    fn call_service(&self, command: &Value) -> Result<Value, Refused> {
        only(
            command,
            &[
                "domain",
                "service",
                "target",
                "service_data",
                "return_response",
            ],
        )?;
        let domain = required(command, "domain", Value::as_str)?;
        let name = required(command, "service", Value::as_str)?;
        let are_missing = self
            .shared
            .socket_fault(|fault| (*fault == SocketFault::ServicesMissing).then_some(()));
        let service = Service::find(domain, name).filter(|_| are_missing.is_none());
        let Some(service) = service else {
            return Err(Refused {
                code: "not_found",
                message: format!("Service {domain}.{name} not found."),
                translation: Some(json!({"domain": domain, "service": name})),
            });
        };
        let (_, context) = self
            .shared
            .execute(service, command.get("service_data"), command.get("target"))
            .map_err(|message| Refused::new("invalid_format", message))?;
        Ok(json!({"context": context}))
    }

    fn mint(&self, command: &Value) -> Result<Value, Refused> {
        only(command, &["lifespan", "client_name", "client_icon"])?;
        let days = required(command, "lifespan", Value::as_u64)?;
        let client_name = required(command, "client_name", Value::as_str)?;
        let mut tokens = locked(&self.shared.tokens);
        if tokens.is_named(self.token.user, client_name) {
            // Home Assistant raises a ValueError here and returns no details.
            return Err(Refused::new("unknown_error", "Unknown error"));
        }
        let exp = unix_now().saturating_add(days.saturating_mul(SECONDS_A_DAY));
        Ok(json!(tokens.mint(self.token.user, client_name, exp)))
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.shared
            .tally
            .count(|counters| counters.open_sockets -= 1);
    }
}
