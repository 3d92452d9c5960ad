//! The local stack.

pub mod bench;
pub mod home;
pub mod relay;
pub mod stack;
