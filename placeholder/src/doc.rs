//! The tables as Markdown, so that documents cannot drift from the code.

use std::fmt::Write as _;

use crate::{FILE_NAMES, FILTERS, MAX_PLACEHOLDERS, MAX_TEXT};

/// What a writer of files needs to know: a part of the credentials guide.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(GRAMMAR);
    // Writing to a String does not fail.
    let _ = write!(
        out,
        "\nAt most {MAX_PLACEHOLDERS} placeholders and escapes in a file, and {} MiB with the values \
         in it.\n\n{FILTER_RULES}\n| filter | where, and what is written | refused \
         |\n|---|---|---|\n",
        MAX_TEXT >> 20
    );
    for row in FILTERS {
        let [places, refuses] = [row.places, row.refuses].map(|text| text.replace('|', "\\|"));
        let _ = writeln!(out, "| `{}` | {places} | {refuses} |", row.name);
    }
    let _ = write!(out, "\n{FILES}\n| name | format |\n|---|---|\n");
    for row in FILE_NAMES {
        let names: Vec<String> = (row.ends.iter().map(|end| format!("`*{end}`")))
            .chain(row.beginnings.iter().map(|start| format!("`{start}*`")))
            .chain(row.names.iter().map(|name| format!("`{name}`")))
            .collect();
        let _ = writeln!(out, "| {} | `{}` |", names.join(" "), row.format.name());
    }
    out
}

const GRAMMAR: &str = "\
| text | what it becomes |
|---|---|
| `${credentials.KEY}` | the value, written for the place where it stands |
| `${credentials.KEY\\|FILTER}` | the value, written as the filter says |
| `$${credentials.KEY}` | the text `${credentials.KEY}` |
| anything else | itself, byte by byte |
";

const FILTER_RULES: &str = "\
**Filters.** What stands around a placeholder decides whether the value needs quotes, escapes or nothing. Where that
is not clear, in a comment, in a key, and for a value that cannot be written there, it is an error. A filter for a
format that is not the file's own must make something that the file's format takes as it is.
";

const FILES: &str = "\
**Files.** Without a filter, the name of the file decides on the format; the first match counts. In any other file, a
value of letters, digits and `_.-` is written as it is, and every other value needs a filter.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_and_every_kind_of_file_is_there() {
        let text = markdown();
        for row in FILTERS {
            assert!(text.contains(&format!("\n| `{}` | ", row.name)), "{}", row.name);
        }
        for row in FILE_NAMES {
            assert!(text.contains(&format!(" | `{}` |\n", row.format.name())), "{:?}", row.format);
        }
        for line in text.lines().filter(|line| line.starts_with('|')) {
            let cells = line.replace("\\|", "").matches('|').count();
            assert!(cells == 3 || cells == 4, "{line}");
        }
    }
}
