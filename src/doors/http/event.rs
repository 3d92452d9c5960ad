//! Converts events of API Gateway, function URLs and load balancers to requests, and responses to their formats.

mod answer;
mod query;
mod request;
mod sender;

use axum::Router;
use axum::body::Body;
use http::{HeaderValue, Request, Uri};
use lambda_runtime::Context;
use serde::Serialize;
use tower_service::Service as _;

use self::answer::Answer;
use self::request::Incoming;
use self::sender::Sender;
use super::answer::{REQUEST_ID, problem_response};
use super::base_path::BasePath;
use crate::base::json::MemberError;
use crate::doors::reply::report;
use crate::doors::trigger::Trigger;
use crate::service::app::App;
use crate::service::failure::Failure;

/// Serves a request and returns the response in the sender's format.
pub(crate) async fn serve(
    app: &App,
    mut router: Router,
    base_path: &BasePath,
    trigger: Trigger,
    payload: &str,
    context: Context,
) -> impl Serialize + use<> {
    let sender = Sender::of(trigger);
    let request_id = context.request_id.clone();
    let request = Incoming::read(sender, payload)
        .and_then(|incoming| request(incoming, base_path, sender, context));
    let response = match request {
        Ok(request) => {
            let Ok(response) = router.call(request).await;
            response
        }
        Err(error) => {
            let kind = trigger.name();
            let problem = report(app, &Failure::Member { kind, error }, &request_id);
            let mut response = problem_response(&problem, None, &request_id);
            if let Ok(id) = HeaderValue::from_str(&request_id) {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            response
        }
    };
    Answer::new(sender, response).await
}

/// Creates the request for the router. Its path does not contain the stage or base path of the public URL.
fn request(
    incoming: Incoming,
    base_path: &BasePath,
    sender: Sender,
    context: Context,
) -> Result<Request<Body>, MemberError> {
    let prefix = base_path.of(&incoming.path, &incoming.route);
    let rest = incoming.path.strip_prefix(&prefix);
    let mut target = match rest.unwrap_or(&incoming.path) {
        "" => "/".to_owned(),
        rest => rest.to_owned(),
    };
    if !incoming.query.is_empty() {
        target.push('?');
        target.push_str(&incoming.query);
    }
    let uri = Uri::try_from(target)
        .map_err(|_| MemberError::new(incoming.path_member, "is not a valid URL path"))?;
    let mut request = Request::new(Body::from(incoming.body));
    *request.method_mut() = incoming.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = incoming.headers;
    request.extensions_mut().insert(sender.limit());
    request.extensions_mut().insert(context);
    Ok(request)
}
