//! The tasks of a gateway.

use std::sync::Mutex;

use tokio::task::JoinSet;

use crate::lock::locked;

/// All tasks of a gateway. They end with the gateway.
#[derive(Debug)]
pub(super) struct Tasks(Mutex<Option<JoinSet<()>>>);

impl Tasks {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Some(JoinSet::new())))
    }

    /// Starts a task, unless the gateway has ended.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = &mut *locked(&self.0) {
            // Frees the results of finished tasks.
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }

    /// Ends all tasks.
    pub(super) fn abort(&self) {
        // Dropping the set aborts its tasks.
        drop(locked(&self.0).take());
    }
}
