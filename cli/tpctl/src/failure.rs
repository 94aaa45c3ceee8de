//! How a command fails: what is printed, in kubectl's words, and the exit code.
//!
//! Commands return `anyhow::Error`; what matters here is found inside: an error of the server, several errors, an interruption. Everything
//! else is printed as `error: ...` with its causes on one line.

use api::{Error, Reason};
use service_kit::chain::Chain;
use std::fmt;
use std::process::ExitCode;

/// The exit code of a command that Ctrl-C has ended: 128 and the number of SIGINT, as shells count.
const INTERRUPTED: u8 = 130;

/// The command was ended by Ctrl-C. Nothing is printed about it: who pressed the keys knows.
#[derive(Debug)]
pub(crate) struct Interrupted;

/// Whoever reads our output has gone, as `head` does. Nothing is printed about it: there is nobody to tell.
#[derive(Debug)]
pub(crate) struct OutputClosed;

/// The command ends with this exit code, which is not about us: that of a command in a container, or of a signal.
#[derive(Debug)]
pub(crate) struct Exit {
    /// The code.
    pub(crate) code: u8,
    /// What is said about it, as it stands.
    pub(crate) message: String,
}

/// Several things failed; the others went well.
#[derive(Debug)]
pub(crate) struct Several(Vec<anyhow::Error>);

impl Several {
    /// Ok if nothing failed; one failure stands for itself.
    pub(crate) fn of(mut failures: Vec<anyhow::Error>) -> anyhow::Result<()> {
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.remove(0)),
            _ => Err(Several(failures).into()),
        }
    }
}

/// The server cannot be reached at all.
#[derive(Debug)]
pub(crate) struct Unreachable {
    /// `https://host:port`.
    pub(crate) server: String,
    /// What the client said.
    pub(crate) why: String,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for OutputClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the output is closed")
    }
}

impl fmt::Display for Several {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} errors", self.0.len())
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "The connection to the server {} failed. Is the cluster running? `tpctl up` starts it, `tpctl status` shows it; or name \
             another one with --kubeconfig.",
            self.server
        )
    }
}

impl std::error::Error for Interrupted {}
impl std::error::Error for Exit {}
impl std::error::Error for OutputClosed {}
impl std::error::Error for Several {}
impl std::error::Error for Unreachable {}

/// Prints what went wrong to stderr.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<Interrupted>().is_some() {
        return ExitCode::from(INTERRUPTED);
    }
    if let Some(Exit { code, message }) = error.downcast_ref() {
        if !message.is_empty() {
            eprintln!("{message}");
        }
        return ExitCode::from(*code);
    }
    if error.downcast_ref::<OutputClosed>().is_none() {
        for line in lines(error) {
            eprintln!("{line}");
        }
    }
    ExitCode::FAILURE
}

/// The text, without a line break at its end.
pub(crate) fn lines(error: &anyhow::Error) -> Vec<String> {
    if let Some(Several(failures)) = error.downcast_ref::<Several>() {
        return failures.iter().flat_map(lines).collect();
    }
    if let Some(unreachable) = error.downcast_ref::<Unreachable>() {
        tracing::debug!(why = unreachable.why, "the server cannot be reached");
        return vec![unreachable.to_string()];
    }
    match error.downcast_ref::<Error>() {
        Some(server) => vec![from_server(server, &contexts(error, server))],
        None => vec![format!("error: {}", Chain(error.as_ref()))],
    }
}

/// What was said around the server's error, outermost first: `error when creating "web.yaml": `.
fn contexts(error: &anyhow::Error, server: &Error) -> String {
    let around = error.chain().map(ToString::to_string).take_while(|text| *text != server.message);
    around.map(|text| format!("{text}: ")).collect()
}

fn from_server(error: &Error, context: &str) -> String {
    match error.reason {
        Reason::Unauthorized => format!("error: You must be logged in to the server ({})", error.message),
        Reason::Invalid => invalid(error),
        Reason::Unknown => format!("Error from server: {context}{}", error.message),
        reason => format!("Error from server ({reason}): {context}{}", error.message),
    }
}

/// `The Pod "web" is invalid: spec.containers[0].image: Required value`, or a line per fault.
fn invalid(error: &Error) -> String {
    let details = &error.details;
    let mut causes: Vec<String> = Vec::new();
    for cause in &details.causes {
        let text =
            if cause.field.is_empty() { cause.message.clone() } else { format!("{}: {}", cause.field, cause.message) };
        if !causes.contains(&text) {
            causes.push(text);
        }
    }
    let subject = if details.kind.is_empty() {
        "The request is invalid".to_owned()
    } else {
        format!("The {} {:?} is invalid", details.kind, details.name)
    };
    match causes.as_slice() {
        [] => format!("{subject}: {}", error.message),
        [only] => format!("{subject}: {only}"),
        all => format!("{subject}: \n* {}", all.join("\n* ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use api::field::{ErrorList, FieldError, Path};

    fn shown(error: impl Into<anyhow::Error>) -> String {
        lines(&error.into()).join("\n")
    }

    #[test]
    fn errors_of_the_server_are_printed_as_kubectl_prints_them() {
        assert_eq!(shown(Error::not_found("", "pods", "web")), r#"Error from server (NotFound): pods "web" not found"#);
        assert_eq!(
            shown(Error::already_exists("apps", "deployments", "x")),
            r#"Error from server (AlreadyExists): deployments.apps "x" already exists"#
        );
        assert_eq!(shown(Error::new(Reason::Unknown, "odd")), "Error from server: odd");
        assert_eq!(
            shown(Error::unauthorized("Unauthorized")),
            "error: You must be logged in to the server (Unauthorized)"
        );
    }

    #[test]
    fn what_was_tried_stands_between_reason_and_message() {
        let error = Err::<(), _>(Error::not_found("", "namespaces", "x")).context("error when creating \"a.yaml\"");
        assert_eq!(
            shown(error.unwrap_err()),
            r#"Error from server (NotFound): error when creating "a.yaml": namespaces "x" not found"#
        );
    }

    #[test]
    fn an_invalid_object_names_its_fields_one_per_line() {
        let path = Path::new("spec").child("replicas");
        let fault = FieldError::invalid(&path, -1, "must be greater than or equal to 0");
        let one = Error::invalid("apps", "Deployment", "web", &ErrorList::from_iter([fault.clone()]));
        assert_eq!(
            shown(one),
            r#"The Deployment "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"#
        );
        let other = FieldError::required(&Path::new("spec").child("selector"), "");
        let two = Error::invalid("apps", "Deployment", "web", &ErrorList::from_iter([fault, other]));
        assert_eq!(
            shown(two),
            "The Deployment \"web\" is invalid: \n* spec.replicas: Invalid value: -1: must be greater than or equal to 0\n\
             * spec.selector: Required value"
        );
    }

    #[test]
    fn several_failures_are_a_line_each_and_other_errors_one_line_with_their_causes() {
        let several = Several::of(vec![
            Error::not_found("", "pods", "a").into(),
            anyhow::anyhow!("no such file").context("cannot read a.yaml"),
        ]);
        assert_eq!(
            shown(several.unwrap_err()),
            "Error from server (NotFound): pods \"a\" not found\nerror: cannot read a.yaml: no such file"
        );
    }
}
