//! The canonical form of quantities: no fraction, and the biggest suffix that keeps the value exact.

use std::borrow::Cow;
use std::fmt;

use super::parse::{ParseError, Pieces};
use super::{Amount, Format};

/// The biggest decimal suffix stands for 10^18, and the biggest binary one for 1024^6.
const EXA: i32 = 18;
const EXBI: u32 = 6;

/// The canonical form.
///
/// Binary suffixes can only say whole multiples of 1024, so anything smaller, or with a fraction, is written
/// with decimal ones: `0.5Ki` is `512`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        if self.format == Format::BinarySi
            && let Some((number, power)) = self.in_powers_of_1024()
        {
            let suffix = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power];
            return write!(f, "{number}{suffix}");
        }
        // The exponent is a multiple of three, and goes down to reach one.
        let exponent = self.exponent - self.exponent.rem_euclid(3);
        let zeros = self.exponent.abs_diff(exponent);
        let number = Number { mantissa: self.mantissa, zeros };
        match (self.format, exponent) {
            (_, 0) => write!(f, "{number}"),
            (Format::DecimalExponent, _) => write!(f, "{number}e{exponent}"),
            (_, ..=EXA) => write!(f, "{number}{}", si_suffix(exponent)),
            // No suffix is that big.
            _ => write!(f, "{number}e{exponent}"),
        }
    }
}

/// Digits with zeros after them, which may be more than an integer type holds.
struct Number {
    mantissa: i128,
    zeros: u32,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.mantissa, &"00"[..self.zeros as usize])
    }
}

fn si_suffix(exponent: i32) -> &'static str {
    match exponent {
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        EXA => "E",
        _ => "",
    }
}

impl Amount {
    /// Splits into a number and the highest power of 1024 that divides it, if there is such a whole number and
    /// it is at least 1024.
    fn in_powers_of_1024(self) -> Option<(i128, usize)> {
        let power_of_ten = 10_i128.checked_pow(u32::try_from(self.exponent).ok()?)?;
        let whole = self.mantissa.checked_mul(power_of_ten)?;
        if whole.unsigned_abs() < 1024 {
            return None;
        }
        let power = (whole.trailing_zeros() / 10).min(EXBI);
        Some((whole >> (10 * power), power as usize))
    }
}

/// Returns what an API object shows for a quantity that was written as `text`.
///
/// That is the canonical form, except where Kubernetes keeps the text as it was written: if it has at most 18
/// digits, an exponent that is a multiple of three, and no zeros to spare. So `1.001` stays, and `1.5`
/// becomes `1500m`.
pub fn canonical(text: &str) -> Result<Cow<'_, str>, ParseError> {
    let amount = Amount::parse(text)?;
    let kept = text == "0" || stays_as_written(&Pieces::of(text)?);
    Ok(if kept { Cow::Borrowed(text) } else { Cow::Owned(amount.to_string()) })
}

fn stays_as_written(pieces: &Pieces<'_>) -> bool {
    let whole = if pieces.whole.is_empty() { "0" } else { pieces.whole };
    let exponent = i64::from(pieces.suffix.exponent);
    let places = pieces.fraction.len() as i64;
    if pieces.suffix.format == Format::BinarySi {
        let fits = 15 - whole.len() as i64 - exponent * 3 / 10 > 0;
        let last_bits = whole.bytes().fold(0_u8, |n, digit| (n.wrapping_mul(10).wrapping_add(digit - b'0')) & 7);
        return places == 0 && fits && last_bits != 0;
    }
    let digits = format!("{whole}{}", pieces.fraction);
    let exponent = exponent - places;
    digits.len() <= 18 && exponent >= -9 && exponent % 3 == 0 && !digits.ends_with("000") && !digits.starts_with('0')
}
