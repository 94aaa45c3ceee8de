//! What is known of each image, and which of them may go. Pure.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::cri;

/// When images go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// From this usage of the disk on, in percent, images go. 100: never for lack of room.
    pub high: i64,
    /// Down to this usage.
    pub low: i64,
    /// An image that came later than this stays: it was brought for a container that is about to start.
    pub min_age: Duration,
    /// An image that nobody used for longer than this goes, however much room there is; zero: it may stay.
    pub max_age: Duration,
}

impl Policy {
    /// How many bytes are to be freed on a disk with so many bytes, of which so many are left.
    pub fn to_free(&self, capacity: i64, available: i64) -> Option<i64> {
        let part = |percent: i64| i64::try_from(i128::from(capacity) * i128::from(percent) / 100).unwrap_or(i64::MAX);
        let used = 100 - i64::try_from(i128::from(available) * 100 / i128::from(capacity.max(1))).unwrap_or(0);
        (used >= self.high && self.high < 100).then(|| part(100 - self.low) - available)
    }
}

/// An image's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    first_seen: Timestamp,
    /// `Timestamp::MIN`: never.
    last_used: Timestamp,
    size: i64,
    pinned: bool,
}

/// The pasts of all images of a node.
#[derive(Clone, Debug, Default)]
pub struct Records {
    images: BTreeMap<String, Record>,
    /// What is there at the first look has been there for a long time.
    looked: bool,
}

/// An image that may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its id.
    pub id: String,
    /// Its size in bytes.
    pub size: i64,
}

impl Records {
    /// Takes in what the node has now, and which ids containers use.
    pub fn look(&mut self, images: &[cri::Image], in_use: &HashSet<String>, now: Timestamp) {
        let first_seen = if self.looked { now } else { Timestamp::MIN };
        self.looked = true;
        let mut known = std::mem::take(&mut self.images);
        for image in images {
            let unknown = Record { first_seen, last_used: Timestamp::MIN, size: 0, pinned: false };
            let mut record = known.remove(&image.id).unwrap_or(unknown);
            record.size = i64::try_from(image.size).unwrap_or(i64::MAX);
            record.pinned = image.pinned;
            let names = image.repo_tags.iter().chain(&image.repo_digests).chain([&image.id]);
            if names.into_iter().any(|name| in_use.contains(name)) {
                record.last_used = now;
            }
            self.images.insert(image.id.clone(), record);
        }
    }

    /// Images that may go to free so many bytes: the least recently used first, then the ones seen first. Those in use at `now`, the time
    /// of the last look, stay.
    pub fn choose(&self, policy: &Policy, bytes: i64, now: Timestamp) -> Vec<Choice> {
        let mut unused: Vec<(&String, &Record)> = self.unused(now).collect();
        unused.sort_by_key(|(id, record)| (record.last_used, record.first_seen, *id));
        let mut freed = 0_i64;
        let old_enough = |record: &Record| age(record.first_seen, now) >= policy.min_age;
        let enough = |(_, record): &(&String, &Record)| {
            let more = freed < bytes;
            freed = freed.saturating_add(record.size);
            more
        };
        unused.into_iter().filter(|(_, record)| old_enough(record)).take_while(enough).map(choice).collect()
    }

    /// Images that nobody has used for too long.
    pub fn outdated(&self, policy: &Policy, now: Timestamp) -> Vec<Choice> {
        if policy.max_age.is_zero() {
            return Vec::new();
        }
        let since = |record: &Record| age(record.last_used.max(record.first_seen), now);
        self.unused(now).filter(|(_, record)| since(record) > policy.max_age).map(choice).collect()
    }

    /// An image is gone.
    pub fn forget(&mut self, id: &str) {
        self.images.remove(id);
    }

    fn unused(&self, now: Timestamp) -> impl Iterator<Item = (&String, &Record)> {
        self.images.iter().filter(move |(_, record)| record.last_used < now && !record.pinned)
    }
}

fn choice((id, record): (&String, &Record)) -> Choice {
    Choice { id: id.clone(), size: record.size }
}

fn age(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    const POLICY: Policy = Policy { high: 85, low: 80, min_age: Duration::from_secs(120), max_age: Duration::ZERO };

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    fn images(names: &[(&str, u64)]) -> Vec<cri::Image> {
        let image = |(id, size): &(&str, u64)| cri::Image { id: (*id).to_owned(), size: *size, ..Default::default() };
        names.iter().map(image).collect()
    }

    fn used(ids: &[&str]) -> HashSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn ids(choices: &[Choice]) -> Vec<&str> {
        choices.iter().map(|choice| choice.id.as_str()).collect()
    }

    #[test]
    fn a_disk_above_the_high_threshold_is_freed_down_to_the_low_one() {
        let table = [
            (1000, 160, None),
            (1000, 150, Some(50)),
            (1000, 100, Some(100)),
            (1000, 0, Some(200)),
            (1000, 1000, None),
        ];
        for (capacity, available, expected) in table {
            assert_eq!(POLICY.to_free(capacity, available), expected, "{available} of {capacity} left");
        }
        assert_eq!(Policy { high: 100, ..POLICY }.to_free(1000, 0), None, "100 turns it off");
    }

    #[test]
    fn the_least_recently_used_go_first_and_none_in_use() {
        let all = images(&[("a", 10), ("b", 10), ("c", 10), ("d", 10)]);
        let mut records = Records::default();
        records.look(&all, &used(&["a", "b", "c", "d"]), at(0));
        records.look(&all, &used(&["a", "b", "d"]), at(10));
        records.look(&all, &used(&["a", "d"]), at(20));
        records.look(&all, &used(&["d"]), at(30));
        for (bytes, expected) in
            [(0, &[][..]), (1, &["c"]), (10, &["c"]), (11, &["c", "b"]), (i64::MAX, &["c", "b", "a"])]
        {
            assert_eq!(ids(&records.choose(&POLICY, bytes, at(30))), expected, "{bytes} bytes");
        }
        records.forget("c");
        assert_eq!(ids(&records.choose(&POLICY, 1, at(30))), ["b"]);
    }

    #[test]
    fn young_and_pinned_images_stay() {
        let mut records = Records::default();
        records.look(&images(&[("old", 1)]), &used(&[]), at(0));
        let mut all = images(&[("old", 1), ("young", 1), ("pause", 1)]);
        all[2].pinned = true;
        records.look(&all, &used(&[]), at(10));
        records.look(&all, &used(&[]), at(11));
        assert_eq!(ids(&records.choose(&POLICY, i64::MAX, at(11))), ["old"]);
        records.look(&all, &used(&[]), at(12));
        assert_eq!(ids(&records.choose(&POLICY, i64::MAX, at(12))), ["old", "young"], "two minutes later");
    }

    #[test]
    fn an_image_is_used_by_any_of_its_names() {
        let mut records = Records::default();
        let mut all = images(&[("sha256:1", 1)]);
        all[0].repo_digests = vec!["docker.io/library/nginx@sha256:9".to_owned()];
        records.look(&all, &used(&["docker.io/library/nginx@sha256:9"]), at(0));
        assert_eq!(ids(&records.choose(&POLICY, i64::MAX, at(0))), [""; 0]);
    }

    #[test]
    fn images_that_nobody_used_for_too_long_go_without_need() {
        let policy = Policy { max_age: Duration::from_secs(3_600), ..POLICY };
        let all = images(&[("a", 1), ("b", 1)]);
        let mut records = Records::default();
        records.look(&images(&[("b", 1)]), &used(&["b"]), at(0));
        records.look(&all, &used(&["a"]), at(1));
        records.look(&all, &used(&[]), at(61));
        assert_eq!(ids(&records.outdated(&policy, at(61))), ["b"]);
        assert_eq!(ids(&records.outdated(&POLICY, at(61))), [""; 0], "zero: images may get old");
    }
}
