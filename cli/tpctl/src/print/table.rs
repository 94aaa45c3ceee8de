//! Columns of text, aligned as kubectl aligns them: three spaces between columns, each at least six wide, the last one ragged.

use std::fmt::Write;

/// Space between columns.
const PADDING: usize = 3;
/// The least width of a column, padding included.
const MIN_WIDTH: usize = 6;

/// A table that can grow: rows that come later keep the widths of those before, so that a watch stays aligned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new() -> Table {
        Table::default()
    }

    /// Adds a row, which may as well be a header.
    pub(crate) fn push<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| one_line(cell.into())).collect());
    }

    /// Takes out the text of the rows added since the last time.
    pub(crate) fn flush(&mut self) -> String {
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                let width = (cell.chars().count() + PADDING).max(MIN_WIDTH);
                match self.widths.get_mut(column) {
                    Some(known) => *known = width.max(*known),
                    None => self.widths.push(width),
                }
            }
        }
        let mut text = String::new();
        for row in std::mem::take(&mut self.rows) {
            let last = row.len().saturating_sub(1);
            for (column, cell) in row.iter().enumerate() {
                let width = if column == last { 0 } else { self.widths[column] };
                write!(text, "{cell:width$}").expect("a String takes everything");
            }
            text.push('\n');
        }
        text
    }
}

/// A cell is one line; what follows is only hinted at.
fn one_line(cell: String) -> String {
    match cell.find(['\n', '\r', '\x0c']) {
        Some(end) => format!("{}...", &cell[..end]),
        None => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_last_one_is_ragged() {
        let mut table = Table::new();
        table.push(["NAME", "READY", "X", "AGE"]);
        table.push(["k8s-nginx-6d4cf56db6-abcde", "1/1", "1", "5m"]);
        assert_eq!(
            table.flush(),
            "NAME                         READY   X     AGE\nk8s-nginx-6d4cf56db6-abcde   1/1     1     5m\n"
        );
        table.push(["a", "0/1", "", "1s"]);
        assert_eq!(table.flush(), "a                            0/1           1s\n");
        table.push(["b", "two\nlines", "", "1s"]);
        assert_eq!(table.flush(), "b                            two...         1s\n");
    }
}
