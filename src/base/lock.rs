//! The mutex of this crate.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex for state that is never left half changed.
///
/// The state is therefore valid after a panic of a lock holder, and the lock ignores poisoning. No task awaits while it
/// holds the lock. The critical sections are short, and a mutex of the standard library is the fastest for them.
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    /// Creates a lock around `value`.
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Waits for the lock. The returned guard releases the lock on drop.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_stays_usable_after_a_holder_panics() {
        let lock = std::sync::Arc::new(Lock::new(1));
        let holder = lock.clone();
        let panicked = std::thread::spawn(move || {
            let _guard = holder.lock();
            panic!("while the lock is held");
        });
        assert!(panicked.join().is_err());
        *lock.lock() += 1;
        assert_eq!(*lock.lock(), 2);
    }
}
