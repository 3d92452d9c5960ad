//! A token source that a test fills and counts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use latchkey::home::source::{
    Origin, SecretSource, Setting, SourceError, SourceFault, StoredSecret,
};

/// A secret source that holds a value of the test's choice and counts its reads.
#[derive(Default)]
pub struct Stored {
    value: Mutex<Option<Result<String, SourceError>>>,
    version: AtomicU64,
    reads: AtomicU64,
}

impl Stored {
    /// Stores a value, or the error of reading it, as a new version.
    pub fn put(&self, value: Result<&str, SourceError>) {
        *self.value.lock().unwrap() = Some(value.map(str::to_owned));
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    /// Makes every later read fail.
    pub fn fail(&self, fault: SourceFault) {
        *self.value.lock().unwrap() = Some(Err(self.origin().failed(fault)));
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns the number of reads.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }
}

impl SecretSource for Stored {
    fn fetch(&self) -> BoxFuture<'_, Result<StoredSecret, SourceError>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let version = i64::try_from(self.version.load(Ordering::SeqCst)).unwrap();
        let value = self.value.lock().unwrap().clone().unwrap();
        Box::pin(std::future::ready(value.map(|text| StoredSecret {
            value: text.into(),
            version: Some(version),
        })))
    }

    fn origin(&self) -> Origin {
        Origin::new(Setting::Token, "/stored")
    }
}
