//! From time to columns.
//!
//! A pod runs after some tens of milliseconds and is ready after seconds, because that is when it is probed. On one even scale all that
//! happens would stand in the first column, so long times in which nothing begins or ends are cut short, and the axis shows where (`≈`).

/// A silence longer than this part of everything else is cut.
const SILENCE: f64 = 0.4;
/// A cut silence is this many columns wide.
const CUT: f64 = 3.0;

/// Where on the axis time is cut.
const CUT_MARK: char = '≈';

/// A piece of time and where it stands.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from: i64,
    to: i64,
    left: f64,
    right: f64,
    is_cut: bool,
}

/// Where in the bars' column a time stands.
#[derive(Debug)]
pub(super) struct Scale {
    width: usize,
    pieces: Vec<Piece>,
}

impl Scale {
    /// A scale on which these intervals fit, from 0 on, in nanoseconds.
    pub(super) fn new(intervals: impl Iterator<Item = (i64, i64)>, width: usize) -> Scale {
        let mut times: Vec<i64> = intervals.flat_map(|(start, end)| [start.max(0), end.max(0)]).chain([0]).collect();
        times.sort_unstable();
        times.dedup();
        let gaps: Vec<(i64, i64)> = times.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let cuts = cuts(&gaps, width);
        let cut_columns = CUT * cuts.len() as f64;
        let told: i64 = gaps.iter().filter(|gap| !cuts.contains(gap)).map(|(from, to)| to - from).sum();
        let per_column = told.max(1) as f64 / (width as f64 - cut_columns).max(1.0);
        let mut left = 0.0;
        let mut pieces = Vec::new();
        for gap in gaps {
            let is_cut = cuts.contains(&gap);
            let columns = if is_cut { CUT } else { (gap.1 - gap.0) as f64 / per_column };
            pieces.push(Piece { from: gap.0, to: gap.1, left, right: left + columns, is_cut });
            left += columns;
        }
        Scale { width, pieces }
    }

    /// The column of a time, with its fraction.
    fn column(&self, time: i64) -> f64 {
        let Some(piece) = self.pieces.iter().find(|piece| time <= piece.to).or(self.pieces.last()) else { return 0.0 };
        let part = (time - piece.from).max(0) as f64 / (piece.to - piece.from).max(1) as f64;
        piece.left + part * (piece.right - piece.left)
    }

    /// A bar of half columns, without spaces behind it. Even the shortest one is seen.
    pub(super) fn bar(&self, start: i64, end: i64, is_wait: bool) -> String {
        if self.width == 0 {
            return String::new();
        }
        let half = |time: i64| (self.column(time) * 2.0).round() as usize;
        let from = half(start).min(2 * self.width - 1);
        let to = half(end).clamp(from + 1, 2 * self.width);
        let filled = |half: usize| (from..to).contains(&half);
        let cell = |cell: usize| match (filled(2 * cell), filled(2 * cell + 1)) {
            (false, false) => ' ',
            _ if is_wait => '┄',
            (true, true) => '━',
            (true, false) => '╸',
            (false, true) => '╺',
        };
        (0..=(to - 1) / 2).map(cell).collect()
    }

    /// The line above the bars: where it begins, where time is cut, and where it ends.
    pub(super) fn axis(&self) -> String {
        if self.width == 0 {
            return String::new();
        }
        let mut axis = vec![' '; self.width];
        let end = super::time(self.pieces.last().map_or(0, |piece| piece.to));
        put(&mut axis, 0, "0");
        put(&mut axis, self.width.saturating_sub(end.chars().count()), &end);
        let cuts = || self.pieces.iter().filter(|piece| piece.is_cut);
        for piece in cuts() {
            let middle = (((piece.left + piece.right) / 2.0) as usize).min(self.width - 1);
            // Beside a label rather than not at all.
            if let Some(at) = (0..=middle).rev().find(|at| is_free(&axis, *at, 1)) {
                axis[at] = CUT_MARK;
            }
        }
        for piece in cuts() {
            put(&mut axis, piece.right.ceil() as usize, &super::time(piece.to));
        }
        axis.into_iter().collect()
    }
}

/// Writes a text where there is room for it.
fn put(axis: &mut [char], at: usize, text: &str) {
    if is_free(axis, at, text.chars().count()) {
        axis[at..].iter_mut().zip(text.chars()).for_each(|(cell, c)| *cell = c);
    }
}

/// Whether there is nothing, and nothing right beside it.
fn is_free(axis: &[char], at: usize, length: usize) -> bool {
    let around = at.saturating_sub(1)..(at + length + 1).min(axis.len());
    at + length <= axis.len() && axis[around].iter().all(|cell| *cell == ' ')
}

/// The silences to cut: each longer than a part of all the rest together.
fn cuts(gaps: &[(i64, i64)], width: usize) -> Vec<(i64, i64)> {
    let mut by_length = gaps.to_vec();
    by_length.sort_by_key(|(from, to)| from - to);
    let mut rest: i64 = gaps.iter().map(|(from, to)| to - from).sum();
    let mut cuts = Vec::new();
    for gap in by_length {
        let length = gap.1 - gap.0;
        rest -= length;
        // Three columns less for all others must be worth it.
        let room = width as f64 - CUT * (cuts.len() + 1) as f64;
        if (length as f64) < SILENCE * rest as f64 || rest == 0 || room < width as f64 / 2.0 {
            break;
        }
        cuts.push(gap);
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn bars_stand_where_their_time_is() {
        let scale = Scale::new(
            [(0, 10 * MS), (0, 2 * MS), (2 * MS, 4 * MS), (4 * MS, 6 * MS), (6 * MS, 8 * MS)].into_iter(),
            10,
        );
        assert_eq!(scale.bar(0, 10 * MS, false), "━━━━━━━━━━");
        assert_eq!(scale.bar(5 * MS, 10 * MS, false), "     ━━━━━");
        assert_eq!(scale.bar(0, MS / 2, false), "╸");
        assert_eq!(scale.bar(MS / 2, MS, false), "╺");
        assert_eq!(scale.bar(2 * MS, 4 * MS, true), "  ┄┄");
        // Too short to be seen, and seen nevertheless, even at the very end.
        assert_eq!(scale.bar(3 * MS, 3 * MS, false), "   ╸");
        assert_eq!(scale.bar(10 * MS, 10 * MS, false), "         ╺");
    }

    #[test]
    fn a_long_silence_is_cut_and_marked() {
        let busy = (0..10).map(|n| (n * MS, (n + 1) * MS));
        let scale = Scale::new(busy.chain([(2000 * MS, 2001 * MS)]), 40);
        let axis = scale.axis();
        assert!(axis.starts_with("0 ") && axis.contains('≈') && axis.ends_with("2.00s"), "{axis:?}");
        // The busy part has nearly all of the room.
        assert!(scale.column(10 * MS) > 30.0, "{}", scale.column(10 * MS));
        assert_eq!(scale.bar(0, 2001 * MS, false).chars().count(), 40);
    }

    #[test]
    fn an_even_journey_is_not_cut() {
        let scale = Scale::new((0..10).map(|n| (n * MS, (n + 1) * MS)), 40);
        assert!(!scale.axis().contains('≈'));
        assert!(Scale::new([(0, 0)].into_iter(), 40).bar(0, 0, false).starts_with('╸'));
        assert_eq!(Scale::new([(0, 5)].into_iter(), 0).bar(0, 5, false), "");
    }
}
