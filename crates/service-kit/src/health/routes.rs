//! The three endpoints, with Kubernetes' paths, parameters and bodies.
//!
//! `GET /readyz` answers `ok`, or 500 with a line per check; `?verbose` always lists the checks; `?exclude=NAME` (repeatable)
//! leaves one out; `/readyz/NAME` asks for one.

use std::fmt::Write;

use axum::Router;
use axum::extract::{Path, RawQuery};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

use super::{CheckResult, Endpoint, Health};

impl Health {
    /// Routes for `/healthz`, `/livez`, `/readyz` and each check below them.
    pub fn router(&self) -> Router {
        [Endpoint::Healthz, Endpoint::Livez, Endpoint::Readyz].into_iter().fold(Router::new(), |router, endpoint| {
            let (all, one) = (self.clone(), self.clone());
            let name = endpoint.name();
            router
                .route(
                    &format!("/{name}"),
                    get(async move |RawQuery(query): RawQuery| {
                        let query = Query::parse(query.as_deref().unwrap_or_default());
                        answer(endpoint, &query, &all.run(endpoint).await)
                    }),
                )
                .route(
                    &format!("/{name}/{{check}}"),
                    get(async move |Path(check): Path<String>| match one.run_one(endpoint, &check).await {
                        Some(Ok(())) => text(StatusCode::OK, "ok".to_owned()),
                        Some(Err(_)) => {
                            text(StatusCode::INTERNAL_SERVER_ERROR, format!("{check} failed: reason withheld\n"))
                        }
                        None => text(StatusCode::NOT_FOUND, format!("there is no check {check} in {name}\n")),
                    }),
                )
        })
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    verbose: bool,
    exclude: Vec<String>,
}

impl Query {
    /// Check names need no percent-encoding, so none is undone.
    fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for pair in query.split('&') {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("verbose", _) => parsed.verbose = true,
                ("exclude", name) => parsed.exclude.push(name.to_owned()),
                _ => {}
            }
        }
        parsed
    }
}

fn answer(endpoint: Endpoint, query: &Query, results: &[(String, CheckResult)]) -> Response {
    let mut body = String::new();
    let mut failed = false;
    for (name, result) in results {
        let line = if query.exclude.contains(name) {
            format_args!("[+]{name} excluded: ok\n").to_string()
        } else if result.is_ok() {
            format!("[+]{name} ok\n")
        } else {
            failed = true;
            format!("[-]{name} failed: reason withheld\n")
        };
        body.push_str(&line);
    }
    for name in query.exclude.iter().filter(|name| !results.iter().any(|(known, _)| known == *name)) {
        writeln!(body, "warn: there is no check {name} to exclude").expect("a String takes any text");
    }
    let endpoint = endpoint.name();
    match (failed, query.verbose) {
        (true, _) => text(StatusCode::INTERNAL_SERVER_ERROR, body + endpoint + " check failed\n"),
        (false, true) => text(StatusCode::OK, body + endpoint + " check passed\n"),
        (false, false) => text(StatusCode::OK, "ok".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache, private"),
    ];
    (status, headers, body).into_response()
}
