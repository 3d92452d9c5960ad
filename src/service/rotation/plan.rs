//! What a rotation does next, decided from what is stored and what the home knows. Pure: whatever a crash left behind,
//! the next run looks at the facts and goes on from there.

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

/// What a token is called that is minted at a time, since the Unix epoch.
pub(super) fn name(marker: &str, minted_at: Duration, number: u32) -> String {
    format!("{marker}{} {number:08x}", minted_at.as_secs())
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
    /// For how long after it was minted a token may still come to be stored, by a run that is slow, or unseen.
    pub(super) settling: Duration,
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
    /// Wait: a token that is to be revoked may still be in use, or come to be.
    Drain { until: Duration },
    /// Mint another token, prove it and store it.
    Mint,
    /// All is done.
    Nothing,
}

impl Facts {
    /// The next step; a token is minted only if `begin` and nothing is left to be done.
    pub(super) fn next(&self, begin: bool) -> Step {
        let orphans = self.orphans().map(|(id, minted_at)| {
            let until = minted_at.saturating_add(self.settling);
            (until, Step::RevokeOrphan { id: id.to_owned() })
        });
        let replaced = self.replaced().map(|(id, replaced_at)| {
            let until = replaced_at.saturating_add(self.drain);
            (until, Step::RevokeReplaced { id: id.to_owned() })
        });
        match orphans.chain(replaced).min_by_key(|(until, _)| *until) {
            Some((until, step)) if until <= self.now => step,
            Some((until, _)) => Step::Drain { until },
            None if begin => Step::Mint,
            None => Step::Nothing,
        }
    }

    /// Whether a rotation was begun and not finished.
    pub(super) fn is_under_way(&self) -> bool {
        self.replaced().any(|(id, _)| self.was_stored(id))
    }

    fn is_ours(&self, token: &Known) -> bool {
        token.client_name.starts_with(&self.marker)
    }

    /// The tokens of ours that no version holds or can have held, each with when it was minted.
    fn orphans(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.unstored()
            .filter(|(_, minted_at)| *minted_at >= self.history_begins())
    }

    /// The tokens of ours that no version holds, each with when it was minted.
    fn unstored(&self) -> impl Iterator<Item = (&str, Duration)> {
        let unstored = |token: &&Known| self.is_ours(token) && !self.was_stored(&token.id);
        self.known.iter().filter(unstored).map(|token| {
            let rest = token.client_name.strip_prefix(&self.marker);
            let seconds = rest.and_then(|rest| rest.split(' ').next()?.parse().ok());
            // One whose name was changed by hand is as old as can be.
            (token.id.as_str(), Duration::from_secs(seconds.unwrap_or(0)))
        })
    }

    /// From when on the versions are known: older ones are dropped, and a parameter may have been deleted and made
    /// anew. In whole seconds, as names have them.
    fn history_begins(&self) -> Duration {
        let first = self.versions.first();
        Duration::from_secs(first.map_or(0, |version| version.stored_at.as_secs()))
    }

    fn was_stored(&self, id: &str) -> bool {
        self.versions.iter().any(|version| version.token_id == id)
    }

    /// The tokens that the home still knows and a rotation has replaced: its own of before, and the one that was there
    /// before its first. What a person stored and replaced by hand is that person's to revoke. Each with when it was
    /// replaced. Tokens of ours from before the versions that are known may have been stored then.
    fn replaced(&self) -> impl Iterator<Item = (&str, Duration)> {
        let begin = self.history_begins();
        let forgotten = self
            .unstored()
            .filter(move |(_, minted_at)| *minted_at < begin)
            .map(move |(id, _)| (id, begin));
        let current = self
            .versions
            .last()
            .map(|version| version.token_id.as_str());
        let replaced = self.known.iter().filter_map(move |token| {
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
        });
        replaced.chain(forgotten)
    }
}

#[cfg(test)]
mod tests;
