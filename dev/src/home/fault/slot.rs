//! The armed fault of one kind.

use std::sync::Mutex;

use crate::lock::locked;

#[derive(Debug)]
struct Armed<F> {
    fault: F,
    /// How often the fault still takes effect. `None` is without limit.
    remaining: Option<u32>,
}

/// The armed fault of one kind, if any.
#[derive(Debug)]
pub(crate) struct Slot<F>(Mutex<Option<Armed<F>>>);

impl<F: Clone> Slot<F> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn arm(&self, fault: F, remaining: Option<u32>) {
        *locked(&self.0) = (remaining != Some(0)).then_some(Armed { fault, remaining });
    }

    pub(crate) fn clear(&self) {
        *locked(&self.0) = None;
    }

    /// Passes the armed fault to `wanted` and returns the result. Does not use the fault.
    pub(crate) fn find<T>(&self, wanted: impl Fn(&F) -> Option<T>) -> Option<T> {
        locked(&self.0)
            .as_ref()
            .and_then(|armed| wanted(&armed.fault))
    }

    /// Passes the armed fault to `wanted`. A result other than `None` uses the fault once.
    pub(crate) fn take<T>(&self, wanted: impl Fn(&F) -> Option<T>) -> Option<T> {
        let mut slot = locked(&self.0);
        let armed = slot.as_mut()?;
        let found = wanted(&armed.fault)?;
        if let Some(remaining) = &mut armed.remaining {
            *remaining -= 1;
            if *remaining == 0 {
                *slot = None;
            }
        }
        Some(found)
    }
}
