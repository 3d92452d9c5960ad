//! Outcomes of work that is done in one home or in several.

use crate::base::home_name::HomeName;
use crate::service::failure::Failure;

/// The outcome for each home that was worked on.
#[derive(Debug)]
pub(crate) enum PerHome<T> {
    /// The only home that is served or asked for.
    Only(Result<T, Failure>),
    /// Each of several homes, sorted by name. The home without a name comes first.
    Each(Vec<(Option<HomeName>, Result<T, Failure>)>),
}

impl<T> PerHome<T> {
    /// The outcomes of `homes`. If one home alone is served here, its outcome stands for itself.
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
