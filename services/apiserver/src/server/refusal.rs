//! How a request is turned away: as a gRPC status or, over plain HTTP, as Kubernetes' `Status` object.

use api::meta::v1::{Status, StatusCause, StatusDetails};
use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{Extensions, StatusCode};
use service_kit::rpc_status::to_status;
use telemetry::span::server::Failure;

use super::Target;

/// An error on its way to whoever asked.
pub(super) struct Refusal {
    target: Target,
    error: api::Error,
}

impl Refusal {
    /// Refuses a request.
    pub(super) fn new(extensions: &Extensions, error: api::Error) -> Self {
        Self { target: Target::of(extensions), error }
    }

    /// Explains that nothing is served under the request's path.
    pub(super) fn not_served(request: &Request) -> Self {
        let path = request.uri().path();
        let target = Target::of(request.extensions());
        let error = match target {
            Target::Http => api::Error::new(
                api::Reason::NotFound,
                format!(
                    "the apiserver serves nothing at {path}; there are /healthz, /livez, /readyz, /metrics, /version and gRPC"
                ),
            ),
            Target::Kind(_) | Target::Grpc => api::Error::new(api::Reason::MethodNotAllowed, unknown_method(path)),
        };
        Self::new(request.extensions(), error)
    }
}

/// What to tell a client whose proto files and ours differ.
fn unknown_method(path: &str) -> String {
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    match api::KINDS.iter().find(|kind| kind.service == service) {
        Some(kind) => {
            let methods = crate::rpc::Method::ALL.into_iter().filter(|method| method.is_served_by(kind));
            let methods: Vec<_> = methods.map(crate::rpc::Method::name).collect();
            format!("the service {service} has no method {method:?}; it has {}", methods.join(", "))
        }
        None => format!(
            "there is no service {service:?}; reflection lists all of them (`grpcurl <address> list`), the kinds are served as \
             traceplane.v1.Pods, traceplane.v1.Deployments ..."
        ),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        // For the call's span.
        let failure = Failure { reason: self.error.reason.as_str(), message: self.error.message.clone() };
        let mut response = match self.target {
            Target::Kind(_) | Target::Grpc => to_status(&self.error).into_http::<axum::body::Body>(),
            Target::Http => {
                let code = StatusCode::from_u16(self.error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (code, Json(status_object(self.error))).into_response()
            }
        };
        response.extensions_mut().insert(failure);
        response
    }
}

/// The error as Kubernetes' clients read it.
fn status_object(error: api::Error) -> serde_json::Value {
    let code = i32::from(error.code());
    let details = *error.details;
    let causes = details.causes.into_iter();
    let status = Status {
        status: "Failure".to_owned(),
        message: error.message,
        reason: error.reason.as_str().to_owned(),
        details: Some(StatusDetails {
            name: details.name,
            group: details.group,
            kind: details.kind,
            uid: details.uid,
            causes: causes
                .map(|cause| StatusCause { reason: cause.reason, message: cause.message, field: cause.field })
                .collect(),
            retry_after_seconds: details.retry_after_seconds.map_or(0, |s| i32::try_from(s).unwrap_or(i32::MAX)),
        }),
        code,
        ..Status::default()
    };
    let mut object = serde_json::to_value(status).expect("a status has only strings and numbers");
    if let Some(fields) = object.as_object_mut() {
        fields.insert("kind".to_owned(), "Status".into());
        fields.insert("apiVersion".to_owned(), "v1".into());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_call_is_told_what_there_is() {
        let text = unknown_method("/traceplane.v1.ConfigMaps/Bind");
        assert_eq!(
            text,
            "the service traceplane.v1.ConfigMaps has no method \"Bind\"; it has Create, Get, List, Watch, Update, Patch, \
             Delete, DeleteCollection"
        );
        assert!(unknown_method("/k8s.Pods/List").contains("there is no service \"k8s.Pods\""));
    }

    #[test]
    fn over_http_an_error_is_a_status_object() {
        let object = status_object(api::Error::not_found("apps", "deployments", "web"));
        assert_eq!(object["kind"], "Status");
        assert_eq!(object["code"], 404);
        assert_eq!(object["reason"], "NotFound");
        assert_eq!(object["details"]["name"], "web");
    }
}
