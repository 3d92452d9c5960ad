//! Outcomes of an operation on one or several homes.

use crate::base::home_name::HomeName;
use crate::service::failure::Failure;

/// The outcome of an operation for each of its homes.
#[derive(Debug)]
pub(crate) enum PerHome<T> {
    /// The outcome for the only home that is served or requested.
    Only(Result<T, Failure>),
    /// The outcomes for several homes, sorted by name. The home without a name comes first.
    Each(Vec<(Option<HomeName>, Result<T, Failure>)>),
}

impl<T> PerHome<T> {
    /// Creates the outcome of `homes`. Returns `Only` if latchkey serves a single home.
    pub(super) fn new(
        mut homes: Vec<(Option<HomeName>, Result<T, Failure>)>,
        are_several: bool,
    ) -> Self {
        if !are_several && let Some((_, only)) = homes.pop() {
            return Self::Only(only);
        }
        homes.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self::Each(homes)
    }
}
