//! A connection of a client.

use std::{net::IpAddr, sync::Mutex};

use time::OffsetDateTime;
use tokio::{sync::mpsc, time::Instant};
use tokio_tungstenite::tungstenite::Message;

use super::{
    clock::{Clock, later},
    options::GatewayOptions,
    spelling,
};
use crate::lock::locked;

/// An order to the task that owns the WebSocket. Orders are carried out one after another.
#[derive(Debug)]
pub(super) enum Order {
    /// Send this message.
    Send(Message),
    /// Close the WebSocket, because the function has deleted the connection.
    Close,
}

/// A connection of a client, from its handshake on.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: String,
    pub(super) source_ip: IpAddr,
    pub(super) user_agent: Option<String>,
    pub(super) connected_at: OffsetDateTime,
    opened: Instant,
    activity: Mutex<Activity>,
    orders: mpsc::UnboundedSender<Order>,
}

/// The time of the last frame in either direction.
#[derive(Clone, Copy, Debug)]
struct Activity {
    /// The time of the gateway's clock, for the limits.
    at: Instant,
    /// The time of the system's clock, for the function.
    time: OffsetDateTime,
}

impl Connection {
    /// Creates a connection and the receiver of its orders.
    pub(super) fn new(
        source_ip: IpAddr,
        user_agent: Option<String>,
        clock: &Clock,
    ) -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (orders, received) = mpsc::unbounded_channel();
        let now = Activity {
            at: clock.now(),
            time: OffsetDateTime::now_utc(),
        };
        let connection = Self {
            id: spelling::id(),
            source_ip,
            user_agent,
            connected_at: now.time,
            opened: now.at,
            activity: Mutex::new(now),
            orders,
        };
        (connection, received)
    }

    /// Gives an order. An order after the end of the connection has no effect.
    pub(super) fn order(&self, order: Order) {
        // An error means that the WebSocket has ended.
        let _ = self.orders.send(order);
    }

    /// Notes a frame in either direction.
    pub(super) fn touch(&self, clock: &Clock) {
        *locked(&self.activity) = Activity {
            at: clock.now(),
            time: OffsetDateTime::now_utc(),
        };
    }

    /// Returns the time of the last frame.
    pub(super) fn last_active_at(&self) -> OffsetDateTime {
        locked(&self.activity).time
    }

    /// Returns the time of the gateway's clock at which the connection is closed if no frame comes before.
    pub(super) fn deadline(&self, options: &GatewayOptions) -> Instant {
        let idle = later(locked(&self.activity).at, options.idle);
        idle.min(later(self.opened, options.lifetime))
    }
}
