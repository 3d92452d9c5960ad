//! Rules of this repository, checked by reading its files.

mod architecture;
mod dependencies;
mod documentation;
