//! What can come between a caller and a home, and random choices of it.

use std::time::Duration;

use fastrand::Rng;
use latchkey_dev::home::{ConnectionFault, Fault, RestFault, SocketFault};
use latchkey_dev::relay::{Direction, Ending, RelayCounters};

/// Which callers send what, on which kind of connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    /// Whether the connection has been used before.
    pub(crate) is_warm: bool,
    /// How many callers there are at once.
    pub(crate) callers: usize,
    /// How many commands each of them sends.
    pub(crate) batch: usize,
}

/// How many bytes an undisturbed exchange takes each way.
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

/// When so many bytes have passed one way.
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

/// What goes wrong.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// The connection that carries the last of these bytes is cut right behind it.
    Cut(Moment, Ending),
    /// All connections are cut.
    CutAll(Moment, Ending),
    /// All connections go silent.
    Silence(Moment),
    /// The home starts anew, after a farewell or without one.
    Restart { at: Moment, says_goodbye: bool },
    /// The token is deleted, and perhaps another has taken its place by then.
    Revoke { at: Moment, is_replaced: bool },
    /// The home misbehaves, so many times or without end.
    Fault(Fault, Option<u32>),
}

/// One run of the randomised test.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) shape: Shape,
    pub(crate) trouble: Trouble,
    /// Threads of latchkey's runtime.
    pub(crate) threads: usize,
    /// What the callers have, where that is less than latchkey's own limits.
    pub(crate) patience: Option<Duration>,
}

impl Shape {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [false, true].into_iter().flat_map(|is_warm| {
            (1..=2).flat_map(move |callers| {
                (1..=5).map(move |batch| Self {
                    is_warm,
                    callers,
                    batch,
                })
            })
        })
    }

    fn random(random: &mut Rng) -> Self {
        Self {
            is_warm: random.bool(),
            // Mostly one, as in Lambda.
            callers: [1, 1, 2][random.usize(..3)],
            batch: random.usize(1..=5),
        }
    }
}

impl Case {
    /// A case by its seed; `bytes` knows what each shape takes.
    pub(crate) fn random(seed: u64, bytes: impl Fn(Shape) -> Bytes) -> Self {
        let mut random = Rng::with_seed(seed);
        let shape = Shape::random(&mut random);
        let trouble = Trouble::random(&mut random, bytes(shape));
        Self {
            shape,
            trouble,
            threads: random.usize(1..=2),
            patience: (random.u8(..10) == 0).then(|| Duration::from_millis(random.u64(1..400))),
        }
    }
}

impl Trouble {
    fn random(random: &mut Rng, bytes: Bytes) -> Self {
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
                let faults = faults();
                let fault = faults[random.usize(..faults.len())].clone();
                Self::Fault(fault, random.bool().then_some(1))
            }
        }
    }
}

/// All faults of a home, those that would only take long made short.
fn faults() -> Vec<Fault> {
    let rest = RestFault::all().into_iter().map(|fault| match fault {
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
