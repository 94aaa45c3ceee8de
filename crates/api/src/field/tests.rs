use super::*;
use crate::error::Reason;

#[test]
fn paths_read_as_in_the_object() {
    let containers = Path::new("spec").child("containers");
    assert_eq!(containers.index(0).child("name").to_string(), "spec.containers[0].name");
    assert_eq!(Path::new("metadata").child("labels").key("a/b").to_string(), "metadata.labels[a/b]");
}

#[test]
fn texts_are_those_of_kubernetes() {
    let f = &Path::new("f");
    let table = [
        (FieldError::required(f, ""), "f: Required value"),
        (FieldError::required(f, "name it"), "f: Required value: name it"),
        (FieldError::invalid(f, "x", "must be y"), r#"f: Invalid value: "x": must be y"#),
        (FieldError::invalid(f, -1, "too small"), "f: Invalid value: -1: too small"),
        (FieldError::invalid(f, Json(&["a", "b"]), ""), r#"f: Invalid value: ["a","b"]"#),
        (FieldError::duplicate(f, "x"), r#"f: Duplicate value: "x""#),
        (FieldError::forbidden(f, "not now"), "f: Forbidden: not now"),
        (FieldError::not_supported(f, "x", &["a", "b"]), r#"f: Unsupported value: "x": supported values: "a", "b""#),
        (FieldError::not_supported(f, "x", &[]), r#"f: Unsupported value: "x""#),
        (FieldError::too_long(f, 63), "f: Too long: may not be more than 63 bytes"),
        (FieldError::too_long(f, 1), "f: Too long: may not be more than 1 byte"),
        (FieldError::too_many(f, 5, 3), "f: Too many: 5: must have at most 3 items"),
        (FieldError::not_found(f, "x"), r#"f: Not found: "x""#),
    ];
    for (error, want) in table {
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn a_list_becomes_one_error_with_its_causes() {
    let one = FieldError::required(&Path::new("a"), "");
    let two = FieldError::invalid(&Path::new("b"), "x", "no");
    let single: ErrorList = [one.clone()].into_iter().collect();
    let error = single.into_result("", "Pod", "web").unwrap_err();
    assert_eq!(error.message, r#"Pod "web" is invalid: a: Required value"#);

    let several: ErrorList = [one.clone(), one, two].into_iter().collect();
    let error = several.into_result("apps", "Deployment", "web").unwrap_err();
    assert_eq!(error.message, r#"Deployment.apps "web" is invalid: [a: Required value, b: Invalid value: "x": no]"#);
    assert_eq!(error.reason, Reason::Invalid);
    assert_eq!(error.details.kind, "Deployment");
    assert_eq!(error.details.causes.len(), 3);
    assert_eq!(error.details.causes[2].reason, "FieldValueInvalid");
    assert_eq!(error.details.causes[2].message, r#"Invalid value: "x": no"#);
    assert_eq!(error.details.causes[2].field, "b");
    assert_eq!(ErrorList::new().into_result("", "Pod", "web"), Ok(()));
}
