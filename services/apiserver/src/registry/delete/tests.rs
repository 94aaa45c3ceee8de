//! The rules of deletion as tables; scenario ids are those of SCENARIOS.

use super::*;

const START: i64 = 1_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

fn options(grace: Option<i64>, policy: Option<&str>) -> DeleteOptions {
    DeleteOptions {
        grace_period_seconds: grace,
        propagation_policy: policy.map(str::to_owned),
        ..DeleteOptions::default()
    }
}

/// A pod that was deleted at 0 with this grace period.
fn terminating(grace: i64) -> ObjectMeta {
    ObjectMeta {
        deletion_timestamp: Some(at(grace).into()),
        deletion_grace_period_seconds: Some(grace),
        ..ObjectMeta::default()
    }
}

fn deadline(metadata: &ObjectMeta) -> Option<(i64, i64)> {
    let seconds = metadata.deletion_timestamp?.seconds - START;
    Some((seconds, metadata.deletion_grace_period_seconds?))
}

#[test]
fn d1_d2_a_first_delete_marks_the_object_with_its_grace_period() {
    let mut metadata = ObjectMeta { generation: 3, ..ObjectMeta::default() };
    assert_eq!(plan(&mut metadata, Some(30), false, true, &options(None, None), at(5)), Step::Mark);
    assert_eq!(deadline(&metadata), Some((35, 30)));
    assert_eq!(metadata.generation, 4, "deletion is a change of intent");
}

#[test]
fn d10_a_grace_period_of_zero_removes_the_object() {
    let zero = options(Some(0), None);
    assert_eq!(plan(&mut ObjectMeta::default(), Some(0), false, true, &zero, at(0)), Step::Remove);
    assert_eq!(plan(&mut terminating(30), Some(0), false, true, &zero, at(0)), Step::Remove);
}

#[test]
fn d12_a_running_grace_period_can_be_shortened_and_never_lengthened() {
    let table = [
        ("shorter", Some(10), Step::Mark, (10, 10)),
        ("the same", Some(30), Step::Nothing, (30, 30)),
        ("longer", Some(60), Step::Nothing, (30, 30)),
        ("not said", None, Step::Nothing, (30, 30)),
        ("negative", Some(-1), Step::Mark, (1, 1)),
    ];
    for (case, requested, step, expected) in table {
        let mut metadata = terminating(30);
        // What the kind would give a new delete does not matter any more.
        let planned = plan(&mut metadata, Some(30), false, true, &options(requested, None), at(7));
        assert_eq!((planned, deadline(&metadata)), (step, Some(expected)), "{case}");
    }
}

#[test]
fn d12_finalizers_keep_an_object_that_would_go() {
    let finalized = |mut metadata: ObjectMeta| {
        metadata.finalizers.push("x/y".to_owned());
        metadata
    };
    let zero = options(Some(0), None);
    // A graceful kind, then one that is always removed at once.
    for grace in [Some(0), None] {
        let mut metadata = finalized(ObjectMeta::default());
        assert_eq!(plan(&mut metadata, grace, false, true, &zero, at(3)), Step::Mark);
        assert_eq!(deadline(&metadata), Some((3, 0)));
        // The second delete has nothing to add: for one kind the plan says so, for the other the unchanged object does.
        let before = metadata.clone();
        plan(&mut metadata, grace, false, true, &zero, at(9));
        assert_eq!(metadata, before);
    }
    let mut pod = finalized(terminating(30));
    assert_eq!(plan(&mut pod, Some(0), false, true, &zero, at(3)), Step::Mark);
    assert_eq!(deadline(&pod), Some((0, 0)), "its node's agent is done, its finalizer is not");
}

#[test]
fn an_object_of_a_kind_without_grace_goes_at_once_unless_something_holds_it() {
    assert_eq!(plan(&mut ObjectMeta::default(), None, false, true, &options(None, None), at(0)), Step::Remove);
    let mut held = ObjectMeta::default();
    assert_eq!(plan(&mut held, None, true, true, &options(None, None), at(0)), Step::Mark);
    assert_eq!(deadline(&held), Some((0, 0)));
}

#[test]
fn w4_the_policy_becomes_the_garbage_collectors_finalizer() {
    let table: &[(&[&str], Option<&str>, &[&str])] = &[
        (&[], None, &[]),
        (&[], Some("Background"), &[]),
        (&[], Some("Foreground"), &[FOREGROUND]),
        (&[], Some("Orphan"), &[ORPHAN]),
        (&["x/y"], Some("Foreground"), &["x/y", FOREGROUND]),
        (&[ORPHAN], None, &[ORPHAN]),
        (&[ORPHAN], Some("Background"), &[]),
        (&[FOREGROUND, "x/y"], Some("Orphan"), &["x/y", ORPHAN]),
    ];
    for (present, policy, expected) in table {
        let present: Vec<String> = present.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(finalizers(&present, &options(None, *policy)), *expected, "{present:?} {policy:?}");
    }
    let orphan = DeleteOptions { orphan_dependents: Some(true), ..DeleteOptions::default() };
    assert_eq!(finalizers(&[], &orphan), [ORPHAN]);
    let mut event = ObjectMeta::default();
    let step = plan(&mut event, None, false, false, &options(None, Some("Foreground")), at(0));
    assert_eq!((step, event.finalizers), (Step::Remove, vec![]), "an event has no dependents");
}

#[test]
fn d12_preconditions_that_do_not_hold_are_a_conflict() {
    let kind = <api::core::v1::Pod as Resource>::INFO;
    let found = ObjectMeta {
        name: "web".to_owned(),
        uid: "u1".to_owned(),
        resource_version: "7".to_owned(),
        ..ObjectMeta::default()
    };
    let check = |uid: Option<&str>, version: Option<&str>| {
        let expected = Preconditions { uid: uid.map(str::to_owned), resource_version: version.map(str::to_owned) };
        check_preconditions(kind, Some(&expected), &found).map_err(|error| (error.code(), error.message))
    };
    assert_eq!(check(Some("u1"), Some("7")), Ok(()));
    let (code, message) = check(Some("u2"), None).unwrap_err();
    assert_eq!(code, 409);
    assert_eq!(
        message,
        "Operation cannot be fulfilled on pods \"web\": the UID in the precondition (u2) does not match the UID in \
         record (u1). The object might have been deleted and then recreated"
    );
    let (code, message) = check(None, Some("6")).unwrap_err();
    assert_eq!(code, 409);
    assert!(message.ends_with(
        "the ResourceVersion in the precondition (6) does not match the ResourceVersion in record (7). \
         The object might have been modified"
    ));
}
