//! The settings that connections are opened with, and the HTTP connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::base::clock::{Clock, Limit, Timestamp};
use crate::home::home_assistant::error::{HomeError, Stage};
use crate::home::home_assistant::extras::Extras;
use crate::home::home_assistant::http_pool::HttpPool;
use crate::home::home_assistant::target::Target;
use crate::home::home_assistant::transport::Transport;

/// The age from which a failure may mean that the settings have changed.
const SETTINGS_MIN_AGE: Duration = Duration::from_secs(60);

/// The settings of a home's connections, and the HTTP connections that use these settings.
pub(super) struct Link {
    pub(super) transport: Arc<Transport>,
    pub(super) pool: Arc<HttpPool>,
    built_at: Timestamp,
}

/// The current link.
pub(super) struct Links {
    extras: Extras,
    clock: Arc<dyn Clock>,
    current: Mutex<Option<Arc<Link>>>,
}

impl Links {
    pub(super) fn new(extras: Extras, clock: Arc<dyn Clock>) -> Self {
        Self {
            extras,
            clock,
            current: Mutex::default(),
        }
    }

    /// Returns the link, which is built at first use. A failure is not cached.
    pub(super) async fn get(&self, target: &Target, limit: Limit) -> Result<Arc<Link>, HomeError> {
        let build = async {
            let mut current = self.current.lock().await;
            if let Some(link) = &*current {
                return Ok(link.clone());
            }
            let transport = Arc::new(Transport::load(&self.extras).await?);
            let clock = self.clock.clone();
            let pool = HttpPool::new(target.clone(), transport.clone(), clock);
            let link = Link {
                transport,
                pool: Arc::new(pool),
                built_at: self.clock.now(),
            };
            Ok(current.insert(Arc::new(link)).clone())
        };
        tokio::time::timeout(limit.duration, build)
            .await
            .unwrap_or_else(|_| Err(HomeError::out_of_time(Stage::Settings, limit)))
    }

    /// Discards the link after an error that changed settings can cause. The settings are then read again at the next
    /// use.
    pub(super) fn reload_after(&self, error: Option<&HomeError>) {
        let is_suspect = matches!(
            error,
            Some(HomeError::EdgeBlocked { .. } | HomeError::Tls { .. } | HomeError::Banned)
        );
        if is_suspect && let Ok(mut current) = self.current.try_lock() {
            let now = self.clock.now();
            current.take_if(|link| now.since(link.built_at) >= SETTINGS_MIN_AGE);
        }
    }

    /// Discards the link with its connections.
    pub(super) async fn clear(&self) {
        *self.current.lock().await = None;
    }

    /// Runs `work` on the HTTP connections, if there is a link.
    pub(super) fn with_pool(&self, work: impl FnOnce(&Arc<HttpPool>)) {
        // The lock is held only while the settings are read, and until then no connection exists.
        if let Ok(current) = self.current.try_lock()
            && let Some(link) = &*current
        {
            work(&link.pool);
        }
    }
}
