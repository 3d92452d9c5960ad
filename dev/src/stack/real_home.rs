//! A real Home Assistant.

mod control;
mod home;
mod tokens;

pub use self::{
    home::{RealHome, RealHomeOptions},
    tokens::TokenEntry,
};
