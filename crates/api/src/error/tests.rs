use super::*;

#[test]
fn messages_are_those_of_kubernetes() {
    let table = [
        (Error::not_found("", "pods", "web"), r#"pods "web" not found"#),
        (Error::already_exists("apps", "deployments", "x"), r#"deployments.apps "x" already exists"#),
        (
            Error::modified("", "pods", "x"),
            "Operation cannot be fulfilled on pods \"x\": the object has been modified; \
             please apply your changes to the latest version and try again",
        ),
        (Error::forbidden("", "pods", "x", "no"), r#"pods "x" is forbidden: no"#),
        (Error::forbidden("apps", "deployments", "", "no"), "deployments.apps is forbidden: no"),
        (Error::forbidden("", "", "", "no"), "forbidden: no"),
        (Error::too_old_resource_version(3, 17), "too old resource version: 3 (17)"),
        (Error::internal("boom"), "Internal error occurred: boom"),
        (Error::timeout("slow"), "Timeout: slow"),
        (
            Error::method_not_allowed("apps", "deployments", "delete"),
            r#"delete is not supported on resources of kind "deployments.apps""#,
        ),
        (
            Error::server_timeout("", "pods", "create", 1),
            "The create operation against pods could not be completed at this time, please try again.",
        ),
    ];
    for (error, want) in table {
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn a_denied_request_says_who_what_and_where() {
    let request = Denied {
        user: "u",
        verb: "get",
        group: "",
        resource: "pods",
        subresource: "",
        namespace: "default",
        name: "x",
    };
    assert_eq!(
        Error::denied(&request).message,
        r#"pods "x" is forbidden: User "u" cannot get resource "pods" in API group "" in the namespace "default""#
    );
    let cluster = Denied { resource: "nodes", subresource: "status", namespace: "", name: "", ..request };
    assert_eq!(
        Error::denied(&cluster).message,
        r#"nodes is forbidden: User "u" cannot get resource "nodes/status" in API group "" at the cluster scope"#
    );
}

#[test]
fn details_name_the_object_and_the_wait() {
    let error = Error::not_found("apps", "deployments", "x").retry_after(2);
    assert_eq!(error.code(), 404);
    assert_eq!(error.details.name, "x");
    assert_eq!(error.details.group, "apps");
    assert_eq!(error.details.kind, "deployments");
    assert_eq!(error.details.retry_after_seconds, Some(2));
}

#[test]
fn every_reason_survives_the_wire() {
    for reason in Reason::ALL {
        assert_eq!(reason.as_str().parse(), Ok(reason));
        assert!((400..=599).contains(&reason.http_code()));
    }
    assert_eq!("FromTheFuture".parse(), Ok(Reason::Unknown));
}

#[test]
fn an_error_stays_small() {
    assert!(size_of::<Error>() <= 40);
}
