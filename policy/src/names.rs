//! Names that carry more than they seem to: variables that steer loaders and
//! interpreters, programs that run what argv says.

/// Variables that make a program load, run or trust something else.
const STEERING: &[&str] = &[
    "BASH_ENV",
    "BASHOPTS",
    "BROWSER",
    "CDPATH",
    "CLASSPATH",
    "EDITOR",
    "ENV",
    "GCONV_PATH",
    "GEM_HOME",
    "GEM_PATH",
    "GETCONF_DIR",
    "GIT_ASKPASS",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_DIR",
    "GIT_EDITOR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_PAGER",
    "GIT_PROXY_COMMAND",
    "GIT_SEQUENCE_EDITOR",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_TEMPLATE_DIR",
    "GLOBIGNORE",
    "HOSTALIASES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LESSCLOSE",
    "LESSOPEN",
    "LOCPATH",
    "LUA_CPATH",
    "LUA_INIT",
    "LUA_PATH",
    "MALLOC_TRACE",
    "MANPAGER",
    "NLSPATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PAGER",
    "PATH",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "PROMPT_COMMAND",
    "PS4",
    "PYTHONBREAKPOINT",
    "PYTHONHOME",
    "PYTHONINSPECT",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONWARNINGS",
    "RES_OPTIONS",
    "RUBYLIB",
    "RUBYOPT",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
    "SHELL",
    "SHELLOPTS",
    "SSH_ASKPASS",
    "SSLKEYLOGFILE",
    "TERMCAP",
    "TERMINFO",
    "TMPDIR",
    "VISUAL",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
];

/// Beginnings of such names.
const STEERING_PREFIXES: &[&str] = &[
    "BASH_FUNC_",
    "CARGO_BUILD_",
    "CARGO_TARGET_",
    "DYLD_",
    "GIT_CONFIG_KEY_",
    "GIT_CONFIG_VALUE_",
    "LD_",
    "NPM_CONFIG_",
    "PIP_",
    "npm_config_",
];

/// Our own: what the jail tells its programs.
const OURS: &str = "STRONGROOM_";

/// Why a variable must not come from outside: what it would steer.
#[must_use]
pub fn steers(name: &str) -> bool {
    STEERING.contains(&name) || STEERING_PREFIXES.iter().any(|p| name.starts_with(p))
}

/// Whether Strongroom itself sets variables of this name.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    name.starts_with(OURS)
}

/// Programs that run what their arguments say, so that who chooses argv can
/// have them print what they carry. Not complete: no such list is.
const RUNS_ARGV: &[&str] = &[
    "ash",
    "awk",
    "bash",
    "bun",
    "busybox",
    "bunx",
    "chroot",
    "chrt",
    "csh",
    "dash",
    "deno",
    "doas",
    "ed",
    "elixir",
    "emacs",
    "env",
    "ex",
    "expect",
    "fish",
    "find",
    "gawk",
    "gdb",
    "ghci",
    "git-shell",
    "groovy",
    "guile",
    "ionice",
    "irb",
    "java",
    "jjs",
    "jshell",
    "jrunscript",
    "julia",
    "just",
    "ksh",
    "less",
    "lua",
    "luajit",
    "m4",
    "make",
    "gmake",
    "man",
    "mawk",
    "mksh",
    "more",
    "nawk",
    "nice",
    "node",
    "nodejs",
    "nohup",
    "npm",
    "npx",
    "nsenter",
    "octave",
    "osascript",
    "parallel",
    "perl",
    "php",
    "pip",
    "pnpm",
    "printenv",
    "pwsh",
    "py",
    "pypy",
    "python",
    "r",
    "rscript",
    "racket",
    "rg",
    "rlwrap",
    "ruby",
    "run-parts",
    "scala",
    "script",
    "sed",
    "setpriv",
    "setsid",
    "sh",
    "sqlite",
    "ssh",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "swipl",
    "tar",
    "tclsh",
    "time",
    "timeout",
    "toybox",
    "ts-node",
    "tsx",
    "unshare",
    "uv",
    "uvx",
    "vi",
    "view",
    "vim",
    "watch",
    "wish",
    "xargs",
    "yarn",
    "zsh",
    "xonsh",
];

/// Whether a program of a rule (a word of `match`, a path or a name) can be
/// told by its arguments to print its environment. `python3.11` is `python`.
#[must_use]
pub fn runs_argv(program: &str) -> bool {
    if program.contains('*') || program == "..." {
        return true;
    }
    let name = program.rsplit('/').next().unwrap_or(program).to_ascii_lowercase();
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    RUNS_ARGV.contains(&bare) || RUNS_ARGV.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        for name in
            ["LD_PRELOAD", "LD_AUDIT", "BASH_ENV", "ENV", "PATH", "IFS", "BASH_FUNC_x", "PAGER"]
        {
            assert!(steers(name), "{name}");
        }
        for name in ["TERM", "LANG", "LC_ALL", "TZ", "CI", "HOME", "GITHUB_TOKEN", "OLD_PATH"] {
            assert!(!steers(name), "{name}");
        }
    }

    #[test]
    fn programs() {
        for program in [
            "sh",
            "bash",
            "/bin/bash",
            "python",
            "python3",
            "python3.11",
            "/usr/bin/python3",
            "perl5.36",
            "node",
            "ruby3.1",
            "env",
            "xargs",
            "find",
            "awk",
            "make",
            "npx",
            "*",
            "...",
            "py*",
            "SH",
            "lua5.4",
            "clang-*",
            "./sh",
        ] {
            assert!(runs_argv(program), "{program}");
        }
        for program in ["git", "gh", "cargo", "curl", "terraform", "/usr/bin/aws", "7z"] {
            assert!(!runs_argv(program), "{program}");
        }
    }
}
