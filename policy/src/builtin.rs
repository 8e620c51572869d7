//! The policies that come with Strongroom, part of the program so that they
//! cannot be missing or changed.

const ALL: &[(&str, &str)] = &[
    ("base", include_str!("../../policies/builtin/base.toml")),
    ("defaults", include_str!("../../policies/builtin/defaults.toml")),
];

/// What applies where there is no policy file.
pub const DEFAULT: &str = "base";

/// The text of `builtin:NAME`.
#[must_use]
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names there are, for a message.
#[must_use]
pub fn names() -> String {
    let names: Vec<String> = ALL.iter().map(|(name, _)| format!("`builtin:{name}`")).collect();
    names.join(" or ")
}
