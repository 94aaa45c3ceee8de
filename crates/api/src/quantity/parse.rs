//! Reading of quantities, as liberal as Kubernetes: `.5`, `1.`, `+1`, `1e3` and even a bare `k` (nothing) are fine.

use std::fmt;
use std::str::FromStr;

use super::{Amount, Format, LIMIT};

/// Why a text is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// It is not a number followed by a suffix.
    Format,
    /// The suffix is unknown, or an exponent too long to read.
    Suffix,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParseError::Format => {
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            }
            ParseError::Suffix => "unable to parse quantity's suffix",
        })
    }
}

impl std::error::Error for ParseError {}

/// The pieces of a quantity's text.
pub(super) struct Pieces<'a> {
    pub(super) negative: bool,
    /// The digits before the point, without leading zeros.
    pub(super) whole: &'a str,
    /// The digits after the point.
    pub(super) fraction: &'a str,
    pub(super) suffix: Suffix,
}

/// What a suffix multiplies by: a power of ten or of two, and the format it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Suffix {
    pub(super) format: Format,
    pub(super) exponent: i32,
}

impl<'a> Pieces<'a> {
    pub(super) fn of(text: &'a str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::Format);
        }
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, rest) = split_digits(unsigned);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => split_digits(rest),
            None => ("", rest),
        };
        let suffix = Suffix::of(suffix)?;
        Ok(Pieces { negative, whole: whole.trim_start_matches('0'), fraction, suffix })
    }
}

impl Suffix {
    fn of(text: &str) -> Result<Self, ParseError> {
        let letters = text.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
        let number = letters.strip_prefix(['-', '+']).unwrap_or(letters);
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ParseError::Format);
        }
        let (format, exponent) = match text {
            "n" => (Format::DecimalSi, -9),
            "u" => (Format::DecimalSi, -6),
            "m" => (Format::DecimalSi, -3),
            "" => (Format::DecimalSi, 0),
            "k" => (Format::DecimalSi, 3),
            "M" => (Format::DecimalSi, 6),
            "G" => (Format::DecimalSi, 9),
            "T" => (Format::DecimalSi, 12),
            "P" => (Format::DecimalSi, 15),
            "E" => (Format::DecimalSi, 18),
            "Ki" => (Format::BinarySi, 10),
            "Mi" => (Format::BinarySi, 20),
            "Gi" => (Format::BinarySi, 30),
            "Ti" => (Format::BinarySi, 40),
            "Pi" => (Format::BinarySi, 50),
            "Ei" => (Format::BinarySi, 60),
            _ => {
                let exponent = text.strip_prefix(['e', 'E']).ok_or(ParseError::Suffix)?;
                (Format::DecimalExponent, exponent.parse().map_err(|_| ParseError::Suffix)?)
            }
        };
        Ok(Suffix { format, exponent })
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

impl Amount {
    /// Reads a quantity; the inverse of `Display`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let pieces = Pieces::of(text)?;
        let amount = match pieces.suffix.format {
            Format::BinarySi => binary(&pieces),
            _ => decimal(&pieces),
        };
        Ok(if pieces.negative { -amount } else { amount })
    }
}

impl FromStr for Amount {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Amount::parse(text)
    }
}

fn decimal(pieces: &Pieces<'_>) -> Amount {
    let mut mantissa = 0_u128;
    let mut exponent = i64::from(pieces.suffix.exponent);
    let mut more = false;
    for (index, digit) in pieces.whole.bytes().chain(pieces.fraction.bytes()).enumerate() {
        let in_fraction = index >= pieces.whole.len();
        if mantissa < LIMIT {
            mantissa = mantissa * 10 + u128::from(digit - b'0');
            exponent -= i64::from(in_fraction);
        } else {
            // Enough digits for any rounding; of the rest only matters whether there is anything.
            more |= digit != b'0';
            exponent += i64::from(!in_fraction);
        }
    }
    let mantissa = i128::try_from(mantissa + u128::from(more)).expect("ten times LIMIT is out of reach");
    let clamped = exponent.clamp(i32::MIN.into(), i32::MAX.into());
    Amount::scaled(mantissa, i32::try_from(clamped).expect("clamped"), pieces.suffix.format)
}

fn binary(pieces: &Pieces<'_>) -> Amount {
    // Fixed point: whole units, and the fraction in steps fine enough to stay exact through 60 doublings.
    const ONE: u128 = LIMIT;
    let mut fraction = 0_u128;
    let mut step = ONE;
    let mut more = false;
    for digit in pieces.fraction.bytes() {
        step /= 10;
        fraction += u128::from(digit - b'0') * step;
        // Beyond the last step only matters whether there is anything.
        more |= step == 0 && digit != b'0';
    }
    fraction += u128::from(more);
    // Binary amounts are capped at what an i64 holds, so text that does not fit needs no exact value.
    let cap = u128::from(i64::MAX.unsigned_abs());
    let mut whole = pieces.whole.bytes().fold(0_u128, |n, digit| (n * 10 + u128::from(digit - b'0')).min(cap + 1));
    for _ in 0..pieces.suffix.exponent {
        fraction *= 2;
        whole = (whole * 2 + fraction / ONE).min(cap + 1);
        fraction %= ONE;
    }
    if whole > cap || (whole == cap && fraction > 0) {
        return Amount::new(i64::MAX, Format::BinarySi);
    }
    let nanos = whole * 10_u128.pow(9) + fraction.div_ceil(ONE / 10_u128.pow(9));
    // Less than one unit has no binary suffix to be written with.
    let format = if whole == 0 && nanos > 0 { Format::DecimalSi } else { Format::BinarySi };
    Amount::scaled(i128::try_from(nanos).expect("an i64 in nanos fits"), -9, format)
}
