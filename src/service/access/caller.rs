//! Who is calling, and what they may do.

use std::time::Duration;

use super::permission::Permission;
use crate::base::home_name::HomeName;

/// A caller who has proven who they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// Who.
    pub subject: String,
    /// To which tenant they belong, which names their home.
    pub tenant: Option<HomeName>,
    /// What they may do.
    pub permissions: Vec<Permission>,
    /// How much they may do.
    pub plan: Option<String>,
    /// Until when they have proven it, since the Unix epoch.
    pub expires_at: Duration,
}

impl Caller {
    /// Whoever calls where callers need not prove who they are, which is only so locally: they may do everything.
    pub fn unproven() -> Self {
        Self {
            subject: "local".into(),
            tenant: None,
            permissions: vec![Permission::Admin],
            plan: None,
            expires_at: Duration::MAX,
        }
    }

    /// Whether they may do everything.
    pub fn is_admin(&self) -> bool {
        self.permissions.contains(&Permission::Admin)
    }

    /// What they may read.
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

/// What may be read of a home.
#[derive(Clone, Debug, PartialEq)]
pub enum Reads {
    /// All of it.
    Everything,
    /// Entities that one of these stands for; none of them is nothing.
    Only(Vec<super::permission::Glob>),
}

impl Reads {
    /// Whether this entity may be read.
    pub fn allow(&self, entity_id: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(globs) => globs.iter().any(|glob| glob.matches(entity_id)),
        }
    }

    /// Whether nothing may be read.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Only(globs) if globs.is_empty())
    }
}
