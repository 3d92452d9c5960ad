//! Requests over the home's REST API: warm, cold and after a freeze.

use std::time::Duration;

use crate::error::Error;
use crate::figures::Figure;
use crate::freeze::{self, Thaw};
use crate::request::Request;
use crate::surroundings::Surroundings;
use crate::{cold, warm};

pub(super) const WHAT: &str =
    "as the three parts for commands; after a freeze, the HTTP connection is kept or closed";

/// The names of the figures of a request.
pub(super) struct Names {
    pub(super) warm: &'static str,
    pub(super) cold: &'static str,
    pub(super) thaw: &'static str,
    pub(super) thaw_closed: &'static str,
}

pub(super) const DIRECTIVE: Names = Names {
    warm: "directive_warm",
    cold: "directive_cold",
    thaw: "directive_thaw",
    thaw_closed: "directive_thaw_closed",
};

pub(super) const WRITE: Names = Names {
    warm: "write_warm",
    cold: "write_cold",
    thaw: "write_thaw",
    thaw_closed: "write_thaw_closed",
};

pub(super) const READ: Names = Names {
    warm: "read_warm",
    cold: "read_cold",
    thaw: "read_thaw",
    thaw_closed: "read_thaw_closed",
};

/// Measures a request. `freeze` is the duration of the freeze, if it is not the default.
pub(super) async fn measure(
    surroundings: &Surroundings,
    request: Request,
    names: &Names,
    freeze: Option<Duration>,
) -> Result<Vec<Figure>, Error> {
    let mut figures = warm::measure(surroundings, names.warm, request).await?;
    figures.extend(cold::measure(surroundings, names.cold, request).await?);
    for (name, is_cut) in [(names.thaw, false), (names.thaw_closed, true)] {
        let thaw = Thaw { request, is_cut };
        figures.extend(freeze::measure(surroundings, name, thaw, freeze).await?);
    }
    Ok(figures)
}
