//! The documents that come from the program are as the program says. When
//! this fails, run `make docs`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn path(document: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(document).with_extension("md")
}

fn said(document: &str) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_strongroom")).args(["docs", document]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn documents_have_not_drifted() {
    for document in ["protocol", "errors", "cli", "seccomp"] {
        let written = std::fs::read_to_string(path(document)).unwrap_or_default();
        assert!(
            written == said(document),
            "docs/{document}.md is not what the program says: run `make docs`"
        );
    }
}

#[test]
fn parts_of_documents_have_not_drifted() {
    for (document, part) in [("credentials", "placeholders"), ("credentials", "encodings")] {
        let text = std::fs::read_to_string(path(document)).unwrap();
        let (begin, end) = (format!("<!-- begin {part} -->\n"), format!("<!-- end {part} -->\n"));
        let (_, rest) = text.split_once(&begin).unwrap();
        let (written, _) = rest.split_once(&end).unwrap();
        let said = said(part);
        assert!(said.lines().count() > 5, "{said}");
        assert!(
            written == said,
            "`{part}` in docs/{document}.md is not what the program says: run `make docs`"
        );
    }
}
