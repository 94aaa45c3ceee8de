//! The one error that a request can end with, free of any transport.
//!
//! It carries what a Kubernetes `Status` carries: a [`Reason`] to branch on, a message for people, and
//! [`Details`] that name the object and, for invalid objects, the fields. gRPC and HTTP each map it once, at
//! their own edge. The messages are word for word those of Kubernetes, because people search for them.

mod reason;

use std::fmt;

use crate::field::ErrorList;
use crate::quoted::quoted;

pub use reason::Reason;

/// The result of anything that a client can ask for.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed request, as Kubernetes' [`Status`](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people; this is what `Display` shows.
    pub message: String,
    /// What it is about. Boxed, so that a `Result` stays small.
    pub details: Box<Details>,
}

/// What an [`Error`] is about. Empty strings mean "does not apply".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// The object's name.
    pub name: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource (`pods`); for [`Reason::Invalid`] the kind (`Pod`), as in Kubernetes.
    pub kind: String,
    /// The object's uid, where the error concerns one object among several of that name.
    pub uid: String,
    /// The single faults, in the order found.
    pub causes: Vec<StatusCause>,
    /// How long to wait before the next attempt; `None` when waiting does not help.
    pub retry_after_seconds: Option<u32>,
}

/// One fault among the causes of an [`Error`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusCause {
    /// The kind of fault: `FieldValueRequired`, `FieldValueInvalid` ...
    pub reason: String,
    /// The fault, for people.
    pub message: String,
    /// The field's path in the object, such as `spec.containers[0].name`.
    pub field: String,
}

/// A request that an authorizer turned down; see [`Error::denied`].
#[derive(Debug, Clone, Copy)]
pub struct Denied<'a> {
    /// Who asked.
    pub user: &'a str,
    /// What they wanted to do: `get`, `list`, `create` ...
    pub verb: &'a str,
    /// The API group; empty for the core group.
    pub group: &'a str,
    /// The resource, without its subresource.
    pub resource: &'a str,
    /// The subresource (`status`, `binding`), or empty.
    pub subresource: &'a str,
    /// The namespace, or empty for a request at the cluster's scope.
    pub namespace: &'a str,
    /// The object, or empty for a request about all of them.
    pub name: &'a str,
}

/// What stands after `Operation cannot be fulfilled on ...` when an update raced with another one.
const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

impl Error {
    /// Makes an error without details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Error { reason, message: message.into(), details: Box::default() }
    }

    /// Makes an error about one object of a resource.
    fn about(reason: Reason, group: &str, resource: &str, name: &str, message: String) -> Self {
        let details = Details { name: name.into(), group: group.into(), kind: resource.into(), ..Details::default() };
        Error { reason, message, details: Box::new(details) }
    }

    /// Says how long to wait before the next attempt.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.details.retry_after_seconds = Some(seconds);
        self
    }

    /// Adds a cause.
    pub fn with_cause(mut self, cause: StatusCause) -> Self {
        self.details.causes.push(cause);
        self
    }

    /// Returns the HTTP status code.
    pub fn code(&self) -> u16 {
        self.reason.http_code()
    }

    /// There is no object of this name.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {} not found", qualified(resource, group), quoted(name));
        Error::about(Reason::NotFound, group, resource, name, message)
    }

    /// An object of this name exists already.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {} already exists", qualified(resource, group), quoted(name));
        Error::about(Reason::AlreadyExists, group, resource, name, message)
    }

    /// A name made from `generateName` is taken; the next attempt gets another one.
    pub fn generated_name_taken(group: &str, resource: &str, name: &str) -> Self {
        let message = format!(
            "{} {} already exists, the server was not able to generate a unique name for the object",
            qualified(resource, group),
            quoted(name),
        );
        Error::about(Reason::AlreadyExists, group, resource, name, message).retry_after(1)
    }

    /// The update cannot be made on the object as it is now; `why` completes the sentence.
    pub fn conflict(group: &str, resource: &str, name: &str, why: impl fmt::Display) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {}: {why}", qualified(resource, group), quoted(name));
        Error::about(Reason::Conflict, group, resource, name, message)
    }

    /// The object changed since the caller read it.
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        Error::conflict(group, resource, name, MODIFIED)
    }

    /// The object was understood and breaks rules; `kind` is the kind (`Pod`), not the resource.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &ErrorList) -> Self {
        let mut message = format!("{} {} is invalid", qualified(kind, group), quoted(name));
        if !errors.is_empty() {
            message = format!("{message}: {errors}");
        }
        let mut error = Error::about(Reason::Invalid, group, kind, name, message);
        error.details.causes = errors.iter().map(StatusCause::from).collect();
        error
    }

    /// The caller may not do this, or admission refuses it; `why` completes the sentence.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: impl fmt::Display) -> Self {
        let message = match (resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{} is forbidden: {why}", qualified(resource, group)),
            _ => format!("{} {} is forbidden: {why}", qualified(resource, group), quoted(name)),
        };
        Error::about(Reason::Forbidden, group, resource, name, message)
    }

    /// The authorizer turned the request down.
    pub fn denied(request: &Denied<'_>) -> Self {
        let Denied { user, verb, group, resource, subresource, namespace, name } = *request;
        let target = if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
        let scope = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {}", quoted(namespace))
        };
        let (user, target, api_group) = (quoted(user), quoted(&target), quoted(group));
        let why = format!("User {user} cannot {verb} resource {target} in API group {api_group} {scope}");
        Error::forbidden(group, resource, name, why)
    }

    /// The caller did not say who they are, or it was not believed.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Error::new(Reason::Unauthorized, message)
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Error::new(Reason::BadRequest, message)
    }

    /// What was asked for has left the server's history; only a new list helps.
    pub fn expired(message: impl Into<String>) -> Self {
        Error::new(Reason::Expired, message)
    }

    /// A watch or list asked for a revision older than the oldest one kept.
    pub fn too_old_resource_version(asked: i64, oldest: i64) -> Self {
        Error::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    /// A read asked for a revision that this server has not seen yet; a moment later it may have.
    pub fn too_large_resource_version(asked: i64, current: i64, retry_after_seconds: u32) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        Error::new(Reason::Timeout, message).retry_after(retry_after_seconds).with_cause(StatusCause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            ..StatusCause::default()
        })
    }

    /// The body exceeds the limit.
    pub fn too_large(message: impl fmt::Display) -> Self {
        Error::new(Reason::RequestEntityTooLarge, format!("Request entity too large: {message}"))
    }

    /// The body's media type is not one that the server reads.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Error::new(Reason::UnsupportedMediaType, message)
    }

    /// The resource does not offer this verb.
    pub fn method_not_allowed(group: &str, resource: &str, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind {}", quoted(&qualified(resource, group)));
        Error::about(Reason::MethodNotAllowed, group, resource, "", message)
    }

    /// The server asks the caller to slow down.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Error::new(Reason::TooManyRequests, message).retry_after(retry_after_seconds)
    }

    /// A bug or a broken dependency; `source` is told to the caller.
    pub fn internal(source: impl fmt::Display) -> Self {
        let message = source.to_string();
        Error::new(Reason::InternalError, format!("Internal error occurred: {message}"))
            .with_cause(StatusCause { message, ..StatusCause::default() })
    }

    /// The server cannot do this now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Error::new(Reason::ServiceUnavailable, message)
    }

    /// No answer in time; the operation may still complete.
    pub fn timeout(message: impl fmt::Display) -> Self {
        Error::new(Reason::Timeout, format!("Timeout: {message}"))
    }

    /// A passing condition kept the server from finishing `operation`; the caller should try again.
    pub fn server_timeout(group: &str, resource: &str, operation: &str, retry_after_seconds: u32) -> Self {
        let target = qualified(resource, group);
        let message = format!(
            "The {operation} operation against {target} could not be completed at this time, please try again."
        );
        Error::about(Reason::ServerTimeout, group, resource, operation, message).retry_after(retry_after_seconds)
    }

    /// True if there is no such object.
    pub fn is_not_found(&self) -> bool {
        self.reason == Reason::NotFound
    }

    /// True if an object of that name exists already.
    pub fn is_already_exists(&self) -> bool {
        self.reason == Reason::AlreadyExists
    }

    /// True if the object changed meanwhile, or a precondition does not hold.
    pub fn is_conflict(&self) -> bool {
        self.reason == Reason::Conflict
    }

    /// True if only a new list helps: the asked revision is gone from the server's history.
    pub fn is_expired(&self) -> bool {
        matches!(self.reason, Reason::Expired | Reason::Gone)
    }

    /// True if the same request may succeed later without any change to it.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.reason,
            Reason::TooManyRequests
                | Reason::InternalError
                | Reason::ServiceUnavailable
                | Reason::Timeout
                | Reason::ServerTimeout
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Returns `deployments.apps`, or `pods` for the core group.
fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

#[cfg(test)]
mod tests;
