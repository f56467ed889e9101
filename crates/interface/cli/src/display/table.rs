//! Tables for a terminal.

use anstream::adapter::strip_str;
use fulmen_tracking::Difference;

use crate::terminal::{BOLD, DIM, say, styled, tell};

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

/// Prints keys and values under `title`.
pub(crate) fn pairs<'a>(title: &str, pairs: impl Iterator<Item = (&'a String, &'a String)>) {
    let rows = pairs.map(|(key, value)| vec![key.clone(), value.clone()]).collect();
    show(&[(title, Align::Left), ("value", Align::Left)], rows);
}

/// Rows for [`show_differences`]: a key, and its value on each side.
pub(crate) fn differences<T>(all: Vec<Difference<T>>, text: impl Fn(T) -> String) -> Vec<Vec<String>> {
    let cell = |value: Option<T>| value.map_or_else(|| styled(DIM, "—"), &text);
    all.into_iter()
        .map(|one| [one.key].into_iter().chain(one.values.into_iter().map(cell)).collect())
        .collect()
}

/// Prints in what the things called `names` differ; where in nothing, says `alike`.
pub(crate) fn show_differences(alike: &str, names: &[String], rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return tell(alike);
    }
    let sides = names.iter().map(|name| (name.as_str(), Align::Right));
    show(&[("differs in", Align::Left)].into_iter().chain(sides).collect::<Vec<_>>(), rows);
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
