//! Exact amounts of resources: `100m` of a CPU, `1.5Gi` of memory, `12e6`.
//!
//! An [`Amount`] is what a Kubernetes [quantity](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)
//! means: a decimal number with the family of suffixes that it was written in. It is never a floating point
//! number. The smallest step is one nano; anything finer is rounded away from zero when it is read, so whoever
//! asks for a little gets a little. Reading is in `parse`, writing the canonical form in `canonical`.
//!
//! Kubernetes keeps as many digits as it is given. Here an amount has at most 37 significant digits, far above
//! any sum of real resources; more are rounded away from zero in the same way, and no operation overflows.

mod canonical;
mod message;
mod parse;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

pub use canonical::canonical;
pub use message::{amounts, quantities};
pub use parse::ParseError;

/// The exponent of the smallest step, 10^-9.
const NANO: i32 = -9;

/// How many digits an amount keeps; chosen so that the sum of two mantissas fits an `i128`.
const MAX_DIGITS: u32 = 37;

/// Every mantissa is below this.
const LIMIT: u128 = 10_u128.pow(MAX_DIGITS);

/// The family of suffixes in which an amount is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// `n u m k M G T P E`: powers of a thousand.
    #[default]
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`: powers of 1024.
    BinarySi,
    /// `e3`, `e6`: powers of ten.
    DecimalExponent,
}

/// An amount of a resource.
///
/// Two amounts are equal if their values are, in whatever format: `1Ki` is `1024`. `Display` writes the
/// canonical form, and [`str::parse`] reads every form.
#[derive(Debug, Clone, Copy, Default)]
pub struct Amount {
    /// The digits, without trailing zeros, so that equal values have equal digits.
    mantissa: i128,
    /// The power of ten that the digits are multiplied by; 0 for zero, never below [`NANO`].
    exponent: i32,
    format: Format,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount { mantissa: 0, exponent: 0, format: Format::DecimalSi };

    /// Makes an amount of whole units: bytes, pods, cores.
    pub fn new(value: i64, format: Format) -> Self {
        Amount::scaled(value.into(), 0, format)
    }

    /// Makes an amount of thousandths.
    pub fn from_milli(value: i64, format: Format) -> Self {
        Amount::scaled(value.into(), -3, format)
    }

    /// Makes `mantissa * 10^exponent`, rounded away from zero to what an amount can hold.
    fn scaled(mantissa: i128, exponent: i32, format: Format) -> Self {
        let (mut digits, mut exponent) = (mantissa.unsigned_abs(), exponent);
        if exponent < NANO {
            digits = shift_right(digits, exponent.abs_diff(NANO));
            exponent = NANO;
        }
        while digits >= LIMIT {
            digits = digits.div_ceil(10);
            exponent = exponent.saturating_add(1);
        }
        if digits == 0 {
            return Amount { mantissa: 0, exponent: 0, format };
        }
        while digits % 10 == 0 && exponent < i32::MAX {
            digits /= 10;
            exponent += 1;
        }
        Amount { mantissa: signed(digits, mantissa), exponent, format }
    }

    /// Returns the family of suffixes in which the amount is written.
    pub fn format(self) -> Format {
        self.format
    }

    /// True if there is nothing of it.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// True below zero.
    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// Returns whole units, rounded away from zero and capped to what an `i64` holds.
    pub fn value(self) -> i64 {
        self.scaled_value(0)
    }

    /// Returns thousandths, rounded away from zero and capped to what an `i64` holds.
    pub fn milli_value(self) -> i64 {
        self.scaled_value(-3)
    }

    /// Rounds away from zero to whole thousandths.
    pub fn round_up_to_milli(self) -> Self {
        const MILLI: i32 = -3;
        if self.exponent >= MILLI {
            return self;
        }
        let steps = shift_right(self.mantissa.unsigned_abs(), self.exponent.abs_diff(MILLI));
        Amount::scaled(signed(steps, self.mantissa), MILLI, self.format)
    }

    /// Returns the number of steps of `10^exponent`, rounded away from zero and capped.
    fn scaled_value(self, exponent: i32) -> i64 {
        let digits = self.mantissa.unsigned_abs();
        let steps = match self.exponent.cmp(&exponent) {
            Ordering::Less => shift_right(digits, self.exponent.abs_diff(exponent)),
            _ => shift_left(digits, self.exponent.abs_diff(exponent)).unwrap_or(u128::MAX),
        };
        match (i64::try_from(steps), self.is_negative()) {
            (Ok(steps), false) => steps,
            (Ok(steps), true) => -steps,
            (Err(_), false) => i64::MAX,
            (Err(_), true) => i64::MIN,
        }
    }

    /// Returns the power of ten of the first digit plus one, which orders amounts of different length.
    fn magnitude(self) -> i64 {
        let digits = self.mantissa.unsigned_abs().checked_ilog10().map_or(0, |log| i64::from(log) + 1);
        digits + i64::from(self.exponent)
    }
}

/// Multiplies by `10^places`, unless the result exceeds what an amount can hold.
fn shift_left(digits: u128, places: u32) -> Option<u128> {
    let shifted = digits.checked_mul(10_u128.checked_pow(places)?)?;
    (shifted < LIMIT).then_some(shifted)
}

/// Divides by `10^places`, rounding up.
fn shift_right(digits: u128, places: u32) -> u128 {
    match 10_u128.checked_pow(places) {
        Some(power) => digits.div_ceil(power),
        None => digits.min(1),
    }
}

/// Gives `digits`, which are below [`LIMIT`], the sign of `like`.
fn signed(digits: u128, like: i128) -> i128 {
    i128::try_from(digits).expect("LIMIT fits an i128") * like.signum()
}

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        (self.mantissa, self.exponent) == (other.mantissa, other.exponent)
    }
}

impl Eq for Amount {}

impl Hash for Amount {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.mantissa, self.exponent).hash(state);
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.mantissa.signum() != other.mantissa.signum() || self.is_zero() {
            return self.mantissa.signum().cmp(&other.mantissa.signum());
        }
        let by_size = self.magnitude().cmp(&other.magnitude()).then_with(|| {
            // Equally many digits before the point: written to the same last place, both fit.
            let last = self.exponent.min(other.exponent);
            let digits = |a: &Amount| shift_left(a.mantissa.unsigned_abs(), a.exponent.abs_diff(last));
            digits(self).cmp(&digits(other))
        });
        if self.is_negative() { by_size.reverse() } else { by_size }
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Neg for Amount {
    type Output = Amount;

    fn neg(self) -> Amount {
        Amount { mantissa: -self.mantissa, ..self }
    }
}

/// The sum is written in the format of the first amount, or of the second if the first is zero.
impl Add for Amount {
    type Output = Amount;

    fn add(self, other: Amount) -> Amount {
        let format = if self.is_zero() { other.format } else { self.format };
        let (big, small) = if self.magnitude() >= other.magnitude() { (self, other) } else { (other, self) };
        if small.is_zero() {
            return Amount { format, ..big };
        }
        if big.is_zero() {
            return Amount { format, ..small };
        }
        // Both are written to one last place: the finer one's, unless the bigger one has no room for that.
        let room = MAX_DIGITS - 1 - big.mantissa.unsigned_abs().ilog10();
        let last = big.exponent.saturating_sub_unsigned(room).max(big.exponent.min(small.exponent));
        let digits = |a: Amount| {
            let size = a.mantissa.unsigned_abs();
            let size = match a.exponent < last {
                true => shift_right(size, a.exponent.abs_diff(last)),
                false => shift_left(size, a.exponent.abs_diff(last)).expect("there is room for the bigger one"),
            };
            signed(size, a.mantissa)
        };
        // Each is below LIMIT, and an i128 holds more than twice that.
        Amount::scaled(digits(big) + digits(small), last, format)
    }
}

impl Sub for Amount {
    type Output = Amount;

    fn sub(self, other: Amount) -> Amount {
        self + -other
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Amount) {
        *self = *self + other;
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Amount) {
        *self = *self - other;
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Amount>>(amounts: I) -> Amount {
        amounts.fold(Amount::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests;
