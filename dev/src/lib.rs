//! The local stack.

pub mod home;
pub mod relay;
pub mod stack;
