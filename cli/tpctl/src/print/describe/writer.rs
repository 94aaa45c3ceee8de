//! Text whose columns line up: tabs end cells, and the cells of neighbouring lines get one width.
//!
//! A column is as long as lines follow one another that have it, so a line without tabs starts a new alignment. This is how Go's tabwriter
//! works, with which kubectl writes its descriptions; ours has its settings: two spaces between columns.

/// Space between columns.
const PADDING: usize = 2;

/// Collects lines and aligns them at the end.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    lines: Vec<Vec<String>>,
}

impl Writer {
    /// Adds a line at an indentation of `level` steps; tabs in it end cells.
    pub(crate) fn line(&mut self, level: usize, text: impl AsRef<str>) {
        let indented = format!("{:width$}{}", "", text.as_ref(), width = level * 2);
        self.lines.push(indented.split('\t').map(str::to_owned).collect());
    }

    /// The text.
    pub(crate) fn finish(mut self) -> String {
        align(&mut self.lines, 0);
        self.lines.into_iter().map(|cells| cells.concat() + "\n").collect()
    }
}

/// Pads the cells of one column, run by run, and those to the right of it.
fn align(lines: &mut [Vec<String>], column: usize) {
    // The last cell of a line is ended by the line, not by a tab; it has no width.
    let has_column = |line: &Vec<String>| line.len() > column + 1;
    let mut start = 0;
    while start < lines.len() {
        let Some(first) = lines[start..].iter().position(has_column).map(|offset| start + offset) else { return };
        let end = lines[first..].iter().position(|line| !has_column(line)).map_or(lines.len(), |offset| first + offset);
        let run = &mut lines[first..end];
        let width = run.iter().map(|line| line[column].chars().count()).max().unwrap_or_default() + PADDING;
        for line in run.iter_mut() {
            line[column] = format!("{:width$}", line[column]);
        }
        align(run, column + 1);
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_line_up_as_long_as_lines_have_them() {
        let mut writer = Writer::default();
        for (level, text) in [
            (0, "Name:\tweb"),
            (0, "Service Account:\tdefault"),
            (0, "IPs:"),
            (1, "IP:\t10.0.0.1"),
            (0, "Controlled By:\tReplicaSet/web"),
            (0, "Port:\t<unset>\t80/TCP"),
            (0, "TargetPort:\thttp/TCP"),
        ] {
            writer.line(level, text);
        }
        assert_eq!(
            writer.finish(),
            "Name:             web\nService Account:  default\nIPs:\n  IP:           10.0.0.1\n\
             Controlled By:  ReplicaSet/web\nPort:           <unset>  80/TCP\nTargetPort:     http/TCP\n"
        );
    }
}
