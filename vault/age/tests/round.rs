//! Out of one vault and into another, through an age file.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use strongroom_protocol::types::CredentialName;
use strongroom_sys::secret::Arena;
use strongroom_vault::Vault;
use strongroom_vault_age::{Error, To, With, export, import};

/// A pair made for this test.
const IDENTITY: &str = "# created: 2026-11-21T00:00:00Z
# public key: age1peqpj5dwvdxq7m0c2r56v9r7agk998g6az38askrsx290wxyw59sm0rf6u
AGE-SECRET-KEY-1C8ZRDGT6DE2F0HQ072ANWJ7JVVJX2YJ6WFPQW0XQWASKENYRF8SQ7KJU4P
";

fn name(text: &str) -> CredentialName {
    CredentialName::new(text).unwrap()
}

fn full(arena: &Arena) -> Vault {
    let mut vault = Vault::memory(arena).unwrap();
    let binary: Vec<u8> = (0..=255).map(|byte: u8| byte ^ byte >> 1).collect();
    vault.put(name("BINARY"), &binary, false, 1).unwrap();
    vault.put(name("LONG"), &binary.repeat(256), false, 2).unwrap();
    vault.put(name("PIN"), b"1234", true, 3).unwrap();
    vault.put(name("REVOKED"), &binary, false, 4).unwrap();
    vault.revoke(&name("REVOKED"), 5).unwrap();
    vault
}

#[test]
fn nothing_is_lost_on_the_way() {
    let arena = Arena::new(4 << 20).unwrap();
    let vault = full(&arena);
    let text = vault.export().unwrap();
    let store = |text: &str| arena.store(text.as_bytes()).unwrap();
    let words = store("correct horse battery");
    let recipient = IDENTITY.lines().nth(1).unwrap().split(": ").nth(1).unwrap();
    let pairs = [
        (To::passphrase(&words).unwrap(), With::passphrase(&words).unwrap()),
        (To::recipients([recipient]).unwrap(), With::identities(&store(IDENTITY)).unwrap()),
    ];
    let files = pairs.each_ref().map(|(to, _)| export(&vault, to).unwrap());
    for (at, (_, with)) in pairs.iter().enumerate() {
        let into = |file: &[u8]| {
            let mut vault = Vault::memory(&arena).unwrap();
            import(&mut vault, file, with, false, &arena).map(|_| vault.export().unwrap().to_vec())
        };
        let file = &files[at];
        assert!(file.starts_with(b"age-encryption.org/v1\n"));
        assert_eq!(into(file).unwrap(), *text);
        assert_eq!(into(&files[1 - at]), Err(Error::WrongKey));
        // Each try with a passphrase costs a second.
        let steps = if at == 0 { 2 } else { 60 };
        for step in 0..steps {
            let byte = file.len() / steps * step;
            assert_eq!(into(&file[..byte]), Err(Error::Damaged), "cut at {byte}");
            let mut bad = file.clone();
            bad[byte] ^= 1;
            let result = into(&bad);
            let seen =
                matches!(result, Err(Error::Damaged | Error::WrongKey | Error::TooExpensive));
            assert!(seen, "changed at {byte}: {result:?}");
        }
        assert_eq!(into(&[file.as_slice(), b"x"].concat()), Err(Error::Damaged));
    }
    let other = With::passphrase(&store("correct horse batterz")).unwrap();
    let mut vault = Vault::memory(&arena).unwrap();
    assert_eq!(import(&mut vault, &files[0], &other, false, &arena), Err(Error::WrongKey));
    assert_eq!(vault.entries().len(), 0);
}

#[test]
fn a_name_that_is_taken_stays_unless_told() {
    let arena = Arena::new(4 << 20).unwrap();
    let (vault, words) = (full(&arena), arena.store(b"correct horse battery").unwrap());
    let file = export(&vault, &To::passphrase(&words).unwrap()).unwrap();
    let with = With::passphrase(&words).unwrap();
    let mut vault = Vault::memory(&arena).unwrap();
    vault.put(name("PIN"), b"another value of it", false, 9).unwrap();
    let taken = Error::Vault(strongroom_vault::Error::NameTaken);
    assert_eq!(import(&mut vault, &file, &with, false, &arena), Err(taken));
    assert_eq!(vault.entries().len(), 1);
    import(&mut vault, &file, &with, true, &arena).unwrap();
    assert_eq!(vault.get(&name("PIN")).unwrap().value(), Some(b"1234".as_slice()));
}

#[test]
fn keys_of_another_kind_are_refused() {
    let arena = Arena::new(1 << 16).unwrap();
    let store = |bytes: &[u8]| arena.store(bytes).unwrap();
    assert_eq!(To::recipients([]).map(drop), Err(Error::NoKey));
    for bad in ["", "age1", "ssh-ed25519 AAAA", "AGE-SECRET-KEY-1QQ"] {
        assert_eq!(To::recipients([bad]).map(drop), Err(Error::BadRecipient), "{bad}");
    }
    assert_eq!(With::identities(&store(b"# none\n")).map(drop), Err(Error::NoKey));
    assert_eq!(With::identities(&store(b"age1qq\n")).map(drop), Err(Error::BadIdentity));
    assert_eq!(With::identities(&store(b"\xff")).map(drop), Err(Error::BadIdentity));
    assert_eq!(With::passphrase(&store(b"\xff")).map(drop), Err(Error::BadPassphrase));
    assert_eq!(To::passphrase(&store(b"\xff")).map(drop), Err(Error::BadPassphrase));
}
