//! Rules of this repository, checked by reading its files.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests and their helpers may panic"
)]

mod architecture;
mod documentation;
