//! The routes of the HTTP door.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode, Uri};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::answer::{REQUEST_ID, Refused, finish};
use super::shared::Shared;
use super::{commands, connections, events, health, home};
use crate::base::config::{HttpConfig, Origins};
use crate::base::json::shown;
use crate::service::app::App;
use crate::service::failure::Failure;

/// The smallest body that is compressed, in bytes. Compression of a smaller body saves less than base64 adds.
const MIN_COMPRESSED_BYTES: u16 = 1_024;

/// The time for which browsers cache a preflight response.
const PREFLIGHT_AGE: std::time::Duration = std::time::Duration::from_secs(600);

/// The document at `/openapi.json`.
const OPENAPI: &str = include_str!("openapi.json");

/// The document at `/asyncapi.json`.
const ASYNCAPI: &str = include_str!("asyncapi.json");

/// Creates the router of the HTTP door.
pub(crate) fn router(app: Arc<App>, config: &HttpConfig) -> Router {
    let shared = Shared {
        app: app.clone(),
        origins: Arc::new(config.origins.clone()),
    };
    let large = SizeAbove::new(MIN_COMPRESSED_BYTES)
        .and(NotForContentType::IMAGES)
        // Endless streams of images.
        .and(NotForContentType::const_new("multipart/"));
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(large);
    let own = [
        ("/commands", post(commands::run)),
        ("/health", get(health::summary)),
        ("/health/detailed", get(health::detailed)),
        ("/openapi.json", get(openapi)),
        ("/asyncapi.json", get(asyncapi)),
        ("/events", post(events::push)),
        ("/connections", get(connections::statistics)),
        ("/api", home_methods()),
    ];
    let routes = own
        .into_iter()
        .fold(Router::new(), |routes, (path, methods)| {
            // A trailing slash has no meaning.
            let slashed = format!("{path}/");
            routes.route(path, methods.clone()).route(&slashed, methods)
        });
    let router = routes
        .route("/api/{*path}", home_methods())
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .with_state(shared)
        .layer(compression)
        .layer(middleware::from_fn_with_state(app, finish));
    match cors(&config.origins) {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

fn home_methods() -> MethodRouter<Shared> {
    get(home::pass_on)
        .post(home::pass_on)
        .put(home::pass_on)
        .patch(home::pass_on)
        .delete(home::pass_on)
}

/// Returns the CORS rules for the allowed origins. Pages may send cookies only if their origin is listed.
fn cors(origins: &Origins) -> Option<CorsLayer> {
    let allowed = match origins {
        Origins::None => return None,
        Origins::Any => AllowOrigin::any(),
        Origins::These(origins) => {
            let values = origins.iter().filter_map(|origin| origin.parse().ok());
            AllowOrigin::list(values.collect::<Vec<HeaderValue>>())
        }
    };
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    let cors = CorsLayer::new()
        .allow_origin(allowed)
        .allow_credentials(matches!(origins, Origins::These(_)))
        .allow_methods(methods)
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
        .expose_headers([REQUEST_ID, RETRY_AFTER])
        .max_age(PREFLIGHT_AGE);
    Some(cors)
}

async fn openapi() -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, kind)], OPENAPI).into_response()
}

async fn asyncapi() -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(CONTENT_TYPE, kind)], ASYNCAPI).into_response()
}

async fn unknown_route(method: Method, uri: Uri) -> Refused {
    Refused::from(Failure::NotFound {
        method: shown(method.as_str()),
        path: shown(uri.path()),
    })
}

/// Handles a method that the route does not have. The router adds the methods of the route.
async fn unknown_method(State(_): State<Shared>, method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let failure = Failure::OtherMethod {
        method: shown(method.as_str()),
        path: shown(uri.path()),
    };
    Refused::from(failure).into_response()
}
