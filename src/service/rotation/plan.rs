//! Decides the next step of a rotation from the stored versions and the tokens that the home knows. The decision is a
//! pure function, so that a run can continue from any state that a crash left behind.

use std::time::Duration;

/// A version of the stored token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// The home's id of the token.
    pub(super) token_id: String,
    /// The time at which the version was stored, since the Unix epoch.
    pub(super) stored_at: Duration,
}

/// A long-lived token that the home knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) client_name: String,
}

/// Returns the client name of a token that is minted at `minted_at` (since the Unix epoch).
pub(super) fn name(marker: &str, minted_at: Duration, number: u32) -> String {
    format!("{marker}{} {number:08x}", minted_at.as_secs())
}

/// The facts from which the next step follows.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The time, since the Unix epoch.
    pub(super) now: Duration,
    /// The prefix of the client names of all tokens that rotations of this parameter have minted.
    pub(super) marker: String,
    /// The time for which a token may still be in use after it was replaced.
    pub(super) drain: Duration,
    /// The time after minting for which a slow run may still store a token, or its store may not be visible yet.
    pub(super) settling: Duration,
    /// The versions whose token id is known, oldest first. The last version is the current one.
    pub(super) versions: Vec<Version>,
    /// The long-lived tokens of the same user.
    pub(super) known: Vec<Known>,
}

/// The next step of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Revoke a token that was minted but never stored, so it is not in use.
    RevokeOrphan { id: String },
    /// Revoke a token that was replaced so long ago that it is out of use.
    RevokeReplaced { id: String },
    /// Wait: the next token to revoke may still be in use, or may still be stored.
    Drain { until: Duration },
    /// Mint a new token, prove it and store it.
    Mint,
    /// The rotation is complete.
    Nothing,
}

impl Facts {
    /// Returns the next step. The step is `Mint` only if `begin` is true and no token is left to revoke.
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

    /// Returns true if a rotation has begun and is not complete.
    pub(super) fn is_under_way(&self) -> bool {
        self.replaced().any(|(id, _)| self.was_stored(id))
    }

    fn is_ours(&self, token: &Known) -> bool {
        token.client_name.starts_with(&self.marker)
    }

    /// Returns latchkey's tokens that no version holds or has held, each with the time of its minting.
    fn orphans(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.unstored()
            .filter(|(_, minted_at)| *minted_at >= self.history_begins())
    }

    /// Returns latchkey's tokens that no known version holds, each with the time of its minting.
    fn unstored(&self) -> impl Iterator<Item = (&str, Duration)> {
        let unstored = |token: &&Known| self.is_ours(token) && !self.was_stored(&token.id);
        self.known.iter().filter(unstored).map(|token| {
            let rest = token.client_name.strip_prefix(&self.marker);
            let seconds = rest.and_then(|rest| rest.split(' ').next()?.parse().ok());
            // A name that a person has changed contains no time. Its token counts as minted in 1970.
            (token.id.as_str(), Duration::from_secs(seconds.unwrap_or(0)))
        })
    }

    /// Returns the time of the oldest known version, in whole seconds like the times in client names. Older versions
    /// are unknown: Parameter Store drops them, and the parameter may have been deleted and created again.
    fn history_begins(&self) -> Duration {
        let first = self.versions.first();
        Duration::from_secs(first.map_or(0, |version| version.stored_at.as_secs()))
    }

    fn was_stored(&self, id: &str) -> bool {
        self.versions.iter().any(|version| version.token_id == id)
    }

    /// Returns the tokens that a rotation has replaced and that the home still knows, each with the time of its
    /// replacement. These are the tokens of earlier rotations, and the token from before the first rotation. A token
    /// that a person has both stored and replaced is not included: that person must revoke it. A token of latchkey that
    /// is older than the known versions is included, because an unknown version may have held it.
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
