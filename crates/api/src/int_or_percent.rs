//! A number, or a share of another number: `maxSurge: 1`, `maxUnavailable: 25%`.

use crate::intstr::IntOrString;
use crate::names;

impl IntOrString {
    /// Returns the percentage, if the value is text of that form.
    pub fn as_percent(&self) -> Option<i32> {
        let text = self.as_str()?;
        if !names::percent(text).is_empty() {
            return None;
        }
        text.trim_end_matches('%').parse().ok()
    }

    /// Returns the number itself, or the share of `total`; a fraction is dropped.
    ///
    /// `None` if the value is text that is no percentage, which validation refuses.
    pub fn share_rounded_down(&self, total: i32) -> Option<i32> {
        self.share(total, 0)
    }

    /// The same, with a fraction counting as one more.
    pub fn share_rounded_up(&self, total: i32) -> Option<i32> {
        self.share(total, 99)
    }

    fn share(&self, total: i32, rounding: i64) -> Option<i32> {
        if let Some(number) = self.as_int() {
            return Some(number);
        }
        let hundredths = i64::from(self.as_percent()?) * i64::from(total);
        i32::try_from((hundredths + rounding).div_euclid(100)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_as_asked() {
        let table: [(IntOrString, i32, Option<i32>, Option<i32>); 8] = [
            (3.into(), 10, Some(3), Some(3)),
            ((-1).into(), 10, Some(-1), Some(-1)),
            ("25%".into(), 10, Some(2), Some(3)),
            ("25%".into(), 8, Some(2), Some(2)),
            ("0%".into(), 10, Some(0), Some(0)),
            ("150%".into(), 3, Some(4), Some(5)),
            ("3".into(), 10, None, None),
            ("99999999999%".into(), 10, None, None),
        ];
        for (value, total, down, up) in table {
            assert_eq!(value.share_rounded_down(total), down, "{value} of {total}");
            assert_eq!(value.share_rounded_up(total), up, "{value} of {total}");
        }
    }
}
