//! The options of a request, checked and put into words that the registry can branch on. Pure.

use api::field::{ErrorList, FieldError, Path};
use api::meta::v1::{DeleteOptions, ListOptions};
use api::selector::field;
use api::{Error, KindInfo};
use store::Revision;

use super::paging::Token;
use crate::cache::Selection;

/// Which state a get or a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// As strong as a read from the store.
    Newest,
    /// Whatever is at hand.
    Any,
    /// At least as new as this.
    NotOlderThan(Revision),
    /// Exactly this.
    Exact(Revision),
    /// The page after another one, at that one's revision.
    Page(Token),
}

/// The group of the kinds `ListOptions`, `DeleteOptions` ... in error messages.
const META_GROUP: &str = "meta.k8s.io";

/// Whether only the effect is asked for (`dryRun: [All]`). `kind` names the options in the error.
pub(super) fn is_dry_run(dry_run: &[String], kind: &str) -> Result<bool, Error> {
    let mut errors = ErrorList::new();
    for value in dry_run.iter().filter(|value| *value != "All") {
        errors.push(FieldError::not_supported(&Path::new("dryRun"), value, &["All"]));
    }
    errors.into_result(META_GROUP, kind, "")?;
    Ok(!dry_run.is_empty())
}

/// Reads a revision as clients send it.
pub(super) fn revision(text: &str) -> Result<Revision, Error> {
    text.parse().map_err(|_| {
        let fault = FieldError::invalid(&Path::new("resourceVersion"), text, "must be a revision of an earlier answer");
        Error::bad_request(fault.to_string())
    })
}

/// The state that a get shows.
pub(super) fn get_at(resource_version: &str) -> Result<At, Error> {
    Ok(match resource_version {
        "" => At::Newest,
        "0" => At::Any,
        text => At::NotOlderThan(revision(text)?),
    })
}

/// The state that a list shows
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>).
pub(super) fn list_at(options: &ListOptions) -> Result<At, Error> {
    let ListOptions { resource_version, resource_version_match, r#continue, limit, .. } = options;
    let version_match = Path::new("resourceVersionMatch");
    let forbidden = |why: &str| {
        let mut errors = ErrorList::new();
        errors.push(FieldError::forbidden(&version_match, why));
        Err(errors.into_result(META_GROUP, "ListOptions", "").expect_err("the list is not empty"))
    };
    if options.send_initial_events.is_some() {
        let mut errors = ErrorList::new();
        errors.push(FieldError::forbidden(&Path::new("sendInitialEvents"), "sendInitialEvents is forbidden for list"));
        errors.into_result(META_GROUP, "ListOptions", "")?;
    }
    if !resource_version_match.is_empty() {
        if !r#continue.is_empty() {
            return forbidden("resourceVersionMatch is forbidden when continue is provided");
        }
        if resource_version.is_empty() {
            return forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
    }
    if !r#continue.is_empty() {
        if !matches!(resource_version.as_str(), "" | "0") {
            return Err(Error::bad_request("specifying resource version is not allowed when using continue"));
        }
        return Token::decode(r#continue).map(At::Page);
    }
    match (resource_version_match.as_str(), resource_version.as_str()) {
        ("Exact", "0") => forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""),
        ("Exact", text) => revision(text).map(At::Exact),
        ("" | "NotOlderThan", "0") => Ok(At::Any),
        ("NotOlderThan", text) => revision(text).map(At::NotOlderThan),
        ("", "") => Ok(At::Newest),
        // Older clients page this way.
        ("", text) if *limit > 0 => revision(text).map(At::Exact),
        ("", text) => revision(text).map(At::NotOlderThan),
        (other, _) => {
            let mut errors = ErrorList::new();
            errors.push(FieldError::not_supported(&version_match, other, &["Exact", "NotOlderThan", ""]));
            Err(errors.into_result(META_GROUP, "ListOptions", "").expect_err("the list is not empty"))
        }
    }
}

/// Checks what only a watch can ask for.
pub(super) fn check_watch(options: &ListOptions) -> Result<(), Error> {
    let mut errors = ErrorList::new();
    let version_match = Path::new("resourceVersionMatch");
    let initial = Path::new("sendInitialEvents");
    match (options.send_initial_events, options.resource_version_match.as_str()) {
        (None, "") | (Some(_), "NotOlderThan") => {}
        (None, _) => {
            errors.push(FieldError::forbidden(
                &version_match,
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        (Some(_), "") => errors.push(FieldError::forbidden(
            &version_match,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )),
        (Some(_), other) => errors.push(FieldError::not_supported(&version_match, other, &["NotOlderThan"])),
    }
    if options.send_initial_events == Some(true) && !options.allow_watch_bookmarks {
        errors.push(FieldError::forbidden(&initial, "sendInitialEvents requires setting allowWatchBookmarks to true"));
    }
    if !options.r#continue.is_empty() {
        errors.push(FieldError::forbidden(&Path::new("continue"), "continue is forbidden for watch"));
    }
    errors.into_result(META_GROUP, "ListOptions", "")
}

/// The objects that a list or a watch means. `fields` are the kind's own selectable fields.
pub(super) fn selection(
    kind: &KindInfo,
    namespace: &str,
    options: &ListOptions,
    fields: &[&str],
) -> Result<Selection, Error> {
    let known: Vec<&str> = ["metadata.name", "metadata.namespace"].iter().chain(fields).copied().collect();
    let fields = options.field_selector.parse::<field::Selector>()?.only(&known)?;
    let labels = options.label_selector.parse()?;
    let namespace = if kind.namespaced { namespace } else { "" };
    // A field selector narrows the namespace down as the path would.
    let namespace = match fields.required_value("metadata.namespace") {
        Some(required) if namespace.is_empty() && kind.namespaced => required.to_owned(),
        _ => namespace.to_owned(),
    };
    Ok(Selection { namespace, labels, fields })
}

/// Checks a delete's options.
pub(super) fn check_delete(options: &DeleteOptions) -> Result<(), Error> {
    let mut errors = ErrorList::new();
    let policy = Path::new("propagationPolicy");
    if let Some(chosen) = options.propagation_policy.as_deref() {
        if options.orphan_dependents.is_some() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::invalid(&policy, chosen, why));
        }
        if !["Foreground", "Background", "Orphan"].contains(&chosen) {
            errors.push(FieldError::not_supported(&policy, chosen, &["Foreground", "Background", "Orphan", "nil"]));
        }
    }
    errors.into_result(META_GROUP, "DeleteOptions", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(version: &str, matching: &str, limit: i64) -> Result<At, String> {
        let options = ListOptions {
            resource_version: version.to_owned(),
            resource_version_match: matching.to_owned(),
            limit,
            ..Default::default()
        };
        list_at(&options).map_err(|error| error.message)
    }

    #[test]
    fn the_version_says_which_state_a_list_shows() {
        let seven = Revision::new(7);
        let table = [
            ("", "", 0, At::Newest),
            ("", "", 10, At::Newest),
            ("0", "", 0, At::Any),
            ("0", "", 10, At::Any),
            ("0", "NotOlderThan", 10, At::Any),
            ("7", "", 0, At::NotOlderThan(seven)),
            ("7", "", 10, At::Exact(seven)),
            ("7", "NotOlderThan", 10, At::NotOlderThan(seven)),
            ("7", "Exact", 0, At::Exact(seven)),
        ];
        for (version, matching, limit, at) in table {
            assert_eq!(list(version, matching, limit), Ok(at), "{version:?} {matching:?} {limit}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_kubernetes_words() {
        let table = [
            ("", "Exact", "resourceVersionMatch is forbidden unless resourceVersion is provided"),
            ("0", "Exact", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""),
            ("7", "Nearly", "Unsupported value: \"Nearly\""),
            ("seven", "", "Invalid value: \"seven\""),
        ];
        for (version, matching, why) in table {
            let error = list(version, matching, 0).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let options = DeleteOptions {
            propagation_policy: Some("Sometimes".to_owned()),
            orphan_dependents: Some(true),
            ..Default::default()
        };
        let error = check_delete(&options).unwrap_err().message;
        assert!(error.starts_with("DeleteOptions.meta.k8s.io \"\" is invalid: [propagationPolicy: "), "{error}");
        assert!(is_dry_run(&["All".to_owned()], "CreateOptions").unwrap());
        assert!(is_dry_run(&["Some".to_owned()], "CreateOptions").is_err());
    }

    #[test]
    fn a_field_that_cannot_be_selected_is_named() {
        let options = ListOptions { field_selector: "spec.color=red".to_owned(), ..Default::default() };
        let error = selection(api::KINDS[0], "default", &options, &["spec.nodeName"]).unwrap_err();
        assert_eq!((error.code(), error.message.as_str()), (400, "field label not supported: spec.color"));
    }
}
