//! Rejected tokens that stay known when a home is closed and opened again.

use std::collections::VecDeque;

use crate::base::lock::Lock;
use crate::base::secret::Fingerprint;

/// The number of rejections that one process remembers.
const REMEMBERED: usize = 1_024;

/// The rejected tokens of each home, with the version of the parameter that held each token.
#[derive(Debug, Default)]
pub struct Rejections(Lock<VecDeque<(String, Fingerprint, Option<i64>)>>);

impl Rejections {
    pub(super) fn note(&self, home: &str, fingerprint: Fingerprint, version: Option<i64>) {
        let mut noted = self.0.lock();
        let entry = (home.to_owned(), fingerprint, version);
        if noted.contains(&entry) {
            return;
        }
        if noted.len() == REMEMBERED {
            noted.pop_front();
        }
        noted.push_back(entry);
    }

    /// Returns all tokens that one home has rejected.
    pub(super) fn of(&self, home: &str) -> Vec<(Fingerprint, Option<i64>)> {
        let noted = self.0.lock();
        let of_home = noted.iter().filter(|(of, _, _)| of == home);
        of_home
            .map(|(_, fingerprint, version)| (*fingerprint, *version))
            .collect()
    }
}
