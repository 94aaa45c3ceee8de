use super::*;

fn check(rule: Rule, good: &[&str], bad: &[&str]) {
    for text in good {
        assert_eq!(rule(text), Vec::<String>::new(), "{text:?}");
    }
    for text in bad {
        assert_ne!(rule(text), Vec::<String>::new(), "{text:?}");
    }
}

#[test]
fn each_rule_takes_what_kubernetes_takes() {
    let long = |n: usize| "a".repeat(n);
    check(
        dns1123_label,
        &["a", "ab", "a1", "a-1", "a--1--2--b", "0", "01", "0-1", "1-a", &long(63)],
        &["", "A", "a@b", "-", "a-", "-a", "_", "a_b", "a.b", ".", " a", "a ", "ä", &long(64)],
    );
    check(
        dns1035_label,
        &["a", "a1", "a-1", "a--1--2--b", &long(63)],
        &["", "0", "0a", "A", "a-", "-a", "a.b", &long(64)],
    );
    check(
        dns1123_subdomain,
        &["a", "0", "a.b", "0.0", "a.b.c.d", "a-b.c-d", &long(253)],
        &["", "A", "a..b", ".a", "a.", "a-.b", "a.-b", "a_b", "a b", &long(254)],
    );
    check(
        qualified_name,
        &[
            "simple",
            "now-with-dashes",
            "1-starts-with-num",
            "1234",
            "simple/simple",
            "1.2.3.4/5678",
            "Uppercase_Is_OK_123",
        ],
        &["", "/", "a/", "/a", "a/b/c", "-bad", "bad-", "Has/UpperPrefix_", "Up/x", "with space", &long(64)],
    );
    check(label_value, &["", "simple", "My_Value.1", &long(63)], &["-a", "a-", "a b", "a/b", &long(64)]);
    check(
        port_name,
        &["telnet", "re-mail-ck", "pop3", "a", "a-1", "1-a"],
        &["", "UP", "longerthan15char", "8080", "-a", "a-", "a--b"],
    );
    check(
        config_map_key,
        &["a", "key.name", "KEY_NAME", ".hidden", "a..b"],
        &["", ".", "..", "..a", "a/b", "a b", &long(254)],
    );
    check(env_var_name, &["MY_ENV", "my.env-name", "1abc", "with space", "!"], &["", "a=b", "naïve", "a\tb"]);
    check(http_header_name, &["X-Header-Name", "1"], &["", "X Y", "a_b"]);
    check(percent, &["0%", "93%", "150%"], &["", "%", "5", "-1%", "1.5%"]);
    check(path_segment, &["system:node", "a b", "..."], &[".", "..", "a/b", "a%b"]);
    assert!(port_number(1).is_empty() && port_number(65535).is_empty());
    assert_eq!(port_number(0), ["must be between 1 and 65535, inclusive"]);
}

#[test]
fn faults_have_the_words_of_kubernetes() {
    assert_eq!(
        dns1123_label("A"),
        ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character (e.g. 'my-name', or '123-abc', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
    );
    assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
    assert_eq!(
        dns1123_subdomain("A"),
        ["a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"]
    );
    assert_eq!(dns1123_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
    assert_eq!(
        qualified_name("_"),
        ["name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character (e.g. 'MyName', or 'my.name', or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"]
    );
    assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
    assert_eq!(qualified_name("")[0], "name part must be non-empty");
    assert!(qualified_name("a/b/c")[0].ends_with("prefix and '/' (e.g. 'example.com/MyName')"));
}

#[test]
fn a_prefix_may_end_in_a_dash() {
    assert!(NameRule::Subdomain.check_prefix("web-").is_empty());
    assert!(!NameRule::Subdomain.check("web-").is_empty());
    assert!(!NameRule::Label.check_prefix("-").is_empty());
    assert!(!NameRule::Label1035.check_prefix("0-").is_empty());
}

#[test]
fn generated_names_are_prefix_and_five_characters() {
    let mut state = 7_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 3
    };
    for prefix in ["web-", "", &"x".repeat(58), &"x".repeat(200)] {
        let name = generate_name(prefix, &mut random);
        let kept = prefix.len().min(58);
        assert_eq!(name.len(), kept + 5);
        assert_eq!(&name[..kept], &prefix[..kept]);
        assert!(name[kept..].chars().all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c)), "{name}");
    }
    assert_ne!(generate_name("a-", &mut random), generate_name("a-", &mut random));
    // A prefix of many-byte characters is cut between two of them.
    assert_eq!(generate_name(&"漢".repeat(30), &mut random).chars().count(), 19 + 5);
}

#[test]
fn hashes_are_encoded_without_vowels() {
    // '0' is 48, and 48 mod 27 is 21: the alphabet's '4'.
    assert_eq!(safe_encode("0123456789"), "456789bcdf");
    assert_eq!(safe_encode(""), "");
}
