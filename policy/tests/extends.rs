//! Files on top of each other.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::Folder;
use strongroom_policy::{Loaded, load};

fn rules(loaded: &Loaded) -> Vec<&str> {
    loaded.rules.iter().map(|rule| rule.name.as_str()).collect()
}

fn deny(name: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\nmatch = [\"{name}\"]\naction = \"deny\"\n")
}

#[test]
fn tables_merge_key_by_key_and_the_upper_file_wins() {
    let folder = Folder::new();
    folder.write(
        "team.toml",
        "version = 1\nextends = [\"builtin:base\"]\n[profile.worker.limits]\nwall = \"1m\"\ncpu = \"2m\"\n\
         [profile.worker.env.set]\nA = \"team\"\nB = \"team\"\n[session]\nburst = 7\n",
    );
    let top = folder.write(
        "sub/../policy.toml",
        "version = 1\nextends = [\"team.toml\"]\n[profile.worker.limits]\nwall = \"3m\"\n\
         [profile.worker.env.set]\nB = \"mine\"\n",
    );
    let loaded = load(Some(&top)).unwrap();
    let worker = &loaded.policy.profile["worker"];
    let limits = &worker.limits;
    assert_eq!(limits.wall.as_ref().unwrap().to_string(), "3m");
    assert_eq!(limits.cpu.as_ref().unwrap().to_string(), "2m");
    assert_eq!(limits.memory.as_ref().unwrap().to_string(), "4GiB");
    assert_eq!(worker.env.set["A"].as_str(), "team");
    assert_eq!(worker.env.set["B"].as_str(), "mine");
    assert_eq!(**loaded.policy.session.burst.as_ref().unwrap(), 7);
    // Every value still knows its own file.
    let file = |site: &strongroom_policy::source::Site| site.source.name.clone();
    assert!(file(limits.wall.as_ref().unwrap().site()).ends_with("/policy.toml"));
    assert!(file(limits.cpu.as_ref().unwrap().site()).ends_with("/team.toml"));
    assert_eq!(file(limits.memory.as_ref().unwrap().site()), "builtin:defaults");
    let names: Vec<_> = loaded.sources.iter().map(|s| s.name.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["policy.toml", "team.toml", "builtin:base", "builtin:defaults"]);
}

#[test]
fn rules_come_in_the_order_of_who_overrides() {
    let folder = Folder::new();
    folder.write("a.toml", format!("version = 1\n{}{}", deny("a"), deny("both")));
    folder.write("b.toml", format!("version = 1\n{}{}", deny("b"), deny("both")));
    let top = format!(
        "version = 1\nextends = [\"builtin:base\", \"a.toml\", \"b.toml\"]\n{}",
        deny("top")
    );
    let loaded = load(Some(&folder.write("policy.toml", top))).unwrap();
    assert_eq!(rules(&loaded), ["top", "b", "both", "a", "anything"]);
    let both = &loaded.policy.rule[2];
    assert!(both.name.site().source.name.ends_with("b.toml"));
}

#[test]
fn a_rule_of_the_same_name_replaces() {
    let folder = Folder::new();
    let loaded = folder.load(
        "[[rule]]\nname = \"anything\"\nmatch = [\"...\"]\nprofile = \"worker\"\naction = \"ask\"\n",
    );
    assert_eq!(rules(&loaded), ["anything"]);
    assert_eq!(loaded.rules[0].action, strongroom_protocol::plan::Action::Ask);
}

fn refused(folder: &Folder, text: &str) -> String {
    load(Some(&folder.write("policy.toml", text))).unwrap_err().to_string()
}

#[test]
fn loops_depth_and_number() {
    let folder = Folder::new();
    folder.write("a.toml", "version = 1\nextends = [\"b.toml\"]\n");
    folder.write("b.toml", "version = 1\nextends = [\"a.toml\"]\n");
    let text = refused(&folder, "version = 1\nextends = [\"a.toml\"]\n");
    assert!(text.contains("extends itself") && text.contains("b.toml:2:12"), "{text}");

    for n in 0..20 {
        folder.write(
            &format!("d{n}.toml"),
            format!("version = 1\nextends = [\"d{}.toml\"]\n", n + 1),
        );
    }
    let text = refused(&folder, "version = 1\nextends = [\"d0.toml\"]\n");
    assert!(text.contains("8 at most") && text.contains("d6.toml:2:12"), "{text}");

    folder.write("leaf.toml", "version = 1\n");
    folder
        .write("wide.toml", format!("version = 1\nextends = [{}]\n", "\"leaf.toml\", ".repeat(30)));
    let wide = "version = 1\nextends = [\"builtin:base\", \"wide.toml\", \"wide.toml\"]\n";
    assert!(refused(&folder, wide).contains("more than 32 files"));
}

#[test]
fn links_are_refused_where_they_are_named() {
    let folder = Folder::new();
    folder.write("real/team.toml", "version = 1\n");
    std::os::unix::fs::symlink("real", folder.path("short")).unwrap();
    std::os::unix::fs::symlink("real/team.toml", folder.path("team.toml")).unwrap();
    for named in ["short/team.toml", "team.toml"] {
        let text = refused(&folder, &format!("version = 1\nextends = [\"{named}\"]\n"));
        assert!(text.contains("symbolic link") && text.contains("policy.toml:2:12"), "{text}");
    }
    let absolute = folder.path("short/team.toml");
    let text = format!("version = 1\nextends = [\"{}\"]\n", absolute.display());
    assert!(refused(&folder, &text).contains("symbolic link"));
    let text = format!(
        "version = 1\nextends = [\"builtin:base\", \"{}\"]\n",
        folder.path("real/team.toml").display()
    );
    assert!(load(Some(&folder.write("policy.toml", text))).is_ok());
}

#[test]
fn a_mistake_below_is_shown_below() {
    let folder = Folder::new();
    folder.write("team.toml", "version = 1\n[profile.worker]\nnetwrk = \"none\"\n");
    let text = refused(&folder, "version = 1\nextends = [\"builtin:base\", \"team.toml\"]\n");
    assert!(text.contains("team.toml:3:1"), "{text}");
    folder.write("team.toml", "# no version\n");
    let text = refused(&folder, "version = 1\nextends = [\"builtin:base\", \"team.toml\"]\n");
    assert!(text.contains("team.toml:1:1") && text.contains("`version` is missing"), "{text}");
}

#[test]
fn the_digest_is_of_every_byte_of_every_file() {
    let folder = Folder::new();
    let digest = |team: &str, top: &str| {
        folder.write("team.toml", format!("version = 1\n{team}"));
        let text = format!("version = 1\nextends = [\"builtin:base\", \"team.toml\"]\n{top}");
        load(Some(&folder.write("policy.toml", text))).unwrap().digest
    };
    let plain = digest("", "");
    assert_eq!(plain, digest("", ""));
    assert_ne!(plain, digest("#", ""));
    assert_ne!(plain, digest("", "#"));
    assert_ne!(digest("#", ""), digest("", "#"));
    assert_ne!(load(None).unwrap().digest, plain);
}

/// The digest can be made again from the files: SHA-256 over length and bytes
/// of name and text of each file, in reading order.
#[test]
fn the_digest_can_be_checked() {
    use sha2::{Digest, Sha256};
    let loaded = load(None).unwrap();
    let mut sum = Sha256::new();
    for source in &loaded.sources {
        for part in [&source.name, &source.text] {
            sum.update((part.len() as u64).to_le_bytes());
            sum.update(part);
        }
    }
    assert_eq!(loaded.digest[..], sum.finalize()[..]);
}
