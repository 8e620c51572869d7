//! Layer: system-call filters. The programs come compiled from the lists in
//! `policies/seccomp`; here they are only installed.

use seccompiler::sock_filter;
use strongroom_protocol::stage::Stage;
use strongroom_seccomp::Insn;

use crate::{Step, refused};

/// Installs one filter on this thread, and `no_new_privs` with it. Filters
/// stack: the strictest answer counts.
///
/// # Errors
/// [`Stage::Seccomp`].
pub fn install(program: &[Insn]) -> Step<()> {
    let program: Vec<sock_filter> =
        program.iter().map(|i| sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect();
    seccompiler::apply_filter(&program).map_err(|_| refused(Stage::Seccomp))
}
