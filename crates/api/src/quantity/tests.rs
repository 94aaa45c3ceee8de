//! Tables after Kubernetes' documented behaviour, and properties over generated amounts.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn every_suffix_is_read() {
    let table = [
        ("5n", 5, -9, Format::DecimalSi),
        ("4u", 4, -6, Format::DecimalSi),
        ("3m", 3, -3, Format::DecimalSi),
        ("9", 9, 0, Format::DecimalSi),
        ("8k", 8, 3, Format::DecimalSi),
        ("50M", 5, 7, Format::DecimalSi),
        ("6G", 6, 9, Format::DecimalSi),
        ("5T", 5, 12, Format::DecimalSi),
        ("2P", 2, 15, Format::DecimalSi),
        ("12E", 12, 18, Format::DecimalSi),
        ("1Ki", 1 << 10, 0, Format::BinarySi),
        ("7Mi", 7 << 20, 0, Format::BinarySi),
        ("6Gi", 6 << 30, 0, Format::BinarySi),
        ("10Ti", 10 << 40, 0, Format::BinarySi),
        ("4Pi", 4 << 50, 0, Format::BinarySi),
        ("3Ei", 3 << 60, 0, Format::BinarySi),
        ("1e3", 1, 3, Format::DecimalExponent),
        ("1E-3", 1, -3, Format::DecimalExponent),
        ("1.3E+6", 13, 5, Format::DecimalExponent),
        ("1.7E18", 17, 17, Format::DecimalExponent),
        ("100.035k", 100_035, 0, Format::DecimalSi),
        ("1.01E", 101, 16, Format::DecimalSi),
        ("100.035Ki", 10_243_584, -2, Format::BinarySi),
        ("0.05Gi", 536_870_912, -1, Format::BinarySi),
        ("0.025Ti", 274_877_906_944, -1, Format::BinarySi),
        (".0001k", 1, -1, Format::DecimalSi),
        ("1.G", 1, 9, Format::DecimalSi),
        (".", 0, 0, Format::DecimalSi),
        ("-", 0, 0, Format::DecimalSi),
        ("k", 0, 0, Format::DecimalSi),
        ("0Ki", 0, 0, Format::BinarySi),
    ];
    for (text, mantissa, exponent, format) in table {
        let want = Amount::scaled(mantissa, exponent, format);
        for (text, want) in [(text.to_owned(), want), (format!("+{text}"), want), (format!("-{text}"), -want)] {
            if text == "+-" || text == "--" {
                continue;
            }
            assert_eq!(amount(&text), want, "{text}");
            assert_eq!(amount(&text).format(), format, "{text}");
        }
    }
}

#[test]
fn below_a_nano_is_rounded_away_from_zero() {
    let table = [
        ("3.001n", "4n"),
        ("1.1E-9", "2e-9"),
        ("0.0000000001", "1n"),
        ("0.00000012345", "124n"),
        ("0.000000000001Ki", "2n"),
        ("-0.5n", "-1n"),
        ("1e-2147483648", "1e-9"),
        ("0.50000000000000000000000000000000000000000001Ki", "512000000001n"),
        ("0.00000000000000000000000000000000000000000000000000000000000000001Ei", "1n"),
        ("0.0000000000000000000000000000000000000000000000000000000000000000000000000001", "1n"),
    ];
    for (text, want) in table {
        assert_eq!(amount(text).to_string(), want, "{text}");
    }
}

#[test]
fn binary_amounts_are_capped_and_decimal_ones_are_not() {
    let most = Amount::new(i64::MAX, Format::BinarySi);
    for text in ["9Ei", "9223372036854775807Ki", "8Ei", "7.99999999999999999999999999999999999Ei"] {
        assert_eq!(amount(text), most, "{text}");
    }
    assert!(amount("12E") > most);
    assert_eq!(amount("1e40").to_string(), "10e39");
}

#[test]
fn digits_beyond_the_kept_ones_round_away_from_zero() {
    let many = "1".repeat(45);
    assert_eq!(amount(&many), Amount::scaled("1".repeat(36).parse::<i128>().unwrap() * 10 + 2, 8, Format::DecimalSi));
    assert_eq!(amount(&format!("{}{}", "1".repeat(30), "0".repeat(30))).to_string().len(), 33);
}

#[test]
fn nonsense_is_refused_with_kubernetes_words() {
    for text in ["", "1.1.M", "1+1.0M", "0.1am", "aoeu", " 1", "1 ", "1x", "1KI", "½", "1,5"] {
        assert_eq!(Amount::parse(text), Err(ParseError::Format), "{text:?}");
    }
    for text in ["0.1mi", ".5i", "1i", "-3.01i", "-3.01e-", "1kk", "1+1", "1e", "1e99999999999", "1i5"] {
        assert_eq!(Amount::parse(text), Err(ParseError::Suffix), "{text:?}");
    }
    assert_eq!(
        ParseError::Format.to_string(),
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
}

#[test]
fn the_canonical_form_is_short_and_exact() {
    let table = [
        ("0", "0"),
        ("0Ki", "0"),
        ("1.5", "1500m"),
        ("1000m", "1"),
        ("1.5Gi", "1536Mi"),
        ("1024Mi", "1Gi"),
        ("1Ki", "1Ki"),
        ("0.5Ki", "512"),
        // Whole, but no multiple of 1024.
        ("1.5Ki", "1536"),
        ("0.1Ki", "102400m"),
        ("100.035Ki", "102435840m"),
        ("1024", "1024"),
        ("1000Ki", "1000Ki"),
        ("1000k", "1M"),
        ("100e2", "10e3"),
        ("1.5e-3", "1500e-6"),
        ("12E", "12E"),
        ("1000E", "1e21"),
        ("-2000m", "-2"),
        ("-2048Ki", "-2Mi"),
        ("0.001", "1m"),
        ("100k", "100k"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("0.5e0", "500e-3"),
    ];
    for (text, want) in table {
        assert_eq!(amount(text).to_string(), want, "{text}");
    }
}

#[test]
fn objects_keep_some_texts_as_they_were_written() {
    let table = [
        ("0", "0"),
        ("1.001", "1.001"),
        ("1E3", "1E3"),
        ("+5", "+5"),
        ("1.5e1", "1.5e1"),
        ("+1Ki", "+1Ki"),
        ("1.5", "1500m"),
        ("1.000", "1"),
        ("0.001", "1m"),
        ("01", "01"),
        ("+8Ki", "8Ki"),
        ("1024Mi", "1Gi"),
        ("0.0", "0"),
        ("1Ei", "1Ei"),
        ("1234567890123456789", "1234567890123456789"),
    ];
    for (text, want) in table {
        assert_eq!(canonical(text).as_deref(), Ok(want), "{text}");
    }
    assert_eq!(canonical("1x"), Err(ParseError::Format));
}

#[test]
fn values_are_compared_across_formats() {
    let table = [
        ("0", "0", Ordering::Equal),
        ("0", "-0.0", Ordering::Equal),
        ("100m", "50m", Ordering::Greater),
        ("10000T", "100Gi", Ordering::Greater),
        ("1Ki", "1024", Ordering::Equal),
        ("1Ki", "1k", Ordering::Greater),
        ("-1", "1n", Ordering::Less),
        ("-2", "-1", Ordering::Less),
        ("0", "1n", Ordering::Less),
        ("0", "-1n", Ordering::Greater),
        ("1e1000000", "1e999999", Ordering::Greater),
        ("1e2147483647", "1n", Ordering::Greater),
        ("9999999999999999999999999999999999999", "1e37", Ordering::Less),
    ];
    for (left, right, want) in table {
        assert_eq!(amount(left).cmp(&amount(right)), want, "{left} {right}");
        assert_eq!(amount(right).cmp(&amount(left)), want.reverse(), "{right} {left}");
    }
}

#[test]
fn sums_take_the_first_format_and_never_overflow() {
    let table = [
        ("100m", "900m", "1"),
        ("1Gi", "512Mi", "1536Mi"),
        ("1Gi", "1k", "1073742824"),
        ("0", "1Gi", "1Gi"),
        ("1Gi", "0", "1Gi"),
        ("1Ki", "1m", "1024001m"),
        ("1", "1Ki", "1025"),
        ("1n", "1E", "1000000000000000000000000001n"),
        ("1", "-1", "0"),
        ("3", "-5", "-2"),
        ("1e100", "1", "10000000000000000000000000000000000010e63"),
        ("9999999999999999999999999999999999999", "1", "10e36"),
    ];
    for (left, right, want) in table {
        assert_eq!((amount(left) + amount(right)).to_string(), want, "{left} + {right}");
    }
    assert_eq!((amount("0") - amount("1Gi")).to_string(), "-1Gi");
    assert_eq!(["100m", "1", "400m"].map(amount).into_iter().sum::<Amount>().to_string(), "1500m");
    let huge = amount("9999999999999999999999999999999999999e2147483000");
    assert!(huge + huge > huge);
}

#[test]
fn values_round_up_and_stay_in_range() {
    let table = [
        ("0", 0, 0),
        ("1", 1, 1000),
        ("1n", 1, 1),
        ("1500m", 2, 1500),
        ("-1500m", -2, -1500),
        ("1.0001", 2, 1001),
        ("2Ki", 2048, 2_048_000),
        ("8Ei", i64::MAX, i64::MAX),
        ("1e100", i64::MAX, i64::MAX),
        ("-1e100", i64::MIN, i64::MIN),
    ];
    for (text, value, milli) in table {
        assert_eq!(amount(text).value(), value, "{text}");
        assert_eq!(amount(text).milli_value(), milli, "{text}");
    }
}

fn texts() -> impl Strategy<Value = String> {
    "[+-]?[0-9]{0,24}(\\.[0-9]{0,14})?(n|u|m||k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})"
        .prop_filter("some text", |text| !text.is_empty())
}

proptest! {
    #[test]
    fn the_canonical_form_reads_as_the_same_amount(text in texts()) {
        let first = amount(&text);
        let shown = first.to_string();
        prop_assert_eq!(amount(&shown), first);
        prop_assert_eq!(amount(&shown).to_string(), shown);
        prop_assert_eq!(amount(&canonical(&text).unwrap()), first);
    }

    #[test]
    fn order_and_arithmetic_agree(a in texts(), b in texts()) {
        let (a, b) = (amount(&a), amount(&b));
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a.cmp(&b), (-b).cmp(&-a));
        prop_assert_eq!(a + b, b + a);
        prop_assert!((a - a).is_zero());
        if !b.is_negative() {
            prop_assert!(a + b >= a);
        }
    }

    #[test]
    fn milli_amounts_come_back(value in any::<i64>()) {
        let amount = Amount::from_milli(value, Format::DecimalSi);
        prop_assert_eq!(amount.milli_value(), value);
        prop_assert_eq!(Amount::parse(&amount.to_string()), Ok(amount));
    }
}
