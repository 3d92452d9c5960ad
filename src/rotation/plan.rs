//! What a rotation does next, decided from what is stored and what the home knows. Pure: whatever a crash left behind, the
//! next run looks at the facts and goes on from there.

use std::time::Duration;

/// A version of the stored token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// By what the home knows the token.
    pub(super) token_id: String,
    /// When it was stored, since the Unix epoch.
    pub(super) stored_at: Duration,
}

/// A long-lived token that the home knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) client_name: String,
}

/// Everything that is to be considered.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The time, since the Unix epoch.
    pub(super) now: Duration,
    /// What the names of tokens begin with that rotations of this place have minted.
    pub(super) marker: String,
    /// For how long after it was replaced a token may still be in somebody's use.
    pub(super) drain: Duration,
    /// The versions that tell which token they hold, oldest first; the last is the current one.
    pub(super) versions: Vec<Version>,
    /// The long-lived tokens of the same user.
    pub(super) known: Vec<Known>,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Revoke a token that was minted and never stored: nobody can have it.
    RevokeOrphan { id: String },
    /// Revoke a token that was replaced so long ago that nobody uses it.
    RevokeReplaced { id: String },
    /// Wait: a replaced token may still be in use.
    Drain { until: Duration },
    /// Mint another token, prove it and store it.
    Mint,
    /// All is done.
    Nothing,
}

impl Facts {
    /// The next step; a token is minted only if `begin` and nothing is left to be done.
    pub(super) fn next(&self, begin: bool) -> Step {
        let mut orphans = self
            .known
            .iter()
            .filter(|token| self.is_ours(token) && !self.was_stored(&token.id));
        if let Some(orphan) = orphans.next() {
            return Step::RevokeOrphan {
                id: orphan.id.clone(),
            };
        }
        let mut earliest: Option<Duration> = None;
        for (id, replaced_at) in self.replaced() {
            let until = replaced_at.saturating_add(self.drain);
            if until <= self.now {
                return Step::RevokeReplaced { id: id.to_owned() };
            }
            earliest = Some(earliest.map_or(until, |at| at.min(until)));
        }
        match earliest {
            Some(until) => Step::Drain { until },
            None if begin => Step::Mint,
            None => Step::Nothing,
        }
    }

    /// Whether a rotation was begun and not finished.
    pub(super) fn is_under_way(&self) -> bool {
        self.replaced().next().is_some()
    }

    fn is_ours(&self, token: &Known) -> bool {
        token.client_name.starts_with(&self.marker)
    }

    fn was_stored(&self, id: &str) -> bool {
        self.versions.iter().any(|version| version.token_id == id)
    }

    /// The tokens that the home still knows and a rotation has replaced: its own of before, and the one that was there
    /// before its first. What a person stored and replaced by hand is that person's to revoke. Each with when it was
    /// replaced.
    fn replaced(&self) -> impl Iterator<Item = (&str, Duration)> {
        let current = self
            .versions
            .last()
            .map(|version| version.token_id.as_str());
        self.known.iter().filter_map(move |token| {
            let id = token.id.as_str();
            if Some(id) == current {
                return None;
            }
            let last = self
                .versions
                .iter()
                .rposition(|version| version.token_id == id)?;
            let successor = self.versions.get(last + 1)?;
            let is_by_rotation = self.is_ours(token)
                || self
                    .known
                    .iter()
                    .any(|other| other.id == successor.token_id && self.is_ours(other));
            is_by_rotation.then_some((id, successor.stored_at))
        })
    }
}

#[cfg(test)]
mod tests;
