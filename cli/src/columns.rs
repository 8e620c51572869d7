//! Tables for people: each column is as wide as it must be.

use crate::style::Style;

/// Rows as columns that are as wide as they must be.
pub fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]], style: Style) -> String {
    let widths: [usize; N] = std::array::from_fn(|i| {
        let cells = rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count());
        cells.chain(head.get(i).map(|h| h.len())).max().unwrap_or(0)
    });
    let line = |cells: [&str; N]| {
        let padded: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut text = format!("{}\n", style.strong(&line(head)));
    for row in rows {
        let cells: [&str; N] = std::array::from_fn(|i| row.get(i).map_or("", String::as_str));
        text.push_str(&line(cells));
        text.push('\n');
    }
    text
}
