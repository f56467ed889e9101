//! Tables for a terminal.

use anstream::adapter::strip_str;

use crate::terminal::{BOLD, say, styled};

/// To which side a column leans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Prints rows under a head. The last column may be as wide as it is; nothing is cut.
pub(crate) fn show(head: &[(&str, Align)], rows: Vec<Vec<String>>) {
    say(text(head, &rows));
}

/// The table as text.
pub(crate) fn text(head: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |text: &str| strip_str(text).to_string().chars().count();
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, (title, _))| {
            rows.iter().map(|row| width(&row[column])).chain([width(title)]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<String>| {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            let room = " ".repeat(widths[column] - width(cell));
            let last = column + 1 == cells.len();
            match head[column].1 {
                Align::Right => line.push_str(&format!("{room}{cell}")),
                Align::Left if last => line.push_str(cell),
                Align::Left => line.push_str(&format!("{cell}{room}")),
            }
            if !last {
                line.push_str("  ");
            }
        }
        line
    };
    let title = line(head.iter().map(|(title, _)| styled(BOLD, title)).collect());
    [title].into_iter().chain(rows.iter().map(|row| line(row.clone()))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_titles_whatever_their_style() {
        let rows = [vec![styled(BOLD, "a"), "1.25".to_owned()], vec!["longer".to_owned(), "10".to_owned()]];
        let shown = strip_str(&text(&[("name", Align::Left), ("n", Align::Right)], &rows)).to_string();
        assert_eq!(shown, "name       n\na       1.25\nlonger    10");
    }
}
