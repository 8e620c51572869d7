//! Compiles `policies/seccomp/*.toml` to BPF programs and to the tables behind `strongroom_seccomp::spec`.
//!
//! `source` reads and checks the lists, `combine` derives what is installed from them, `bpf` compiles, `emit`
//! writes Rust. A list that is wrong stops the build with one line that says where and why.

mod bpf;
mod combine;
mod emit;
mod model;
mod source;

use std::{env, fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: seccomp lists: {message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let var = |name| env::var(name).map_err(|e| format!("{name}: {e}"));
    let here = var("CARGO_MANIFEST_DIR")?;
    let arch = var("CARGO_CFG_TARGET_ARCH")?;
    let numbers = Path::new(&here).join("arch").join(format!("{arch}.toml"));
    let policies = Path::new(&here).join("../policies/seccomp");
    println!("cargo::rerun-if-changed={}", numbers.display());
    println!("cargo::rerun-if-changed={}", policies.display());

    let arch = source::arch(&numbers)?;
    let constants = source::constants(&policies.join("constants.toml"))?;
    let read = |name: &str| source::list(&policies, name, &arch, &constants);
    let lists = combine::Lists {
        standard: read("standard")?,
        setup: read("setup")?,
        last: read("last")?,
        deputy: read("deputy")?,
        never: read("never")?,
        broker: read("broker")?,
        recorder: read("recorder")?,
    };
    lists.check()?;

    let out = Path::new(&var("OUT_DIR")?).join("lists.rs");
    fs::write(&out, emit::rust(&arch, &lists)?).map_err(|e| format!("{}: {e}", out.display()))
}
