use proptest::prelude::*;

use super::*;

fn select(text: &str) -> Selector {
    text.parse().unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn texts_are_read_and_written_in_one_way() {
    let table = [
        ("", ""),
        (" \t\r\n", ""),
        ("x=a,y=b,z=c", "x=a,y=b,z=c"),
        ("z=c,x=a", "x=a,z=c"),
        ("x!=a,y=b", "x!=a,y=b"),
        ("x==a", "x=a"),
        ("x=", "x="),
        ("x= ,z= ", "x=,z="),
        ("x", "x"),
        ("!x", "!x"),
        ("! x", "!x"),
        ("x>1,y<7", "x>1,y<7"),
        ("x in (b,a,b)", "x in (a,b)"),
        ("x notin (abc)", "x notin (abc)"),
        ("x in ()", "x in ()"),
        ("x in (,a)", "x in (,a)"),
        ("x in (a,)", "x in (,a)"),
        ("x in (a,,b)", "x in (,a,b)"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("notin=in", "notin=in"),
        ("x in(a)", "x in (a)"),
        ("a=b,c!=d,e in (x,y),f notin (z),g,!h", "a=b,c!=d,e in (x,y),f notin (z),g,!h"),
        ("example.com/app=web", "example.com/app=web"),
    ];
    for (text, want) in table {
        assert_eq!(select(text).to_string(), want, "{text:?}");
        assert_eq!(select(want), select(text), "{text:?}");
    }
}

#[test]
fn nonsense_is_refused_where_it_starts() {
    let table = [
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("x=a,", "found '', expected: identifier after ','"),
        ("x=a,,y=b", "found ',', expected: identifier after ','"),
        (
            "x=a||y=b",
            "unable to parse requirement: values[0][x]: Invalid value: \"a||y\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue', or 'my_value', or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
        ("x y", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"),
        ("x=a b", "found 'b', expected: ',' or 'end of string'"),
        ("x in a", "unable to parse requirement: found 'a' expected: '('"),
        ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("x in (a b)", "unable to parse requirement: found 'b', expected: ',' or ')'"),
        ("x==!y", "unable to parse requirement: found '!', expected: identifier"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("!x=a", "found '=', expected: ',' or 'end of string'"),
        (
            "x>a",
            "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ];
    for (text, want) in table {
        assert_eq!(text.parse::<Selector>().unwrap_err().to_string(), want, "{text:?}");
    }
    let bad_key = "-x=a".parse::<Selector>().unwrap_err().to_string();
    assert!(
        bad_key.starts_with("unable to parse requirement: <nil>: Invalid value: \"-x\": name part must"),
        "{bad_key}"
    );
}

#[test]
fn all_requirements_must_hold() {
    let web = labels(&[("app", "web"), ("tier", "front"), ("gen", "7"), ("empty", "")]);
    for text in [
        "",
        "app=web",
        "app=web,tier=front",
        "app!=db",
        "missing!=x",
        "app in (db,web)",
        "app notin (db)",
        "missing notin (x)",
        "app",
        "!missing",
        "gen>6",
        "gen<8",
        "empty=",
        "empty in ()",
    ] {
        assert!(select(text).matches(&web), "{text:?}");
    }
    for text in [
        "app=db",
        "app=web,tier=back",
        "app!=web",
        "missing=x",
        "missing=",
        "app in (db)",
        "missing in (x)",
        "app notin (web)",
        "missing",
        "!app",
        "gen>7",
        "gen<7",
        "app>1",
        "missing>1",
    ] {
        assert!(!select(text).matches(&web), "{text:?}");
    }
}

#[test]
fn nothing_and_everything_differ() {
    let web = labels(&[("app", "web")]);
    assert!(Selector::everything().matches(&web) && Selector::everything().is_everything());
    assert!(!Selector::nothing().matches(&web) && !Selector::nothing().is_everything());
    assert_eq!(Selector::from_labels(&web), select("app=web"));
    assert!(!Selector::from_labels(&web).matches(&BTreeMap::new()));
}

#[test]
fn an_objects_selector_is_read() {
    use crate::meta::v1::LabelSelectorRequirement;
    let expression = |operator: &str, values: &[&str]| LabelSelectorRequirement {
        key: "tier".into(),
        operator: operator.into(),
        values: values.iter().map(|v| (*v).to_owned()).collect(),
    };
    let of = |expressions: Vec<LabelSelectorRequirement>| {
        let selector = LabelSelector { match_labels: labels(&[("app", "web")]), match_expressions: expressions };
        Selector::of(Some(&selector))
    };
    assert_eq!(Selector::of(None), Ok(Selector::nothing()));
    assert_eq!(Selector::of(Some(&LabelSelector::default())), Ok(Selector::everything()));
    assert_eq!(of(vec![]), Ok(select("app=web")));
    let all = vec![
        expression("In", &["b", "a"]),
        expression("NotIn", &["c"]),
        expression("Exists", &[]),
        expression("DoesNotExist", &[]),
    ];
    assert_eq!(of(all), Ok(select("app=web,tier in (a,b),tier notin (c),tier,!tier")));
    let unknown = of(vec![expression("Like", &[])]).unwrap_err();
    assert_eq!(unknown.to_string(), "\"Like\" is not a valid label selector operator");
    assert!(of(vec![expression("In", &[])]).is_err());
}

#[test]
fn requirements_are_checked() {
    let no = Vec::<String>::new();
    assert!(Requirement::new("a", Operator::In, no.clone()).is_err());
    assert!(Requirement::new("a", Operator::Equals, ["x", "y"]).is_err());
    assert!(Requirement::new("a", Operator::Exists, ["x"]).is_err());
    assert!(Requirement::new("a", Operator::LessThan, ["x"]).is_err());
    assert!(Requirement::new("a/b/c", Operator::Exists, no.clone()).is_err());
    assert_eq!(
        Requirement::new("a", Operator::In, no).unwrap_err().to_string(),
        "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
    );
}

proptest! {
    #[test]
    fn any_selector_survives_its_text_form(
        terms in prop::collection::vec(("[a-z]([a-z0-9]{0,5})", 0..8_u8, prop::collection::btree_set("[a-z0-9]{0,4}", 1..4)), 0..5)
    ) {
        let requirements = terms.into_iter().map(|(key, operator, values)| {
            let one = values.first().cloned();
            let (operator, values) = match operator {
                0 => (Operator::In, values.into_iter().collect()),
                1 => (Operator::NotIn, values.into_iter().collect()),
                2 => (Operator::Equals, one.into_iter().collect()),
                3 => (Operator::NotEquals, one.into_iter().collect()),
                4 => (Operator::Exists, vec![]),
                5 => (Operator::DoesNotExist, vec![]),
                6 => (Operator::GreaterThan, vec!["7".to_owned()]),
                _ => (Operator::LessThan, vec!["7".to_owned()]),
            };
            Requirement::new(key, operator, values).unwrap()
        });
        let selector = Selector::all_of(requirements);
        prop_assert_eq!(select(&selector.to_string()), selector);
    }

    #[test]
    fn no_text_makes_the_parser_fall(text in ".*") {
        let _ = text.parse::<Selector>();
        let _ = text.parse::<crate::selector::field::Selector>();
    }
}
