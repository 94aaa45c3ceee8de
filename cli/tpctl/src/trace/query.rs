//! Jaeger's query API over HTTP (`/api/v3`), which the console answers too.
//! <https://www.jaegertracing.io/docs/latest/architecture/apis/>

use super::http::{Answer, encoded, get};
use super::journey::Journey;
use super::otlp;
use super::span::Span;
use super::subject::Subject;
use anyhow::{Context, Result, anyhow, bail};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// Newest traces that a search looks at.
const DEPTH: usize = 50;
/// A clock may be a little ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// A server that answers queries for traces.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    base: String,
    /// How far back searches look.
    since: SignedDuration,
}

/// What one search asks for.
#[derive(Debug, Default)]
struct Search {
    service: Option<String>,
    attributes: Vec<(&'static str, String)>,
}

impl Query {
    /// A server at `http://host:port`.
    pub(crate) fn new(base: impl Into<String>, since: SignedDuration) -> Query {
        Query { base: base.into(), since }
    }

    /// The journeys of a subject, newest first; none if nothing is known of it (yet).
    pub(crate) async fn journeys(&self, subject: &Subject) -> Result<Vec<Journey>> {
        match subject {
            Subject::Trace(id) => Ok(Journey::all(self.trace(id).await?)),
            Subject::Last(command) => {
                let search = Search { service: Some("tpctl".to_owned()), ..Search::default() };
                let mut all = Journey::all(self.search(&search).await?.unwrap_or_default());
                let wanted = command.as_ref().map(|command| format!("tpctl {command}"));
                all.retain(|journey| {
                    let title = journey.title();
                    let is_it = |wanted: &String| title == wanted || title.starts_with(&format!("{wanted} "));
                    wanted.as_ref().map_or(title.starts_with("tpctl "), is_it)
                });
                Ok(all)
            }
            Subject::Uid(_) | Subject::Object { .. } => {
                let all = self.touching(subject).await?;
                let own: Vec<Journey> = all.iter().filter(|journey| subject.begins_in(journey)).cloned().collect();
                Ok(if own.is_empty() { all } else { own })
            }
        }
    }

    /// The same with those that only touch an object, and began with another one.
    pub(crate) async fn all(&self, subject: &Subject) -> Result<Vec<Journey>> {
        match subject {
            Subject::Uid(_) | Subject::Object { .. } => self.touching(subject).await,
            Subject::Trace(_) | Subject::Last(_) => self.journeys(subject).await,
        }
    }

    async fn touching(&self, subject: &Subject) -> Result<Vec<Journey>> {
        let mut spans = Vec::new();
        for attributes in subject.attributes() {
            spans.extend(self.about(attributes).await?);
        }
        Ok(Journey::all(spans))
    }

    async fn trace(&self, id: &str) -> Result<Vec<Span>> {
        let answer = self.get(&format!("/api/v3/traces/{id}")).await?;
        Ok(self.spans(&answer)?.unwrap_or_default())
    }

    /// All spans of the traces that have a span with these attributes.
    async fn about(&self, attributes: Vec<(&'static str, String)>) -> Result<Vec<Span>> {
        let mut search = Search { service: None, attributes };
        if let Ok(Some(spans)) = self.search(&search).await {
            return Ok(spans);
        }
        // Some storages of Jaeger search within one service only.
        let mut found = Vec::new();
        for service in self.services().await? {
            search.service = Some(service);
            found.extend(self.search(&search).await?.unwrap_or_default());
        }
        Ok(found)
    }

    async fn services(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Services {
            #[serde(default)]
            services: Vec<String>,
        }
        let answer = self.get("/api/v3/services").await?;
        let services: Services = serde_json::from_slice(&answer.body)
            .with_context(|| format!("{} does not answer as Jaeger's query API does", self.base))?;
        Ok(services.services)
    }

    /// `None`: nothing matches.
    async fn search(&self, search: &Search) -> Result<Option<Vec<Span>>> {
        let now = Timestamp::now();
        let from = now.checked_sub(self.since).unwrap_or(Timestamp::UNIX_EPOCH);
        let to = now.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
        let mut path = format!(
            "/api/v3/traces?query.startTimeMin={}&query.startTimeMax={}&query.searchDepth={DEPTH}",
            encoded(&from.to_string()),
            encoded(&to.to_string())
        );
        if let Some(service) = &search.service {
            path += &format!("&query.serviceName={}", encoded(service));
        }
        if !search.attributes.is_empty() {
            let attributes: serde_json::Map<String, serde_json::Value> =
                search.attributes.iter().map(|(key, value)| ((*key).to_owned(), value.as_str().into())).collect();
            path += &format!("&query.attributes={}", encoded(&serde_json::Value::from(attributes).to_string()));
        }
        let answer = self.get(&path).await?;
        self.spans(&answer)
    }

    fn spans(&self, answer: &Answer) -> Result<Option<Vec<Span>>> {
        match answer.status {
            200 => Ok(Some(otlp::spans(&answer.body).with_context(|| format!("{} is odd", self.base))?)),
            404 => Ok(None),
            status => bail!("{} answered {status}: {}", self.base, message(&answer.body)),
        }
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        get(&self.base, path).await.map_err(|error| {
            anyhow!(
                "cannot query traces at {} ({error:#}); `tpctl up` starts a console, or name a Jaeger with --query-url",
                self.base
            )
        })
    }
}

/// The message of an error's body.
fn message(body: &[u8]) -> String {
    let parsed: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match parsed["error"]["message"].as_str() {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(&body[..body.len().min(200)]).trim().to_owned(),
    }
}
