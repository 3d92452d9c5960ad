//! Finds a caller's token in the `Authorization` header, a cookie, a subprotocol or the query.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, ORIGIN, SEC_WEBSOCKET_PROTOCOL};

use crate::base::config::Origins;
use crate::service::access::AccessError;

/// The name of the cookie that may contain a caller's token.
const COOKIE_NAME: &str = "latchkey_token";

/// The subprotocol that carries a token is this text with the token behind it.
const BEARER_SUBPROTOCOL: &str = "latchkey.bearer.";

/// The subprotocol that latchkey chooses. It never contains a token.
pub(crate) const SUBPROTOCOL: &str = "latchkey";

/// Returns the token in the request, if there is one.
pub(crate) fn token<'a>(
    headers: &'a HeaderMap,
    origins: &Origins,
) -> Result<Option<&'a str>, AccessError> {
    let mut found = None;
    in_header(headers, &mut found)?;
    with_cookies(headers, origins, found)
}

/// Returns the token in a request for a WebSocket connection, if there is one. `query` is the token in the query of the
/// URL, if such tokens are accepted.
pub(crate) fn connection_token<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
    origins: &Origins,
) -> Result<Option<&'a str>, AccessError> {
    let mut found = None;
    in_header(headers, &mut found)?;
    for token in subprotocols(headers).filter_map(|name| name.strip_prefix(BEARER_SUBPROTOCOL)) {
        only(&mut found, token)?;
    }
    if let Some(token) = query {
        only(&mut found, token)?;
    }
    with_cookies(headers, origins, found)
}

/// Returns the subprotocols that a client offers.
pub(crate) fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let headers = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    let names = headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(','));
    names.map(str::trim)
}

/// Records the token in the `Authorization` header.
fn in_header<'a>(headers: &'a HeaderMap, found: &mut Option<&'a str>) -> Result<(), AccessError> {
    for header in headers.get_all(AUTHORIZATION) {
        let text = header.to_str().unwrap_or_default();
        let token = match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => {
                return Err(AccessError::Malformed(
                    "the Authorization header does not have the form `Bearer <token>`",
                ));
            }
        };
        only(found, token)?;
    }
    Ok(())
}

/// Returns the token after a look at the cookies. `found` is the token outside of cookies.
fn with_cookies<'a>(
    headers: &'a HeaderMap,
    origins: &Origins,
    mut found: Option<&'a str>,
) -> Result<Option<&'a str>, AccessError> {
    let is_sent_by_the_page = found.is_some();
    for token in cookies(headers) {
        only(&mut found, token)?;
    }
    // A browser sends cookies with the requests of every page.
    if found.is_some() && !is_sent_by_the_page && !may_send_cookies(headers, origins) {
        return Err(AccessError::Origin);
    }
    Ok(found)
}

/// Records a token. Two different tokens are an error, because they may belong to two callers.
fn only<'a>(found: &mut Option<&'a str>, token: &'a str) -> Result<(), AccessError> {
    match found.replace(token) {
        Some(other) if other != token => Err(AccessError::TwoTokens),
        _ => Ok(()),
    }
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let headers = headers.get_all(COOKIE).into_iter();
    let pairs = headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'));
    pairs.filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE_NAME).then_some(value)
    })
}

/// Returns true if the page is latchkey's own or has a configured origin. Pages cannot set these headers themselves.
fn may_send_cookies(headers: &HeaderMap, origins: &Origins) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|header| header == value);
    is("sec-fetch-site", "same-origin")
        || match origins {
            Origins::These(origins) => origins.iter().any(|origin| is(ORIGIN.as_str(), origin)),
            Origins::Any | Origins::None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "https://house.example";

    fn found(headers: &[(&'static str, &str)]) -> Result<Option<String>, AccessError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let origins = Origins::These(vec![HERE.to_owned()]);
        token(&map, &origins).map(|token| token.map(str::to_owned))
    }

    #[test]
    fn token_is_read_from_header_or_cookie() {
        let a = Ok(Some("a".to_owned()));
        for (headers, expected) in [
            (&[][..], Ok(None)),
            (&[("authorization", "Bearer a")], a.clone()),
            (&[("authorization", "bearer  a ")], a.clone()),
            (
                &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
                a.clone(),
            ),
            (
                &[("authorization", "Bearer a"), ("authorization", "Bearer b")],
                Err(AccessError::TwoTokens),
            ),
            (
                &[
                    ("authorization", "Bearer a"),
                    ("cookie", "latchkey_token=b"),
                ],
                Err(AccessError::TwoTokens),
            ),
            (
                &[
                    ("authorization", "Bearer a"),
                    ("cookie", "latchkey_token=a"),
                ],
                a.clone(),
            ),
            (
                &[
                    ("cookie", "theme=dark; latchkey_token=a; x"),
                    ("origin", HERE),
                ],
                a.clone(),
            ),
            (
                &[
                    ("cookie", "latchkey_token=a"),
                    ("sec-fetch-site", "same-origin"),
                ],
                a,
            ),
            (
                &[
                    ("cookie", "latchkey_token=a"),
                    ("cookie", "latchkey_token=b"),
                    ("origin", HERE),
                ],
                Err(AccessError::TwoTokens),
            ),
            (
                &[("cookie", "latchkey_token_2=a"), ("origin", HERE)],
                Ok(None),
            ),
        ] {
            assert_eq!(found(headers), expected, "{headers:?}");
        }
        assert!(matches!(
            found(&[("authorization", "Basic a")]),
            Err(AccessError::Malformed(_))
        ));
    }

    #[test]
    fn cookie_from_another_page_is_rejected() {
        let cookie = ("cookie", "latchkey_token=a");
        for other in [
            ("origin", "https://evil.example"),
            ("origin", "http://house.example"),
            ("origin", "https://house.example.evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
            ("referer", HERE),
        ] {
            assert_eq!(
                found(&[cookie, other]),
                Err(AccessError::Origin),
                "{other:?}"
            );
        }
        assert_eq!(found(&[cookie]), Err(AccessError::Origin));
    }

    #[test]
    fn connection_token_is_read_from_subprotocol_and_query() {
        let found = |headers: &[(&'static str, &str)], query: Option<&'static str>| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            let origins = Origins::These(vec![HERE.to_owned()]);
            connection_token(&map, query, &origins).map(|token| token.map(str::to_owned))
        };
        let a = Ok(Some("a".to_owned()));
        let protocol = |value| ("sec-websocket-protocol", value);
        assert_eq!(found(&[], None), Ok(None));
        assert_eq!(found(&[protocol("latchkey")], None), Ok(None));
        assert_eq!(found(&[protocol("latchkey, latchkey.bearer.a")], None), a);
        assert_eq!(found(&[], Some("a")), a);
        assert_eq!(
            found(
                &[
                    protocol("latchkey.bearer.a"),
                    ("authorization", "Bearer a"),
                    ("cookie", "latchkey_token=a")
                ],
                Some("a")
            ),
            a
        );
        for (headers, query) in [
            (&[protocol("latchkey.bearer.b")][..], Some("a")),
            (&[protocol("latchkey.bearer.a,latchkey.bearer.b")], None),
            (&[("authorization", "Bearer b")], Some("a")),
            (
                &[
                    protocol("latchkey.bearer.a"),
                    ("cookie", "latchkey_token=b"),
                ],
                None,
            ),
        ] {
            assert_eq!(found(headers, query), Err(AccessError::TwoTokens));
        }
        // A cookie of a foreign page does no harm next to the page's own token.
        let both = [
            protocol("latchkey.bearer.a"),
            ("cookie", "latchkey_token=a"),
        ];
        assert_eq!(found(&both, None), a);
        assert_eq!(
            found(
                &[
                    ("cookie", "latchkey_token=a"),
                    ("origin", "https://evil.example")
                ],
                None
            ),
            Err(AccessError::Origin)
        );
    }
}
