//! Folders of secrets as Docker and Kubernetes make them, and worse ones.
#![allow(clippy::unwrap_used)]

use super::*;
use std::fs;
use std::os::unix::fs::symlink;

fn name(text: &str) -> CredentialName {
    CredentialName::new(text).unwrap()
}

fn read(found: &Found, credential: &str) -> Vec<u8> {
    found.list[&name(credential)].read().unwrap().to_vec()
}

#[test]
fn names_of_files() {
    for (file, want) in [
        ("github-token", Some("GITHUB_TOKEN")),
        ("GITHUB_TOKEN", Some("GITHUB_TOKEN")),
        ("github.Token", Some("GITHUB_TOKEN")),
        ("tls.crt", Some("TLS_CRT")),
        (".dockerconfigjson", Some("_DOCKERCONFIGJSON")),
        ("a1", Some("A1")),
        ("1a", None),
        ("a b", None),
        ("a/b", None),
        ("clé", None),
        ("", None),
        ("a\0b", None),
    ] {
        let got = credential_of(file.as_bytes());
        assert_eq!(got.as_ref().map(CredentialName::as_str), want, "{file:?}");
    }
    assert!(credential_of(&[b'a'; 129]).is_none() && credential_of(&[b'a'; 128]).is_some());
}

#[test]
fn a_folder_as_docker_makes_it() {
    let tmp = tempfile::tempdir().unwrap();
    for (file, value) in [
        ("github-token", "one line\n"),
        ("npm_token", "no end"),
        ("tls.key", "two\nlines\n"),
        ("other", "x"),
        ("9lives", "x"),
        (key::FILE, "the vault's"),
    ] {
        fs::write(tmp.path().join(file), value).unwrap();
    }
    fs::create_dir(tmp.path().join("kubernetes.io")).unwrap();
    let mut found = Found::default();
    let wanted = |name: &CredentialName| name.as_str() != "OTHER";
    found.add_folder(tmp.path(), &wanted, "other").unwrap();
    let names: Vec<_> = found.list.keys().map(CredentialName::as_str).collect();
    assert_eq!(names, ["GITHUB_TOKEN", "NPM_TOKEN", "TLS_KEY"]);
    assert_eq!(read(&found, "GITHUB_TOKEN"), b"one line");
    assert_eq!(read(&found, "NPM_TOKEN"), b"no end");
    assert_eq!(read(&found, "TLS_KEY"), b"two\nlines\n");
    let [note] = &found.notes[..] else { panic!("{:?}", found.notes) };
    assert!(note.ends_with("other, left alone: 9lives, other"), "{note}");
}

#[test]
fn a_folder_as_kubernetes_makes_it() {
    let tmp = tempfile::tempdir().unwrap();
    let version = tmp.path().join("..2025_01_02");
    fs::create_dir(&version).unwrap();
    fs::write(version.join("token"), "value").unwrap();
    symlink("..2025_01_02", tmp.path().join("..data")).unwrap();
    symlink("..data/token", tmp.path().join("token")).unwrap();
    let mut found = Found::default();
    found.add_folder(tmp.path(), &|_| true, "other").unwrap();
    assert_eq!(found.list.len(), 1, "{:?}", found.list);
    assert_eq!(read(&found, "TOKEN"), b"value");
}

#[test]
fn what_is_no_file_of_the_folder_is_not_read() {
    let tmp = tempfile::tempdir().unwrap();
    let folder = tmp.path().join("secrets");
    fs::create_dir(&folder).unwrap();
    fs::write(tmp.path().join("outside"), "secret").unwrap();
    symlink("../outside", folder.join("out")).unwrap();
    symlink("/etc/passwd", folder.join("absolute")).unwrap();
    symlink("nowhere", folder.join("dangling")).unwrap();
    symlink("loop", folder.join("loop")).unwrap();
    nix::unistd::mkfifo(&folder.join("fifo"), Mode::S_IRWXU).unwrap();
    let mut found = Found::default();
    found.add_folder(&folder, &|_| true, "other").unwrap();
    assert!(found.list.is_empty() && found.notes.is_empty(), "{found:?}");

    // A file that becomes a link out of the folder between finding and reading.
    fs::write(folder.join("late"), "x").unwrap();
    found.add_folder(&folder, &|_| true, "other").unwrap();
    fs::remove_file(folder.join("late")).unwrap();
    symlink("../outside", folder.join("late")).unwrap();
    assert!(found.list[&name("LATE")].read().is_err());
}

#[test]
fn nothing_holds_twice() {
    let tmp = tempfile::tempdir().unwrap();
    for file in ["api-key", "API_KEY"] {
        fs::write(tmp.path().join(file), "x").unwrap();
    }
    let failure = Found::default().add_folder(tmp.path(), &|_| true, "other").unwrap_err();
    assert_eq!(failure.code, Code::SecretInEnvironment);
    assert!(
        failure.message.contains("/API_KEY and in ") && failure.message.ends_with("/api-key"),
        "{}",
        failure.message
    );
    // Not a word about twins that nobody wants.
    let mut found = Found::default();
    found.add_folder(tmp.path(), &|_| false, "other").unwrap();
    found.add(name("A"), Source::Variable("A".into())).unwrap();
    let failure = found.add(name("A"), Source::Variable("A".into())).unwrap_err();
    assert!(failure.message.contains("the variable A"), "{}", failure.message);
}

#[test]
fn a_value_is_bounded() {
    let tmp = tempfile::tempdir().unwrap();
    fs::write(tmp.path().join("big"), vec![b'x'; MAX_SECRET + 1]).unwrap();
    fs::write(tmp.path().join("fits"), vec![b'x'; MAX_SECRET]).unwrap();
    let mut found = Found::default();
    found.add_folder(tmp.path(), &|_| true, "other").unwrap();
    assert_eq!(found.list[&name("BIG")].read().unwrap_err(), "too long");
    assert_eq!(read(&found, "FITS").len(), MAX_SECRET);
}

#[test]
fn many_that_are_left_alone_are_counted() {
    let names: Vec<String> = (0..10).map(|n| format!("n{n}")).collect();
    let note = left_alone(Path::new("/s"), "other", &names).unwrap();
    assert!(note.ends_with("n6, n7 and 2 more"), "{note}");
    assert_eq!(left_alone(Path::new("/s"), "other", &[]), None);
}
