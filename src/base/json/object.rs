//! A reader for events of other services: null means absent, and an error names the member by its path.

use super::{Members, kind_of_text};

/// An object inside an event, with its path.
#[derive(Debug, Default)]
pub(crate) struct Object<'a> {
    members: Members<'a>,
    path: String,
}

/// An error about a member of an event that is missing or not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{member}` {fault}")]
pub struct MemberError {
    /// The path of the member, such as `requestContext.http.method`.
    pub member: String,
    /// The fault of the member, without its value.
    pub fault: String,
}

impl MemberError {
    pub(crate) fn new(member: impl Into<String>, fault: impl Into<String>) -> Self {
        Self {
            member: member.into(),
            fault: fault.into(),
        }
    }
}

impl<'a> Object<'a> {
    /// Creates the outermost object of an event.
    pub(crate) fn outermost(members: Members<'a>) -> Self {
        Self {
            members,
            path: String::new(),
        }
    }

    /// Returns the members.
    pub(crate) fn members(&self) -> &Members<'a> {
        &self.members
    }

    /// Returns the path of the object. The path of the outermost object is empty.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path of a member.
    pub(crate) fn path_of(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// Creates an error about a member.
    pub(crate) fn error(&self, name: &str, fault: impl Into<String>) -> MemberError {
        MemberError::new(self.path_of(name), fault)
    }

    /// Returns a member that is a string, or `None` if the member is absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, MemberError> {
        self.read(name, "a string")
    }

    /// Returns a member that is true or false. An absent member is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, MemberError> {
        Ok(self.read(name, "true or false")?.unwrap_or_default())
    }

    /// Returns a member that is an object, or `None` if the member is absent.
    pub(crate) fn object(&self, name: &str) -> Result<Option<Self>, MemberError> {
        let members = self.read(name, "an object with each member once")?;
        Ok(members.map(|members| Self {
            members,
            path: self.path_of(name),
        }))
    }

    fn read<T>(&self, name: &str, expected: &str) -> Result<Option<T>, MemberError>
    where
        T: serde::Deserialize<'a>,
    {
        let Some(raw) = self.members.value(name) else {
            return Ok(None);
        };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| {
            let found = kind_of_text(raw.get());
            self.error(name, format!("is {found}; it must be {expected}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_members_are_absent() {
        let text = r#"{"a":null,"b":"x","c":true,"o":{"p":null}}"#;
        let object = Object::outermost(Members::parse(text).unwrap());
        assert_eq!(object.text("a"), Ok(None));
        assert_eq!(object.text("missing"), Ok(None));
        assert_eq!(object.text("b"), Ok(Some("x".to_owned())));
        assert_eq!(object.flag("a"), Ok(false));
        assert_eq!(object.flag("c"), Ok(true));
        assert!(object.object("a").unwrap().is_none());
        let inner = object.object("o").unwrap().unwrap();
        assert_eq!(inner.text("p"), Ok(None));
    }

    #[test]
    fn error_names_path_and_kind_but_not_value() {
        let text = r#"{"o":{"p":5,"q":"canary"},"twice":{"a":1,"a":2},"half":"\ud800"}"#;
        let object = Object::outermost(Members::parse(text).unwrap());
        let inner = object.object("o").unwrap().unwrap();
        let error = |error: MemberError| error.to_string();
        assert_eq!(
            error(inner.text("p").unwrap_err()),
            "`o.p` is a number; it must be a string"
        );
        assert_eq!(
            error(inner.flag("q").unwrap_err()),
            "`o.q` is a string; it must be true or false"
        );
        assert_eq!(
            error(object.object("twice").unwrap_err()),
            "`twice` is an object; it must be an object with each member once"
        );
        assert!(object.text("half").is_err());
    }
}
