//! The path prefix of the public URL: a stage, the base path of a custom domain, or the value of `HTTP_BASE_PATH`.

use std::collections::HashMap;

/// The path prefix from the configuration.
pub(crate) struct BasePath(Option<String>);

/// The API route of an event.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// The route's template, such as `/api/{proxy+}`.
    pub(super) template: Option<String>,
    /// The values of the template's parameters.
    pub(super) parameters: HashMap<String, String>,
    /// The stage, if it can be part of the path.
    pub(super) stage: Option<String>,
}

impl BasePath {
    /// Creates a base path from the configuration. The path has no trailing slash.
    pub(crate) fn configured(path: Option<String>) -> Self {
        Self(path)
    }

    /// Returns the path prefix of a request.
    pub(super) fn of(&self, path: &str, route: &Route) -> String {
        let from_event = before(path, route.template.as_deref(), &route.parameters)
            .or_else(|| stage_in(path, route.stage.as_deref()))
            .unwrap_or_default();
        let rest = &path[from_event.len()..];
        match &self.0 {
            Some(configured) if is_before(rest, configured) => format!("{from_event}{configured}"),
            _ => from_event,
        }
    }
}

/// Returns the stage as a path prefix. HTTP APIs put the name of every stage except the default stage before the path.
fn stage_in(path: &str, stage: Option<&str>) -> Option<String> {
    let prefix = format!("/{}", stage.filter(|stage| *stage != "$default")?);
    is_before(path, &prefix).then_some(prefix)
}

fn is_before(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the part of `path` before the part that the template of its route, like `/api/{proxy+}`, describes. Events
/// of API Gateway do not contain the base path of a custom domain.
fn before(
    path: &str,
    template: Option<&str>,
    parameters: &HashMap<String, String>,
) -> Option<String> {
    let template: Vec<&str> = steps(template.filter(|template| template.starts_with('/'))?);
    let path_steps = steps(path);
    let mut length = 0;
    for step in &template {
        length += match step
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix("+}"))
        {
            Some(name) => steps(parameters.get(name)?).len(),
            None => 1,
        };
    }
    let outside = path_steps.len().checked_sub(length)?;
    let inside = &path_steps[outside..];
    let mut fixed = template.iter().zip(inside);
    let fits = fixed.all(|(step, seen)| step.starts_with('{') || step == seen);
    let prefix: String = path_steps[..outside]
        .iter()
        .flat_map(|step| ["/", step])
        .collect();
    // Only a literal prefix of the path can be removed.
    (fits && is_before(path, &prefix)).then_some(prefix)
}

fn steps(path: &str) -> Vec<&str> {
    path.split('/').filter(|step| !step.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, template: Option<&str>, proxy: &str) -> Option<String> {
        let parameters = HashMap::from([("proxy".to_owned(), proxy.to_owned())]);
        before(path, template, &parameters)
    }

    #[test]
    fn path_prefix_is_derived_from_the_route_template() {
        for (path, template, proxy, prefix) in [
            ("/health", "/health", "", Some("")),
            ("/house/health", "/health", "", Some("/house")),
            ("/house/health/", "/health", "", Some("/house")),
            ("/v1/house/health", "/{proxy+}", "health", Some("/v1/house")),
            ("/api/states", "/api/{proxy+}", "states", Some("")),
            ("/api/api/states", "/api/{proxy+}", "states", Some("/api")),
            (
                "/house/api/states/light.a",
                "/api/{proxy+}",
                "states/light.a",
                Some("/house"),
            ),
            ("/house/api", "/api/{proxy+}", "states", None),
            ("/house/api/states", "/other/{proxy+}", "states", None),
            ("//health", "/{proxy+}", "health", Some("")),
            ("/a//b/health", "/health", "", None),
            ("/health", "/{other+}", "health", None),
            ("/house/states/light.a", "/states/{id}", "", Some("/house")),
        ] {
            let expected = prefix.map(str::to_owned);
            assert_eq!(
                found(path, Some(template), proxy),
                expected,
                "{path} {template}"
            );
        }
        assert_eq!(found("/house/health", None, ""), None);
        assert_eq!(found("/house/health", Some("$default"), ""), None);
    }

    #[test]
    fn stage_counts_only_at_the_beginning_of_the_path() {
        assert_eq!(stage_in("/dev/health", Some("dev")), Some("/dev".into()));
        assert_eq!(stage_in("/dev", Some("dev")), Some("/dev".into()));
        assert_eq!(stage_in("/device", Some("dev")), None);
        assert_eq!(stage_in("/health", Some("dev")), None);
        assert_eq!(stage_in("/$default/health", Some("$default")), None);
        assert_eq!(stage_in("/health", None), None);
    }
}
