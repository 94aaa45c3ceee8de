//! The catalogue as Markdown: `docs/steps.md` is this text, and a test holds it to that.

use std::fmt::Write;

use super::{Journey, Step};

/// The whole page, ending in a newline.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Steps\n\n\
         <!-- Generated from crates/telemetry/src/step/catalogue.rs: UPDATE_DOCS=1 cargo test -p traceplane-telemetry -->\n\n\
         A span that is a step of a journey says so with the attribute `traceplane.step`. A finished journey contains every\n\
         step that applies, in causal order. `[i]` stands for the index of a container, from 0. The column *span* names the\n\
         span that carries the step; a call's span is the client's. The column *after* names the steps that start before it, as\n\
         far as they apply.\n",
    );
    for journey in Journey::ALL {
        table(&mut page, journey).expect("writing to a String cannot fail");
    }
    page
}

fn table(page: &mut String, journey: Journey) -> std::fmt::Result {
    write!(page, "\n## {}\n\n| step | who | what | span | after |\n|---|---|---|---|---|\n", journey.id())?;
    journey.steps().try_for_each(|step: Step| {
        // Within one table the journey's own prefix says nothing.
        let prefix = journey.id().len() + 1;
        let after: Vec<_> = step.after().iter().map(|before| before.pattern()[prefix..].to_owned()).collect();
        let (who, what, span) = (step.who(), step.what(), step.span());
        writeln!(page, "| `{}` | {who} | {what} | `{span}` | {} |", step.pattern(), after.join(", "))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_docs_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/steps.md");
        let page = super::markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page).expect("docs/steps.md is writable");
            return;
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == page,
            "docs/steps.md is not what the catalogue says; regenerate it: UPDATE_DOCS=1 cargo test -p traceplane-telemetry"
        );
    }
}
