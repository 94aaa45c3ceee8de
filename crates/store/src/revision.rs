//! The store's clock: one number that grows by one with every committed write.
//!
//! Kubernetes shows it to users as `metadata.resourceVersion`. It orders everything the store
//! has ever committed, across all keys, and says nothing about wall time.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// A revision of the whole store (etcd's `revision`, an entry's `mod_revision`).
///
/// Revisions are compared with each other and printed; the only arithmetic is [`next`](Self::next).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(i64);

impl Revision {
    /// "No revision": before the first write. A watch after it sees all history there is.
    pub const NONE: Revision = Revision(0);

    /// The revision with this number; negative numbers, which etcd never gives out, become [`NONE`](Self::NONE).
    pub const fn new(number: i64) -> Self {
        Self(if number < 0 { 0 } else { number })
    }

    /// The number, never negative.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The revision that the next write after this one gets.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// True for [`NONE`](Self::NONE).
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads what [`Display`](fmt::Display) wrote: decimal digits only, so `+7`, `-7` and `7.0` are refused.
impl FromStr for Revision {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Through u64 so that a sign is an error; through i64 because that is what etcd counts with.
        if text.starts_with('+') {
            return "".parse::<i64>().map(Self);
        }
        text.parse::<u64>()?;
        text.parse::<i64>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_what_it_prints() {
        assert_eq!("42".parse(), Ok(Revision::new(42)));
        assert_eq!(Revision::new(42).to_string(), "42");
        for bad in ["", "-1", "+1", "1.0", " 1", "9223372036854775808"] {
            assert!(bad.parse::<Revision>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn is_ordered_by_age() {
        assert!(Revision::NONE < Revision::new(1));
        assert_eq!(Revision::new(1).next(), Revision::new(2));
        assert_eq!(Revision::new(-5), Revision::NONE);
    }
}
