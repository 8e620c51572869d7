//! Names of environment variables that do more than carry a value. One list
//! for all who need it: the policy refuses them in `pass` and as credentials,
//! the broker and the command line as names of credentials.
//!
//! Why a credential's name matters at all: an agent may ask for one by name,
//! and a human then fills it in. A name must not turn that into "run this" or
//! "trust that server". No such list is complete. It is the second line; the
//! first is that a command gets only the names its rule lists.

use crate::rules::glob;
use crate::types::CredentialName;

/// Why a name cannot be a credential's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It breaks the grammar.
    NotAName,
    /// It is ours.
    Ours,
    /// Programs load or run what it says.
    Loads,
    /// It leads programs to other servers, certificates or settings.
    Leads,
    /// Every program has it, and a secret would take its place.
    Everyday,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotAName => "not the name of a credential",
            Self::Ours => "Strongroom sets the names that begin with STRONGROOM_",
            Self::Loads => "programs load or run what this variable says",
            Self::Leads => {
                "this variable leads programs to other servers, certificates or settings"
            }
            Self::Everyday => "every program has this variable, and a secret would take its place",
        })
    }
}

impl std::error::Error for Why {}

/// Whether a credential may have this name.
///
/// # Errors
/// Why it may not.
pub fn may_be_credential(name: &str) -> Result<(), Why> {
    if CredentialName::new(name).is_err() {
        return Err(Why::NotAName);
    }
    if is_ours(name) {
        return Err(Why::Ours);
    }
    if steers(name) || (listed(FAMILIES, name) && !listed(SECRETS, name)) {
        return Err(Why::Loads);
    }
    if listed(LEADS, name) {
        return Err(Why::Leads);
    }
    if listed(EVERYDAY, name) {
        return Err(Why::Everyday);
    }
    Ok(())
}

/// Whether programs load or run what a variable of this name says, so that
/// its value must not come from outside.
#[must_use]
pub fn steers(name: &str) -> bool {
    listed(LOADS, name)
}

/// Whether Strongroom itself sets variables of this name.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    name.starts_with("STRONGROOM_")
}

fn listed(groups: &[&str], name: &str) -> bool {
    let mut patterns = groups.iter().flat_map(|group| group.split_ascii_whitespace());
    patterns.any(|pattern| glob(pattern.as_bytes(), name.as_bytes()))
}

/// Variables that make a program load, run or obey something else.
const LOADS: &[&str] = &[
    // The loader and libc: ld.so(8), environ(7), glibc's list of what a
    // set-id program must not see (sysdeps/generic/unsecvars.h), dyld(1).
    "LD_* DYLD_* GLIBC_TUNABLES GCONV_PATH GETCONF_DIR HOSTALIASES LOCALDOMAIN LOCPATH",
    "MALLOC_TRACE NIS_PATH NLSPATH RESOLV_HOST_CONF RES_OPTIONS TMPDIR",
    // Shells: bash(1), zsh(1), environ(7).
    "PATH SHELL ENV BASH_ENV BASH_FUNC_* BASH_XTRACEFD BASHOPTS SHELLOPTS IFS CDPATH FPATH GLOBIGNORE",
    "EXECIGNORE PROMPT_COMMAND PS0 PS4 ZDOTDIR INPUTRC FCEDIT",
    // What other programs start: editors, pagers, browsers, askers.
    "EDITOR VISUAL BROWSER *PAGER LESSOPEN LESSCLOSE LESSKEY* LESSEDIT *_ASKPASS SUDO_EDITOR EXINIT",
    "VIMINIT GVIMINIT TERMINFO TERMINFO_DIRS TERMCAP TERMPATH SSH_SK_PROVIDER SSH_SK_HELPER",
    "SSH_PKCS11_HELPER",
    // git(1), git-config(1), gitattributes(5).
    "GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_ALLOW_PROTOCOL GIT_COMMON_DIR GIT_CONFIG GIT_CONFIG_* GIT_DIR",
    "GIT_EXEC_PATH GIT_EXTERNAL_DIFF GIT_*EDITOR GIT_OBJECT_DIRECTORY GIT_PROXY_COMMAND GIT_SSH",
    "GIT_SSH_COMMAND GIT_TEMPLATE_DIR GIT_WORK_TREE",
    // Interpreters and virtual machines, each after its own manual.
    "PYTHONBREAKPOINT PYTHONCASEOK PYTHONEXECUTABLE PYTHONHOME PYTHONINSPECT PYTHONPATH",
    "PYTHONPLATLIBDIR PYTHONSTARTUP PYTHONUSERBASE PYTHONWARNINGS PYTHON_KEYRING_BACKEND",
    "NODE_OPTIONS NODE_PATH NODE_REPL_EXTERNAL_MODULE PERL5DB PERL5LIB PERL5OPT PERL5SHELL PERLLIB",
    "PERL_MB_OPT PERL_MM_OPT RUBYLIB RUBYOPT RUBYPATH RUBYSHELL RUBYLIB_PREFIX GEM_HOME GEM_PATH",
    "BUNDLE_GEMFILE LUA_* LUA_CPATH* LUA_PATH* LUA_INIT* CLASSPATH JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS JAVA_OPTS MAVEN_OPTS MAVEN_ARGS GRADLE_OPTS ANT_OPTS SBT_OPTS PHPRC PHP_INI_SCAN_DIR",
    "TCLLIBPATH TCL_LIBRARY R_PROFILE* R_ENVIRON* R_LIBS* ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS",
    "ELIXIR_ERL_OPTIONS JULIA_LOAD_PATH JULIA_DEPOT_PATH GUILE_LOAD_PATH GUILE_LOAD_COMPILED_PATH",
    "GHCRTS OCAMLRUNPARAM CAML_LD_LIBRARY_PATH CORECLR_* COR_PROFILER* DOTNET_STARTUP_HOOKS",
    "DOTNET_ADDITIONAL_DEPS",
    // Builds and package managers: the compiler or index they name is run.
    "CC CXX MAKEFLAGS MAKEFILES GCC_EXEC_PREFIX COMPILER_PATH LIBRARY_PATH CPATH C_INCLUDE_PATH",
    "CPLUS_INCLUDE_PATH PKG_CONFIG PKG_CONFIG_PATH RUSTC RUSTC_* RUSTDOC RUSTFLAGS RUSTDOCFLAGS",
    "RUSTUP_TOOLCHAIN CARGO_BUILD_* CARGO_TARGET_* CARGO_ALIAS_* CARGO_ENCODED_RUSTFLAGS GOFLAGS",
    "GOTOOLCHAIN NPM_CONFIG_* npm_config_* PIP_*",
    // Libraries that load modules by name.
    "OPENSSL_CONF OPENSSL_MODULES OPENSSL_ENGINES SASL_PATH GIO_EXTRA_MODULES GIO_MODULE_DIR",
    "GTK_MODULES GTK_PATH QT_PLUGIN_PATH GST_PLUGIN_PATH MAGIC SSLKEYLOGFILE HELM_PLUGINS",
    "TF_CLI_ARGS* TF_REATTACH_PROVIDERS",
];

/// Beginnings under which the programs named take so much from the
/// environment that only what looks like a secret may be a credential.
const FAMILIES: &[&str] = &[
    "GIT_* NODE_* NPM_* PYTHON* PERL* RUBY* LUA* JAVA_* DOTNET_* COMPLUS_* CARGO_* RUST* BASH_* GCC_*",
    "OPENSSL_* COREPACK_* YARN_* UV_* ANSIBLE_* TF_CLI_* HELM_* CURL_* WGET*",
];

/// Endings of names of secrets (`GIT_TOKEN`, `NODE_AUTH_TOKEN`).
const SECRETS: &[&str] = &["*_TOKEN *_PASSWORD *_PASSWD *_PASSPHRASE *_SECRET *_PAT *_API_KEY"];

/// Variables that lead traffic, trust or a tool's settings elsewhere. A
/// settings file is as good as a program where it may name one to run, as
/// kubeconfig, Docker's and AWS's can.
const LEADS: &[&str] = &[
    // Where requests go.
    "*_PROXY *_BASE_URL *_ENDPOINT_URL AWS_ENDPOINT_URL_* OPENAI_API_BASE VAULT_ADDR",
    "VAULT_AGENT_ADDR CONSUL_HTTP_ADDR NOMAD_ADDR DOCKER_HOST CONTAINER_HOST BUILDKIT_HOST PGHOST",
    "PGHOSTADDR PGSERVICE MYSQL_HOST GOPROXY GOSUMDB GONOSUMDB GOINSECURE GOPRIVATE GOAUTH",
    "AWS_CONTAINER_CREDENTIALS_* SSH_AUTH_SOCK GPG_AGENT_INFO DBUS_*_ADDRESS",
    // Whom they trust.
    "SSL_CERT_FILE SSL_CERT_DIR *_CA_BUNDLE *_CA_CERTS PGSSLROOTCERT PGSSLMODE DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH VAULT_CACERT VAULT_CAPATH VAULT_SKIP_VERIFY",
    // Whose settings they take.
    "XDG_*_HOME XDG_*_DIR XDG_*_DIRS KUBECONFIG DOCKER_CONFIG DOCKER_CONTEXT COMPOSE_FILE NETRC",
    "AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE AWS_WEB_IDENTITY_TOKEN_FILE AWS_PROFILE",
    "GOOGLE_APPLICATION_CREDENTIALS CLOUDSDK_* BOTO_CONFIG AZURE_CONFIG_DIR GNUPGHOME KRB5_CONFIG",
    "KRB5CCNAME KRB5_KTNAME PGSERVICEFILE PGSYSCONFDIR PGPASSFILE MYSQL_HOME MAVEN_HOME",
    "GRADLE_USER_HOME GOPATH GOROOT GOENV GOBIN CONDA_PREFIX VIRTUAL_ENV",
];

/// Variables every program has. None is a secret.
const EVERYDAY: &[&str] = &[
    "HOME USER LOGNAME USERNAME HOSTNAME HOSTTYPE OSTYPE MACHTYPE UID EUID PPID PWD OLDPWD SHLVL _",
    "LANG LANGUAGE LC_* TZ TZDIR TERM COLORTERM NO_COLOR COLUMNS LINES DISPLAY WAYLAND_DISPLAY TEMP TMP",
    "POSIXLY_CORRECT HISTFILE MAIL MANPATH XDG_*",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(names: &str, want: Result<(), Why>) {
        for name in names.split_ascii_whitespace() {
            assert_eq!(may_be_credential(name), want, "{name}");
        }
    }

    /// P22 of the attack list, and what else is known to run things.
    #[test]
    fn names_that_run_things() {
        verdicts(
            "LD_PRELOAD LD_AUDIT LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES BASH_ENV ENV PATH IFS PS4 PAGER \
             GIT_PAGER SYSTEMD_PAGER PROMPT_COMMAND PYTHONPATH PYTHONSTARTUP NODE_OPTIONS PERL5OPT \
             PERL5LIB RUBYOPT JAVA_TOOL_OPTIONS _JAVA_OPTIONS GIT_SSH_COMMAND GIT_ASKPASS SSH_ASKPASS \
             GIT_CONFIG_COUNT GIT_CONFIG_KEY_0 GIT_CONFIG_PARAMETERS GLIBC_TUNABLES OPENSSL_CONF \
             LUA_INIT_5_4 NPM_CONFIG_REGISTRY PIP_INDEX_URL RUSTC_WRAPPER GIT_TRACE PYTHONFOO \
             NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED GIT_SSL_NO_VERIFY CARGO_HOME CURL_HOME",
            Err(Why::Loads),
        );
    }

    #[test]
    fn names_that_lead_elsewhere() {
        verdicts(
            "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY FTP_PROXY SSL_CERT_FILE REQUESTS_CA_BUNDLE \
             AWS_CA_BUNDLE KUBECONFIG DOCKER_HOST DOCKER_CONFIG AWS_CONFIG_FILE AWS_ENDPOINT_URL \
             AWS_ENDPOINT_URL_S3 OPENAI_BASE_URL SSH_AUTH_SOCK XDG_CONFIG_HOME VAULT_ADDR",
            Err(Why::Leads),
        );
    }

    #[test]
    fn names_of_every_program() {
        verdicts("HOME USER LOGNAME TERM LANG LC_ALL TZ PWD _ XDG_SESSION_ID", Err(Why::Everyday));
        verdicts("STRONGROOM_SOCKET STRONGROOM_ STRONGROOM_TOKEN", Err(Why::Ours));
        verdicts("token Token 1TOKEN A-B LD_PRELOAD=x ÄPFEL", Err(Why::NotAName));
        assert_eq!(may_be_credential(""), Err(Why::NotAName));
        assert_eq!(may_be_credential("TOKEN\0"), Err(Why::NotAName));
        assert_eq!(may_be_credential(&"A".repeat(129)), Err(Why::NotAName));
    }

    /// What people call their secrets, by the manuals of the tools that read
    /// them.
    #[test]
    fn names_of_secrets() {
        verdicts(
            "TOKEN GITHUB_TOKEN GH_TOKEN GIT_TOKEN GIT_PASSWORD GITLAB_PRIVATE_TOKEN NPM_TOKEN \
             NODE_AUTH_TOKEN YARN_NPM_AUTH_TOKEN CARGO_REGISTRY_TOKEN CARGO_REGISTRIES_MINE_TOKEN \
             UV_PUBLISH_TOKEN TWINE_PASSWORD POETRY_PYPI_TOKEN_PYPI DOCKER_AUTH_CONFIG \
             AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN GOOGLE_CREDENTIALS \
             OPENAI_API_KEY ANTHROPIC_API_KEY DATABASE_URL PGPASSWORD MYSQL_PWD REDIS_URL VAULT_TOKEN \
             TF_TOKEN_APP_TERRAFORM_IO SIGNING_KEY SSH_PRIVATE_KEY SLACK_WEBHOOK_URL OLD_PATH \
             GEM_HOST_API_KEY KUBE_TOKEN SENTRY_DSN _TOKEN RUBYGEMS_API_KEY JAVA_KEYSTORE_PASSWORD",
            Ok(()),
        );
    }

    /// What an operator passes on from outside, and what not.
    #[test]
    fn what_steers() {
        for name in "TERM LANG LC_ALL TZ CI HOME HTTP_PROXY SSL_CERT_FILE JAVA_HOME GIT_AUTHOR_NAME OLD_PATH"
            .split(' ')
        {
            assert!(!steers(name), "{name}");
        }
        for name in
            "LD_PRELOAD BASH_FUNC_x BASH_FUNC_ls%% npm_config_registry SHELL EDITOR".split(' ')
        {
            assert!(steers(name), "{name}");
        }
    }
}
