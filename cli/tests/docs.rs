//! The documents that come from the program are as the program says. When
//! this fails, run `make docs`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::Command;

#[test]
fn documents_have_not_drifted() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for document in ["protocol", "errors", "cli", "seccomp"] {
        let output = Command::new(env!("CARGO_BIN_EXE_strongroom"))
            .args(["docs", document])
            .output()
            .unwrap();
        assert!(output.status.success());
        let written = std::fs::read(docs.join(document).with_extension("md")).unwrap_or_default();
        assert!(
            written == output.stdout,
            "docs/{document}.md is not what the program says: run `make docs`"
        );
    }
}
