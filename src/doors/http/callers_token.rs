//! Finds a caller's token in the `Authorization` header or in a cookie.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, ORIGIN};

use crate::base::config::Origins;
use crate::service::access::AccessError;

/// The name of the cookie that may contain a caller's token.
const COOKIE_NAME: &str = "latchkey_token";

/// Returns the token in the request, if there is one.
pub(super) fn token<'a>(
    headers: &'a HeaderMap,
    origins: &Origins,
) -> Result<Option<&'a str>, AccessError> {
    let mut found = None;
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
        only(&mut found, token)?;
    }
    let is_in_header = found.is_some();
    for token in cookies(headers) {
        only(&mut found, token)?;
    }
    // A browser sends cookies with the requests of every page.
    if found.is_some() && !is_in_header && !may_send_cookies(headers, origins) {
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
}
