//! Compiles the hostile helpers: each `hostile/NAME.c` becomes a static
//! program, so that it runs in any jail. They are C because they make raw
//! system calls, and Rust outside `sys` may not.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=hostile");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    println!("cargo::rustc-env=HOSTILE_DIR={}", out.display());
    let Ok(sources) = std::fs::read_dir("hostile") else {
        return;
    };
    for source in sources.filter_map(Result::ok).map(|entry| entry.path()) {
        println!("cargo::rerun-if-changed={}", source.display());
        if source.extension().is_some_and(|e| e == "c") {
            compile(&source, &out);
        }
    }
}

fn compile(source: &Path, out: &Path) {
    let program = out.join(source.file_stem().unwrap_or_default());
    let _ = std::fs::remove_file(&program);
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let done = Command::new(compiler)
        .args(["-O1", "-static", "-pthread", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg(source)
        .status();
    // The tests that need it fail or are skipped, loudly; see `hostile`.
    if !done.is_ok_and(|status| status.success()) {
        println!(
            "cargo::warning={} was not compiled: a C compiler with a static libc is needed",
            source.display()
        );
    }
}
