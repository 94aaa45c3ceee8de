//! The plain HTTP routes: health, metrics, version.

use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use service_kit::{Health, Metrics};

/// The routes, without any of the stack around them.
pub fn http_routes(health: &Health, metrics: &Metrics) -> Router {
    health.router().merge(metrics.router()).route("/version", get(async || Json(Version::of_this_build())))
}

/// The answer of `/version`, in the form of Kubernetes' `version.Info`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    major: &'static str,
    minor: &'static str,
    git_version: String,
    platform: String,
}

impl Version {
    /// The version of Kubernetes whose API is served, with our own as its build.
    fn of_this_build() -> Self {
        Self {
            major: "1",
            minor: "35",
            git_version: format!("v1.35.0+traceplane.{}", env!("CARGO_PKG_VERSION")),
            platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}
