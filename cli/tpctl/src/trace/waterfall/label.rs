//! What a row says about its span.

use super::arrange::{Branch, Fold, is_call};
use super::paint::{Paint, Style};
use super::short_name;
use crate::trace::journey::Journey;
use crate::trace::span::{Kind, Span};
use telemetry::attr;

/// The words of a row: what happened, to what, and what else is worth knowing.
#[derive(Debug, Clone, Default)]
pub(super) struct Label {
    name: String,
    object: String,
    details: String,
    error: Option<String>,
}

impl Label {
    /// The words for a branch.
    pub(super) fn of(journey: &Journey, branch: &Branch) -> Label {
        let span = journey.span(branch.span);
        // The server knows the name that it has made, and the revision.
        let other_side = journey.children(branch.span).iter().map(|child| journey.span(*child));
        let answered = other_side.into_iter().find(|child| child.kind == Kind::Server);
        let object = match span.name.as_str() {
            "watch" | "queue" => String::new(),
            _ => name_of(answered.unwrap_or(span)),
        };
        let details = match &branch.fold {
            None => [run_of(journey, branch), details(span)]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(", "),
            Some(fold) => folded(journey, branch.span, fold),
        };
        Label { name: short_name(&span.name).to_owned(), object, details, error: span.error.clone() }
    }

    /// The same below rows about an object, which need not be named again.
    pub(super) fn below(&self, object: &str) -> Label {
        let mut label = self.clone();
        if label.object == object {
            label.object.clear();
        }
        label
    }

    /// The name of what it is about; may be empty.
    pub(super) fn object(&self) -> &str {
        &self.object
    }

    /// Characters that it needs.
    pub(super) fn width(&self) -> usize {
        self.parts().iter().map(|(gap, _, text)| gap.chars().count() + text.chars().count()).sum()
    }

    /// The words behind the tree's lines, exactly `width` characters wide.
    pub(super) fn painted(&self, prefix: &str, width: usize, paint: &Paint, service: &str) -> String {
        let mut left = width.saturating_sub(prefix.chars().count());
        let mut line = paint.text(Style::Dim, &prefix.chars().take(width).collect::<String>());
        for (gap, style, text) in self.parts() {
            let before = gap.chars().count();
            if left <= before {
                break;
            }
            let fitting =
                if style == Some(Style::Plain) { cut_inside(text, left - before) } else { cut(text, left - before) };
            left -= before + fitting.chars().count();
            line += &paint.text(Style::Dim, gap);
            line += &match style {
                None => paint.service(service, &fitting),
                Some(style) => paint.text(style, &fitting),
            };
        }
        line + &" ".repeat(left)
    }

    /// What stands before each part, its style (the service's colour if there is none), and its text.
    fn parts(&self) -> Vec<(&'static str, Option<Style>, &str)> {
        let all = [
            ("", None, self.name.as_str()),
            (" ", Some(Style::Plain), self.object.as_str()),
            (" · ", Some(Style::Error), self.error.as_deref().unwrap_or_default()),
            (" · ", Some(Style::Dim), self.details.as_str()),
        ];
        all.into_iter().filter(|(.., text)| !text.is_empty()).collect()
    }
}

/// As much as fits, with a sign that there is more.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The same for a name, whose end tells it from others.
fn cut_inside(text: &str, width: usize) -> String {
    const END: usize = 5;
    let length = text.chars().count();
    if length <= width || width < 2 * END {
        return cut(text, width);
    }
    let begin = text.chars().take(width - END - 1);
    begin.chain(['…']).chain(text.chars().skip(length - END)).collect()
}

/// The run that made a call, where the run has no row of its own.
fn run_of(journey: &Journey, branch: &Branch) -> String {
    match journey.parent(branch.span).map(|parent| journey.span(parent)) {
        Some(run) if branch.caused_by.is_some() && is_call(journey.span(branch.span)) => {
            short_name(&run.name).to_owned()
        }
        _ => String::new(),
    }
}

/// What a row says that stands for more than itself.
fn folded(journey: &Journey, span: usize, fold: &Fold) -> String {
    let node = node_below(journey, span).map(|node| format!(", on {node}")).unwrap_or_default();
    match fold.branches {
        1 => format!("{} spans{node}", fold.spans),
        several => format!("and {} more like it, {} spans", several - 1, fold.spans),
    }
}

/// The name of what the span is about, where the span is about something of its own.
fn name_of(span: &Span) -> String {
    let container = span.text(attr::K8S_CONTAINER_NAME);
    if !container.is_empty() {
        return container;
    }
    let object = span.object().unwrap_or_default();
    object.split_once('/').map_or(String::new(), |(_, name)| name.to_owned())
}

fn details(span: &Span) -> String {
    let text = |key: &str| Some(span.text(key)).filter(|text| !text.is_empty());
    let mut all = Vec::new();
    let is_about_node = span.object().is_some_and(|object| object.starts_with("node/"));
    if let Some(node) = text(attr::K8S_NODE_NAME).filter(|_| !is_about_node) {
        all.push(format!("on {node}"));
    }
    if span.is_commit() || span.is_wait() {
        all.extend(text(attr::REVISION).map(|revision| format!("revision {revision}")));
    }
    if let (Some(feasible), Some(evaluated)) = (text(attr::NODES_FEASIBLE), text(attr::NODES_EVALUATED)) {
        all.push(format!("{feasible} of {evaluated} nodes"));
    }
    all.extend(text(attr::CONTAINER_IMAGE_NAME));
    all.extend(text(attr::PLUGIN));
    all.extend(text(attr::GRACE_SECONDS).map(|seconds| format!("grace {seconds} s")));
    all.extend(text(attr::EXIT_CODE).map(|code| format!("exit code {code}")));
    all.extend(text(attr::ATTEMPT).map(|attempt| format!("attempt {attempt}")));
    all.extend(
        text(attr::CAUSES).filter(|causes| causes != "1" && causes != "0").map(|causes| format!("{causes} causes")),
    );
    all.extend(text(attr::VERDICT).filter(|verdict| verdict != "Success"));
    all.extend(text(attr::MESSAGE));
    if span.error.is_none() {
        all.extend(text(attr::ERROR_TYPE));
    }
    all.join(", ")
}

/// The node that a pod created here was bound to.
fn node_below(journey: &Journey, span: usize) -> Option<String> {
    let mut open = vec![span];
    while let Some(span) = open.pop() {
        let node = journey.span(span).text(attr::K8S_NODE_NAME);
        if !node.is_empty() {
            return Some(node);
        }
        open.extend(journey.children(span).iter().rev());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixture::span;

    #[test]
    fn details_say_what_is_worth_knowing() {
        let mut filter = span("t", "1", "", "scheduler", "filter", 0, 1);
        for (key, value) in [(attr::NODES_EVALUATED, 3), (attr::NODES_FEASIBLE, 2)] {
            filter.attributes.insert(key.into(), value.into());
        }
        assert_eq!(details(&filter), "2 of 3 nodes");
        let mut txn = span("t", "1", "", "apiserver", "etcd txn", 0, 1);
        txn.attributes.insert(attr::REVISION.into(), 42.into());
        assert_eq!(details(&txn), "revision 42");
        let mut run = span("t", "1", "", "kubelet", "sync pod", 0, 1);
        run.attributes.insert(attr::K8S_POD_NAME.into(), "web".into());
        run.attributes.insert(attr::K8S_NODE_NAME.into(), "node-1".into());
        run.attributes.insert(attr::CAUSES.into(), 4.into());
        assert_eq!((details(&run).as_str(), name_of(&run).as_str()), ("on node-1, 4 causes", "web"));
    }

    #[test]
    fn words_that_do_not_fit_are_cut_where_it_shows() {
        let label = Label {
            name: "Pods/Create".into(),
            object: "k8s-nginx-abcde".into(),
            details: "revision 7".into(),
            error: None,
        };
        let paint = Paint::plain();
        assert_eq!(label.painted("├─ ", 40, &paint, "x"), "├─ Pods/Create k8s-nginx-abcde · revisi…");
        assert_eq!(label.painted("├─ ", 20, &paint, "x"), "├─ Pods/Create k8s-…");
        assert_eq!(label.painted("├─ ", 45, &paint, "x").chars().count(), 45);
        assert_eq!(label.width(), 40);
    }
}
