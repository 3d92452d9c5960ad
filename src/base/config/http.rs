//! Settings of the HTTP door, without the authentication of callers.

use url::Url;

use super::reader::Reader;

/// The settings of the HTTP door.
#[derive(Clone, Debug, Default)]
pub struct HttpConfig {
    /// The origins whose pages may send requests.
    pub origins: Origins,
    /// The path prefix of the public URL, like `/latchkey`, for events that do not contain the prefix.
    pub base_path: Option<String>,
}

/// Origins of web pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// No origin: browsers block the pages of other sites.
    #[default]
    None,
    /// Every origin, without cookies.
    Any,
    /// These origins, each in the form that browsers send: scheme, host, and the port if it is not the default port.
    These(Vec<String>),
}

impl Reader<'_> {
    pub(super) fn http(&mut self) -> HttpConfig {
        HttpConfig {
            origins: self.origins(),
            base_path: self.base_path(),
        }
    }

    fn origins(&mut self) -> Origins {
        const NAME: &str = "CORS_ORIGINS";
        let Some(text) = self.text(NAME) else {
            return Origins::None;
        };
        if text == "*" {
            return Origins::Any;
        }
        let origins: Option<Vec<String>> =
            text.split(',').map(|part| origin(part.trim())).collect();
        match origins {
            Some(origins) => Origins::These(origins),
            None => {
                self.fault(
                    NAME,
                    "must be `*`, or a comma-separated list of origins with scheme, host and port only, like \
                     https://house.example",
                );
                Origins::None
            }
        }
    }

    fn base_path(&mut self) -> Option<String> {
        const NAME: &str = "HTTP_BASE_PATH";
        let text = self.text(NAME)?;
        let path = text.trim_end_matches('/');
        let is_plain = |step: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            !step.is_empty() && step.chars().all(allowed)
        };
        let steps = path.strip_prefix('/').map(|path| path.split('/'));
        if !steps.is_some_and(|mut steps| steps.all(is_plain)) {
            self.fault(
                NAME,
                "is not a path; use letters, digits and . - _ ~ /, starting with /, like /latchkey",
            );
            return None;
        }
        Some(path.to_owned())
    }
}

/// Returns the origin in the form that browsers send, or `None` if the text is not an origin.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let origin = url.origin();
    let ascii = origin.ascii_serialization();
    // Only one slash may follow the host, because an origin has no path.
    (origin.is_tuple() && format!("{ascii}/") == url.as_str()).then_some(ascii)
}

#[cfg(test)]
mod tests {
    use crate::base::config::{Config, Origins};

    fn read(name: &str, value: &str) -> Result<Config, Vec<&'static str>> {
        let variables = [("HA_URL", "http://ha:8123"), (name, value)];
        let config = Config::read(&variables);
        config.map_err(|error| error.0.iter().map(|fault| fault.name).collect())
    }

    #[test]
    fn cors_origins_accepts_origins_only() {
        let of = |value: &str| read("CORS_ORIGINS", value).map(|config| config.http.origins);
        let these = |origins: &[&str]| {
            Ok(Origins::These(
                origins.iter().map(|&origin| origin.to_owned()).collect(),
            ))
        };
        assert_eq!(of(""), Ok(Origins::None));
        assert_eq!(of("*"), Ok(Origins::Any));
        assert_eq!(
            of("https://a.example, http://localhost:3000"),
            these(&["https://a.example", "http://localhost:3000"])
        );
        assert_eq!(of("https://A.example:443/"), these(&["https://a.example"]));
        for bad in [
            "a.example",
            "https://a.example/path",
            "https://a.example,",
            "https://a.example,*",
            "https://user@a.example",
            "https://*.example/x",
            "null",
            "file:///",
            "https://a.example?x",
        ] {
            assert_eq!(of(bad), Err(vec!["CORS_ORIGINS"]), "{bad}");
        }
    }

    #[test]
    fn http_base_path_accepts_plain_paths_only() {
        let of = |value: &str| read("HTTP_BASE_PATH", value).map(|config| config.http.base_path);
        assert_eq!(of(""), Ok(None));
        assert_eq!(of("/latchkey/"), Ok(Some("/latchkey".to_owned())));
        assert_eq!(of("/a/b"), Ok(Some("/a/b".to_owned())));
        for bad in ["latchkey", "/", "//", "/a//b", "/a b", "/{proxy}"] {
            assert_eq!(of(bad), Err(vec!["HTTP_BASE_PATH"]), "{bad}");
        }
    }
}
