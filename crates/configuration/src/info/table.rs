//! Text tables in Hydra's form.

/// A heading underlined with stars.
pub(super) fn heading(title: &str) -> String {
    format!("{title}\n{}\n", "*".repeat(title.len()))
}

/// An empty line and a heading.
pub(super) fn title(title: &str) -> String {
    format!("\n{}", heading(title))
}

/// A table under a title; `tail` ends the line of the column names.
pub(super) fn titled(name: &str, rows: &[Vec<String>], tail: &str) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("| {} |", cells.join(" | "))
    };
    let mut out = title(name);
    let mut rule = String::new();
    for (index, row) in rows.iter().enumerate() {
        let line = line(row);
        if index > 0 {
            out += &format!("{line}\n");
            continue;
        }
        rule = "-".repeat(line.chars().count() + tail.len()) + "\n";
        out += &format!("{line}{tail}\n{rule}");
    }
    out + &rule
}
