//! Checks of the documentation: examples, commands, links, variables, problems and figures.
//!
//! Each check returns its findings. It runs on the real pages, where it must find nothing, and on a page with a planted
//! fault, where it must find something.

mod example;
mod form;
mod page;
mod shell;
mod stack;
mod table;
mod types;
mod variable;
