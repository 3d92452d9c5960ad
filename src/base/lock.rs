//! The one mutex of this crate.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex for state that is never left half changed.
///
/// A panic while it is held therefore does no harm, and the lock ignores it. No task awaits while it holds one: the
/// critical sections are short, and a mutex of the standard library is the fastest for them.
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    /// A lock around `value`.
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Waits for the lock, and holds it until the guard is dropped.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_holder_does_no_harm_to_others() {
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
