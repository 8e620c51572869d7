//! Much output: how fast it comes, bare and jailed.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::client::Result;
use crate::session::Place;

/// Bytes.
const OUTPUT: u64 = 1 << 30;

/// Measures one stream of zeros after the other.
///
/// # Errors
/// A session or a command failed, or bytes are missing.
pub fn measure(place: &Place<'_>) -> Result<Value> {
    let size = OUTPUT.to_string();
    let argv = ["/usr/bin/head", "-c", &size, "/dev/zero"];
    let bare = mib_per_second(|| {
        let [program, args @ ..] = &argv;
        let mut child = Command::new(program).args(args).stdout(Stdio::piped()).spawn()?;
        let read = drain(child.stdout.take().ok_or("no stdout")?)?;
        child.wait()?;
        Ok(read)
    })?;
    let session = place.session(1)?;
    let mut client = session.client()?;
    let jailed = mib_per_second(|| client.stream(&argv, drain))?;
    println!(
        "1 GiB of output: {bare:.0} MiB/s bare, {jailed:.0} MiB/s jailed: {:.0} %",
        100.0 * jailed / bare
    );
    Ok(json!({ "bare_mib_per_second": bare, "jailed_mib_per_second": jailed }))
}

fn mib_per_second(run: impl FnOnce() -> Result<u64>) -> Result<f64> {
    let start = Instant::now();
    let read = run()?;
    if read != OUTPUT {
        return Err(format!("{read} bytes of {OUTPUT}").into());
    }
    Ok((read >> 20) as f64 / start.elapsed().as_secs_f64())
}

fn drain(mut output: impl std::io::Read) -> Result<u64> {
    let mut buffer = vec![0; 256 * 1024];
    let mut total = 0;
    loop {
        match output.read(&mut buffer)? {
            0 => return Ok(total),
            n => total += n as u64,
        }
    }
}
