//! Which format a file has, by its name.

use crate::format::Format;

/// Files of one format.
#[derive(Debug, Clone, Copy)]
pub struct FileNames {
    /// Ends of names, with the dot; letters of either case.
    pub ends: &'static [&'static str],
    /// Beginnings of names.
    pub beginnings: &'static [&'static str],
    /// Whole names.
    pub names: &'static [&'static str],
    /// What such a file holds.
    pub format: Format,
}

const fn row(
    format: Format,
    ends: &'static [&'static str],
    beginnings: &'static [&'static str],
    names: &'static [&'static str],
) -> FileNames {
    FileNames { ends, beginnings, names, format }
}

/// Names whose readers agree on the format; the first match counts. What is
/// not here, or means different things to different programs (`.conf`, `.cfg`,
/// `.html`, `.npmrc`, `config`), is of unknown kind: a value with anything
/// special in it needs a filter there.
pub const FILE_NAMES: &[FileNames] = &[
    row(Format::Json, &[".json"], &[], &[]),
    row(Format::Yaml, &[".yaml", ".yml"], &[], &[]),
    row(Format::Toml, &[".toml"], &[], &[]),
    row(Format::Shell, &[".sh", ".bash"], &[], &[".envrc", ".profile", ".bashrc", ".bash_profile"]),
    row(Format::Xml, &[".xml"], &[], &[]),
    row(Format::Ini, &[".ini"], &[], &[]),
    row(Format::Properties, &[".properties"], &[], &[]),
    row(Format::Netrc, &[], &[], &[".netrc", "_netrc"]),
    row(Format::Pgpass, &[".pgpass"], &[], &[]),
    row(Format::Dotenv, &[".env"], &[".env."], &[]),
];

/// The format of the file with this name or path.
pub(crate) fn by_name(path: &[u8]) -> Option<Format> {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let ends = |end: &&str| {
        let at = name.len().checked_sub(end.len()).and_then(|at| name.get(at..));
        at.is_some_and(|found| found.eq_ignore_ascii_case(end.as_bytes()))
    };
    let row = FILE_NAMES.iter().find(|row| {
        row.ends.iter().any(ends)
            || row.beginnings.iter().any(|start| name.starts_with(start.as_bytes()))
            || row.names.iter().any(|whole| name == whole.as_bytes())
    })?;
    Some(row.format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_the_path_decides() {
        for (path, format) in [
            ("config.json", Some(Format::Json)),
            ("/a/.docker/config.json", Some(Format::Json)),
            ("x.YML", Some(Format::Yaml)),
            ("Cargo.toml", Some(Format::Toml)),
            (".env", Some(Format::Dotenv)),
            ("prod.env", Some(Format::Dotenv)),
            (".env.local", Some(Format::Dotenv)),
            (".env.json", Some(Format::Json)),
            (".envrc", Some(Format::Shell)),
            ("a.sh", Some(Format::Shell)),
            ("home/.netrc", Some(Format::Netrc)),
            (".pgpass", Some(Format::Pgpass)),
            ("settings.xml", Some(Format::Xml)),
            ("gradle.properties", Some(Format::Properties)),
            ("alembic.ini", Some(Format::Ini)),
            ("a.json/b", None),
            ("nginx.conf", None),
            ("json", None),
            ("", None),
        ] {
            assert_eq!(by_name(path.as_bytes()), format, "{path}");
        }
    }
}
