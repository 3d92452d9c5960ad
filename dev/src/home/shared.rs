//! State and faults that all connections of a home share.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::{broadcast, watch};

use super::{
    ban::Bans,
    context,
    counters::Tally,
    entity::Entities,
    fault::{
        Break, CommandFault, ConnectionFault, Fault, RestFault, Slot, SocketFault, SocketStage,
    },
    options::HomeOptions,
    service::Service,
    token::Tokens,
};
use crate::lock::locked;

/// The number of events that a slow subscriber can lag behind before events are lost.
const EVENT_BACKLOG: usize = 4096;

/// State and faults that all connections share. The mutexes are std mutexes: no lock is held across an await.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: HomeOptions,
    pub(super) tokens: Mutex<Tokens>,
    pub(super) bans: Mutex<Bans>,
    pub(super) entities: Mutex<Entities>,
    pub(super) tally: Tally,
    pub(super) connection_fault: Slot<ConnectionFault>,
    pub(super) rest_fault: Slot<RestFault>,
    pub(super) socket_fault: Slot<SocketFault>,
    pub(super) command_fault: Slot<CommandFault>,
    pub(super) events: broadcast::Sender<Arc<Value>>,
    pub(super) token_deleted: watch::Sender<()>,
    pub(super) stopping: watch::Sender<bool>,
}

impl Shared {
    /// Creates the state of a new home.
    pub(super) fn new(options: HomeOptions) -> Self {
        Self {
            tokens: Mutex::new(Tokens::new()),
            bans: Mutex::new(Bans::new(options.login_attempts_threshold)),
            entities: Mutex::new(Entities::new(options.states_bytes)),
            tally: Tally::new(),
            connection_fault: Slot::new(),
            rest_fault: Slot::new(),
            socket_fault: Slot::new(),
            command_fault: Slot::new(),
            events: broadcast::Sender::new(EVENT_BACKLOG),
            token_deleted: watch::Sender::new(()),
            stopping: watch::Sender::new(false),
            options,
        }
    }

    /// Arms a fault, for `times` occasions or without limit.
    pub(super) fn arm(&self, fault: Fault, times: Option<u32>) {
        match fault {
            Fault::Connection(fault) => self.connection_fault.arm(fault, times),
            Fault::Rest(fault) => self.rest_fault.arm(fault, times),
            Fault::Socket(fault) => self.socket_fault.arm(fault, times),
        }
    }

    /// Uses the armed WebSocket fault if `wanted` accepts it, and counts it.
    pub(super) fn socket_fault<T>(&self, wanted: impl Fn(&SocketFault) -> Option<T>) -> Option<T> {
        self.counted(self.socket_fault.take(wanted))
    }

    /// Returns the way to break the WebSocket at this stage, if a fault is armed for it.
    pub(super) fn break_at(&self, here: SocketStage) -> Option<Break> {
        self.socket_fault(|fault| match fault {
            SocketFault::At(stage, way) if *stage == here => Some(*way),
            _ => None,
        })
    }

    /// Returns the way to break the WebSocket at this stage of this command, if a fault is armed for it.
    pub(super) fn command_fault(&self, command: &Value, here: SocketStage) -> Option<Break> {
        self.break_at(here).or_else(|| {
            let is_meant =
                |fault: &CommandFault| fault.stage == here && command["type"] == fault.command;
            let way = |fault: &CommandFault| is_meant(fault).then_some(fault.way);
            self.counted(self.command_fault.take(way))
        })
    }

    /// Counts a fault if there is one.
    fn counted<T>(&self, fault: Option<T>) -> Option<T> {
        if fault.is_some() {
            self.tally.count(|counters| counters.faults_hit += 1);
        }
        fault
    }

    /// Sends events to all WebSockets.
    pub(super) fn publish(&self, events: impl IntoIterator<Item = Value>) {
        for event in events {
            // An error means that no WebSocket is open.
            let _ = self.events.send(Arc::new(event));
        }
    }

    /// Deletes a token and wakes the WebSockets, which check their own token. Returns false if the token is unknown.
    pub(super) fn delete_token(&self, id: &str) -> bool {
        let deleted = locked(&self.tokens).delete(id);
        self.token_deleted.send_replace(());
        deleted
    }

    /// Runs a service and publishes its events. Returns the events and the context.
    ///
    /// # Errors
    /// Home Assistant's message for `invalid_format`, if data or target are invalid.
    pub(super) fn execute(
        &self,
        service: Service,
        data: Option<&Value>,
        target: Option<&Value>,
    ) -> Result<(Vec<Value>, Value), String> {
        let context = context::new();
        let (call, events) = {
            let mut entities = locked(&self.entities);
            let call = service.check(data, target, &entities)?;
            let events = service.run(&call, &mut entities, &context);
            (call, events)
        };
        self.tally
            .count(|counters| counters.service_calls.push(call));
        self.publish(events.iter().cloned());
        Ok((events, context))
    }
}
