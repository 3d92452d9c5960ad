//! Callers and their permissions.

use std::time::Duration;

use super::permission::Permission;
use crate::base::home_name::HomeName;

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// The subject of the caller's token.
    pub subject: String,
    /// The caller's tenant, which is also the name of the caller's home.
    pub tenant: Option<HomeName>,
    /// The caller's permissions.
    pub permissions: Vec<Permission>,
    /// The caller's plan, which sets the rate limit.
    pub plan: Option<String>,
    /// The time at which the caller's token expires, since the Unix epoch.
    pub expires_at: Duration,
}

impl Caller {
    /// Returns the caller of unauthenticated requests, which are allowed only locally. It has all permissions.
    pub fn unproven() -> Self {
        Self {
            subject: "local".into(),
            tenant: None,
            permissions: vec![Permission::Admin],
            plan: None,
            expires_at: Duration::MAX,
        }
    }

    /// Returns true if the caller has the permission `admin`.
    pub fn is_admin(&self) -> bool {
        self.permissions.contains(&Permission::Admin)
    }

    /// Returns the entities that the caller may read.
    pub(super) fn reads(&self) -> Reads {
        let mut globs = Vec::new();
        for permission in &self.permissions {
            match permission {
                Permission::Admin => return Reads::Everything,
                Permission::Read(glob) if glob.is_anything() => return Reads::Everything,
                Permission::Read(glob) => globs.push(glob.clone()),
                Permission::Call { .. } | Permission::ReadHealth => {}
            }
        }
        Reads::Only(globs)
    }
}

/// The entities of a home that may be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Reads {
    /// The whole home.
    Everything,
    /// The entities that match one of these patterns. An empty list matches no entity.
    Only(Vec<super::permission::Glob>),
}

impl Reads {
    /// Returns true if this entity may be read.
    pub fn allow(&self, entity_id: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(globs) => globs.iter().any(|glob| glob.matches(entity_id)),
        }
    }

    /// Returns true if no entity may be read.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Only(globs) if globs.is_empty())
    }
}
