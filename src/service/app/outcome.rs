//! Outcomes of an operation on one or several homes.

use crate::base::home_name::HomeName;

/// The outcome of an operation for each of its homes. The door that requested the operation chooses its form.
#[derive(Debug)]
pub(crate) enum PerHome<Only, Each = Only> {
    /// The outcome for the only home that is served or requested.
    Only(Only),
    /// The outcomes for several homes, sorted by name. The home without a name comes first.
    Each(Vec<(Option<HomeName>, Each)>),
}

impl<T> PerHome<T> {
    /// Creates the outcome of `homes`. Returns `Only` if latchkey serves a single home.
    pub(super) fn new(mut homes: Vec<(Option<HomeName>, T)>, are_several: bool) -> Self {
        if !are_several && let Some((_, only)) = homes.pop() {
            return Self::Only(only);
        }
        Self::each(homes)
    }
}

impl<Only, Each> PerHome<Only, Each> {
    /// Creates the outcome of several homes.
    pub(super) fn each(mut homes: Vec<(Option<HomeName>, Each)>) -> Self {
        homes.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self::Each(homes)
    }
}
