//! The address of a home: a base URL for its REST API, and the WebSocket URL derived from it.

use std::fmt;

use url::Url;

/// The address of a Home Assistant instance.
#[derive(Clone, PartialEq, Eq)]
pub struct HomeAddress {
    base: Url,
    socket: Url,
}

/// The reason why a text is not the address of a home. The message never repeats the text, which may contain a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text is not a URL.
    #[error("is not a URL; write it like http://homeassistant.local:8123")]
    NotAUrl,
    /// Home Assistant does not support the scheme.
    #[error("has a scheme other than http, https, ws or wss; use one of these schemes")]
    Scheme,
    /// The URL contains a user name or password.
    #[error("contains a user name or password; Home Assistant uses neither, so leave them out")]
    Credentials,
    /// The URL has a query or fragment.
    #[error("has a query or fragment; leave out everything from `?` or `#` on")]
    Query,
}

impl HomeAddress {
    /// Parses `http(s)://host[:port][/prefix]` or the `ws(s)://…/api/websocket` form.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let mut base = Url::parse(text.trim()).map_err(|_| AddressError::NotAUrl)?;
        let (http, socket_scheme) = match base.scheme() {
            "http" | "ws" => ("http", "ws"),
            "https" | "wss" => ("https", "wss"),
            _ => return Err(AddressError::Scheme),
        };
        if !base.username().is_empty() || base.password().is_some() {
            return Err(AddressError::Credentials);
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(AddressError::Query);
        }
        // All four schemes are special schemes, and `set_scheme` converts between special schemes without an error.
        base.set_scheme(http).map_err(|()| AddressError::Scheme)?;
        let path = base.path().trim_end_matches('/');
        let prefix = path
            .strip_suffix("/api/websocket")
            .or_else(|| path.strip_suffix("/api"))
            .unwrap_or(path)
            .trim_end_matches('/')
            .to_owned();
        base.set_path(&prefix);
        let mut socket = base.clone();
        socket
            .set_scheme(socket_scheme)
            .map_err(|()| AddressError::Scheme)?;
        socket.set_path(&format!("{prefix}/api/websocket"));
        Ok(Self { base, socket })
    }

    /// Returns the URL of a REST path such as `/api/config`, below the home's path prefix.
    pub fn rest(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// Returns the `ws(s)://…/api/websocket` URL.
    pub fn socket(&self) -> &Url {
        &self.socket
    }

    /// Returns true if the address has a path prefix. The home's API is expected below this prefix.
    pub fn has_path(&self) -> bool {
        !self.base.path().trim_end_matches('/').is_empty()
    }

    /// Returns true if the connection uses TLS.
    pub fn is_tls(&self) -> bool {
        self.base.scheme() == "https"
    }
}

impl fmt::Display for HomeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for HomeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_keeps_scheme_port_and_prefix() {
        for (text, rest, socket) in [
            (
                "http://ha.local:8123",
                "http://ha.local:8123/api/config",
                "ws://ha.local:8123/api/websocket",
            ),
            (
                "https://ha.example/",
                "https://ha.example/api/config",
                "wss://ha.example/api/websocket",
            ),
            (
                "https://x.example:444/home/one/",
                "https://x.example:444/home/one/api/config",
                "wss://x.example:444/home/one/api/websocket",
            ),
            (
                "ws://[::1]:8123/api/websocket",
                "http://[::1]:8123/api/config",
                "ws://[::1]:8123/api/websocket",
            ),
            (
                "wss://x.example/p/api/websocket",
                "https://x.example/p/api/config",
                "wss://x.example/p/api/websocket",
            ),
            (
                " http://10.0.0.2:8123/api/ ",
                "http://10.0.0.2:8123/api/config",
                "ws://10.0.0.2:8123/api/websocket",
            ),
        ] {
            let address = HomeAddress::parse(text).unwrap();
            assert_eq!(address.rest("/api/config").as_str(), rest, "{text}");
            assert_eq!(address.socket().as_str(), socket, "{text}");
        }
    }

    #[test]
    fn address_rejects_other_urls() {
        for (text, error) in [
            ("", AddressError::NotAUrl),
            ("homeassistant.local:8123", AddressError::Scheme),
            ("homeassistant", AddressError::NotAUrl),
            ("ftp://ha.local", AddressError::Scheme),
            ("http://", AddressError::NotAUrl),
            ("http://me:secret@ha.local", AddressError::Credentials),
            ("http://ha.local/?token=1", AddressError::Query),
            ("http://ha.local/#x", AddressError::Query),
        ] {
            assert_eq!(HomeAddress::parse(text), Err(error), "{text}");
        }
    }
}
