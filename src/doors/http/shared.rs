//! The state that all routes share.

use std::sync::Arc;

use crate::base::config::Origins;
use crate::service::app::App;

/// The state that all routes share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) app: Arc<App>,
    pub(super) origins: Arc<Origins>,
}
