//! The cases of the randomised test: callers, faults, and their random choice.

use std::time::Duration;

use fastrand::Rng;
use latchkey_dev::home::{ConnectionFault, Fault, RestFault, SocketFault};
use latchkey_dev::relay::{Direction, Ending, RelayCounters};

/// The way of a command to the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    /// Over the WebSocket. All commands of a caller are one batch.
    Session,
    /// Over the REST API. A caller sends one command after the other.
    Rest,
}

/// The callers of a case, their commands, and the state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub(crate) route: Route,
    /// True if the connection has been used before.
    pub(crate) is_warm: bool,
    /// The number of concurrent callers.
    pub(crate) callers: usize,
    /// The number of commands that each caller sends.
    pub(crate) batch: usize,
}

/// The number of bytes of an exchange without a fault, in each direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    pub(crate) to_server: u64,
    pub(crate) to_client: u64,
}

impl Bytes {
    pub(crate) fn of(self, direction: Direction) -> u64 {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}

/// The moment at which this number of bytes has passed in one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) direction: Direction,
    pub(crate) bytes: u64,
}

impl Moment {
    pub(crate) fn has_come(self, before: &RelayCounters, now: &RelayCounters) -> bool {
        let passed = match self.direction {
            Direction::ToServer => now.bytes_to_server - before.bytes_to_server,
            Direction::ToClient => now.bytes_to_client - before.bytes_to_client,
        };
        passed >= self.bytes
    }
}

/// The fault of a case.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// No fault.
    None,
    /// The connection that carries the last of these bytes is cut right after this byte.
    Cut(Moment, Ending),
    /// All connections are cut.
    CutAll(Moment, Ending),
    /// All connections go silent.
    Silence(Moment),
    /// The home restarts, with or without closing its sockets first.
    Restart { at: Moment, says_goodbye: bool },
    /// The token is revoked. If `is_replaced`, another token is stored first.
    Revoke { at: Moment, is_replaced: bool },
    /// The home shows this fault, a number of times or without end.
    Fault(Fault, Option<u32>),
}

/// One run of the randomised test.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) shape: Shape,
    pub(crate) trouble: Trouble,
    /// The number of threads of latchkey's runtime.
    pub(crate) threads: usize,
    /// The deadline of the callers, if it is shorter than latchkey's own timeouts.
    pub(crate) patience: Option<Duration>,
}

impl Shape {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Route::Session, Route::Rest].into_iter().flat_map(|route| {
            [false, true].into_iter().flat_map(move |is_warm| {
                (1..=2).flat_map(move |callers| {
                    (1..=5).map(move |batch| Self {
                        route,
                        is_warm,
                        callers,
                        batch,
                    })
                })
            })
        })
    }

    /// Returns the number of commands whose outcome is one result.
    pub(crate) fn commands_a_run(self) -> usize {
        match self.route {
            Route::Session => self.batch,
            Route::Rest => 1,
        }
    }

    fn random(random: &mut Rng) -> Self {
        Self {
            route: if random.bool() {
                Route::Session
            } else {
                Route::Rest
            },
            is_warm: random.bool(),
            // Mostly one caller, as in Lambda.
            callers: [1, 1, 2][random.usize(..3)],
            batch: random.usize(1..=5),
        }
    }
}

impl Case {
    /// Returns the case of a seed. `bytes` returns the byte counts of a shape.
    pub(crate) fn random(seed: u64, bytes: impl Fn(Shape) -> Bytes) -> Self {
        let mut random = Rng::with_seed(seed);
        let shape = Shape::random(&mut random);
        let trouble = Trouble::random(&mut random, shape.route, bytes(shape));
        Self {
            shape,
            trouble,
            threads: random.usize(1..=2),
            patience: (random.u8(..10) == 0).then(|| Duration::from_millis(random.u64(1..400))),
        }
    }
}

impl Trouble {
    fn random(random: &mut Rng, route: Route, bytes: Bytes) -> Self {
        let direction = if random.bool() {
            Direction::ToServer
        } else {
            Direction::ToClient
        };
        let at = Moment {
            direction,
            bytes: random.u64(0..=bytes.of(direction)),
        };
        let ending = if random.bool() {
            Ending::Fin
        } else {
            Ending::Reset
        };
        match random.u8(..16) {
            0 => Self::None,
            1..=6 => Self::Cut(at, ending),
            7..=8 => Self::CutAll(at, ending),
            9 => Self::Silence(at),
            10..=11 => Self::Restart {
                at,
                says_goodbye: random.bool(),
            },
            12..=13 => Self::Revoke {
                at,
                is_replaced: random.bool(),
            },
            _ => {
                let faults = faults(route);
                let fault = faults[random.usize(..faults.len())].clone();
                Self::Fault(fault, random.bool().then_some(1))
            }
        }
    }
}

/// Returns all faults of a home. Slow faults are shortened. A REST request cannot tell a made-up JSON answer with status
/// 200 from the home's, so it does not meet such answers.
fn faults(route: Route) -> Vec<Fault> {
    let is_made_up = |fault: &RestFault| {
        matches!(
            fault,
            RestFault::NotJson
                | RestFault::EmptyJson
                | RestFault::NoVersion
                | RestFault::JsonArray
                | RestFault::SlowBody(_)
                | RestFault::HugeBody(_)
        )
    };
    let rest = RestFault::all().into_iter();
    let rest = rest.filter(|fault| route == Route::Session || !is_made_up(fault));
    let rest = rest.map(|fault| match fault {
        RestFault::SlowBody(_) => RestFault::SlowBody(Duration::from_millis(1)),
        RestFault::HugeBody(_) => RestFault::HugeBody(2 << 20),
        other => other,
    });
    let socket = SocketFault::all().into_iter().map(|fault| match fault {
        SocketFault::SlowReply(_) => SocketFault::SlowReply(Duration::from_millis(1)),
        SocketFault::HugeReply(_) => SocketFault::HugeReply(2 << 20),
        other => other,
    });
    let connection = ConnectionFault::all().into_iter();
    connection
        .map(Fault::from)
        .chain(rest.map(Fault::from))
        .chain(socket.map(Fault::from))
        .collect()
}
