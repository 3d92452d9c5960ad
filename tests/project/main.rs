//! Rules of this repository, checked by reading its files.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic, also in what they share"
)]

mod architecture;
mod dependencies;
mod documentation;
