//! Names of Parameter Store parameters: a name or an ARN, with an optional version or label.

/// The longest name or ARN that Parameter Store accepts, with its selector.
const MAX_BYTES: usize = 2_048;

/// The longest version label that Parameter Store accepts.
const MAX_LABEL_BYTES: usize = 100;

/// The name of a parameter, as an operator writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParameterName<'a> {
    /// The name. The name in an ARN has no leading slash.
    name: &'a str,
    is_arn: bool,
    selector: Option<&'a str>,
}

/// The reason why a text is not a parameter name. The message never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParameterNameError {
    /// The text is not a name.
    #[error(
        "is not a parameter name; use letters, digits and . - _ /, starting with /, or an ARN of Parameter Store"
    )]
    Name,
    /// The ARN is of another kind of resource, or has an unknown form.
    #[error(
        "is not the ARN of a parameter in Parameter Store, which looks like arn:aws:ssm:REGION:ACCOUNT:parameter/NAME"
    )]
    Arn,
}

impl<'a> ParameterName<'a> {
    /// Parses a name or an ARN, with the optional version or label after a colon.
    pub(crate) fn parse(text: &'a str) -> Result<Self, ParameterNameError> {
        let is_arn = text.starts_with("arn:");
        let error = if is_arn {
            ParameterNameError::Arn
        } else {
            ParameterNameError::Name
        };
        let parsed = if is_arn {
            Self::of_arn(text)
        } else {
            Self::of_name(text)
        };
        parsed.filter(|_| text.len() <= MAX_BYTES).ok_or(error)
    }

    fn of_name(text: &'a str) -> Option<Self> {
        let (name, selector) = selected(text)?;
        let is_path = match name.strip_prefix('/') {
            Some(path) => is_path(path),
            None => is_step(name),
        };
        is_path.then_some(Self {
            name,
            is_arn: false,
            selector,
        })
    }

    fn of_arn(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let (_, partition, service, region, account) =
            (next()?, next()?, next()?, next()?, next()?);
        let (name, selector) = selected(next()?.strip_prefix("parameter/")?)?;
        let is_word = |text: &str| {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !text.is_empty() && text.chars().all(allowed)
        };
        let is_account = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
        let is_parameter = partition.starts_with("aws")
            && is_word(partition)
            && service == "ssm"
            && is_word(region)
            && is_account
            && is_path(name);
        is_parameter.then_some(Self {
            name,
            is_arn: true,
            selector,
        })
    }

    /// Returns the name without ARN and selector, for API calls that accept neither.
    pub(crate) fn plain(&self) -> String {
        if self.is_arn {
            format!("/{}", self.name)
        } else {
            self.name.to_owned()
        }
    }

    /// Returns the version or label that the name is pinned to.
    pub(crate) fn selector(&self) -> Option<&'a str> {
        self.selector
    }

    /// Returns true if the name can be the prefix of other parameter names.
    pub(crate) fn is_prefix(&self) -> bool {
        !self.is_arn && self.selector.is_none() && self.name.starts_with('/')
    }

    /// Returns true if both names mean the same parameter, regardless of their form and version.
    pub(crate) fn is_same(&self, other: &ParameterName<'_>) -> bool {
        self.name.trim_start_matches('/') == other.name.trim_start_matches('/')
    }
}

/// Splits a text into the name and the version or label after its colon.
fn selected(text: &str) -> Option<(&str, Option<&str>)> {
    match text.split_once(':') {
        None => Some((text, None)),
        Some((name, selector)) => {
            let is_selector = is_step(selector) && selector.len() <= MAX_LABEL_BYTES;
            is_selector.then_some((name, Some(selector)))
        }
    }
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_step)
}

fn is_step(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    !text.is_empty() && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:ssm:eu-central-1:123456789012:parameter/a/b";

    #[test]
    fn parse_accepts_names_arns_and_selectors() {
        for (text, plain, selector) in [
            ("/a/b", "/a/b", None),
            ("hatoken", "hatoken", None),
            ("/x:1", "/x", Some("1")),
            ("/x:prod", "/x", Some("prod")),
            (ARN, "/a/b", None),
            (&format!("{ARN}:12"), "/a/b", Some("12")),
            (
                "arn:aws-us-gov:ssm:us-gov-west-1:123456789012:parameter/hatoken:prod",
                "/hatoken",
                Some("prod"),
            ),
        ] {
            let name = ParameterName::parse(text).unwrap();
            assert_eq!(name.plain(), plain, "{text}");
            assert_eq!(name.selector(), selector, "{text}");
        }
    }

    #[test]
    fn parse_rejects_other_arns_and_other_texts() {
        for text in [
            "arn:aws:secretsmanager:eu-central-1:123456789012:secret:ha-AbCdEf",
            "arn:aws:ssm:eu-central-1:123456789012:document/a",
            "arn:aws:ssm:eu-central-1:123456789012:parameter/",
            "arn:aws:ssm:eu-central-1:123456789012:parameter",
            "arn:aws:ssm::123456789012:parameter/a",
            "arn:aws:ssm:eu-central-1:12345:parameter/a",
            "arn:other:ssm:eu-central-1:123456789012:parameter/a",
            "arn:aws:ssm:eu-central-1:123456789012:parameter/a:1:2",
            "arn:",
        ] {
            assert_eq!(
                ParameterName::parse(text),
                Err(ParameterNameError::Arn),
                "{text}"
            );
        }
        let long = format!("/{}", "x".repeat(MAX_BYTES));
        for text in [
            "", "/", "a/b", "/a//b", "/a/", "/x:", "/x:1:2", "/x:a/b", "/ä", "a b", &long,
        ] {
            assert_eq!(
                ParameterName::parse(text),
                Err(ParameterNameError::Name),
                "{text}"
            );
        }
    }

    #[test]
    fn is_same_ignores_form_and_selector() {
        let is_same = |one, other| {
            let one = ParameterName::parse(one).unwrap();
            one.is_same(&ParameterName::parse(other).unwrap())
        };
        let pinned = format!("{ARN}:prod");
        for (one, other) in [
            ("/a/b", "/a/b"),
            (ARN, "/a/b"),
            ("/a/b", ARN),
            ("a", "/a"),
            ("/a/b:1", "/a/b"),
            (&pinned, "/a/b"),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        assert!(!is_same("/a/b", "/a/c"));
        assert!(!is_same(ARN, "/b"));
        assert!(!is_same("/x:1", "/x1"));
    }
}
