//! What `strongroom write` refuses, and what stands there afterwards
//! (attacks.md 2.6: K41, K42, K44, K45, K46).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use strongroom_tests::outside::own;
use strongroom_tests::{Session, Setup, Values, places};

const SEALED: &str = "KEY=${credentials.FILE_KEY}\n";
const PLAIN: &str = "KEY=${credentials.PLAIN_KEY}\n";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

places! {
    /// K46: where no file may be written, and that nothing is.
    all fn places_that_are_refused(place) {
        let setup = Setup::new(place);
        setup.put(".git/config", "[core]\n");
        let values = Values::new();
        let session = setup.start_with(&values);
        let canary = session.canary();
        session.put("old", "old");
        session.put("sub/file", "old");
        session.put("file", "old");
        session.put("closed/x", "old");
        fs::hard_link(session.ws.join("file"), session.ws.join("hard")).unwrap();
        symlink(&canary.path, session.ws.join("out")).unwrap();
        symlink(session.outside(), session.ws.join("dir")).unwrap();
        symlink("sub", session.ws.join("in")).unwrap();
        symlink("nonesuch", session.ws.join("dangling")).unwrap();
        symlink("old", session.ws.join("link")).unwrap();
        let ran = session.sh("mkfifo fifo && chmod 500 closed");
        ran.ok();
        let outside = session.outside().join("new").display().to_string();
        let state = session.state.join("home/x").display().to_string();
        for path in [
            &outside, &state, "../outside/new", "../ws-evil", "/etc/x", "/tmp/x", "..", ".", "", "sub", "sub/", "old/x",
            ".git/config", ".git/hooks/pre-commit", ".git/x", ".GIT/x", "sub/.git/config", ".claude/settings.json",
            ".mcp.json", "out", "dir/new", "in/new", "dangling", "link", "fifo", "hard", "file", "nowhere/x", "closed/x", "closed/y",
            "sub/../../x", "./sub/../new/../../y",
        ] {
            for (content, flags) in [(SEALED, ""), (PLAIN, "--plain"), ("nothing\n", "")] {
                let ran = session.write(path, flags, content);
                assert!(ran.exit != 0, "{path} {flags}: {ran:?}");
                values.none_in(&ran.everything());
            }
        }
        assert!(!session.outside().join("new").exists() && !session.ws.join("sub/new").exists());
        for old in ["old", "sub/file", "file", "hard"] {
            assert_eq!(fs::read(session.ws.join(old)).unwrap(), b"old", "{old}");
        }
        assert_eq!(fs::read(session.ws.join(".git/config")).unwrap(), b"[core]\n");
        canary.untouched();
        values.none_beneath(&session.ws);
        // Control: beside all of these it works.
        session.write("sub/new", "", SEALED).ok();
        session.write("./old", "--plain", PLAIN).ok();
        assert!(session.ws.join("sub/new").is_symlink());
        assert_eq!(fs::read_to_string(session.ws.join("old")).unwrap(), format!("KEY={}\n", values.of("PLAIN_KEY")));
    }

    /// K46: modes: nobody else's by default, what was asked, never set-id.
    all fn modes(place) {
        let (session, values) = Session::with_credentials(place);
        let at = |name: &str| session.ws.join(name);
        session.put("kept", "old");
        fs::set_permissions(at("kept"), fs::Permissions::from_mode(0o4755)).unwrap();
        session.agent(&format!("umask 000; printf '{PLAIN}' | strongroom write --plain new")).ok();
        session.write("wide", "--plain --mode 666", PLAIN).ok();
        session.write("text", "", "no placeholder\n").ok();
        session.write("kept", "--plain", PLAIN).ok();
        let modes = ["new", "wide", "text", "kept"].map(|name| mode(&at(name)));
        assert_eq!(modes, [0o600, 0o666, 0o600, 0o755], "{modes:?}");
        for wrong in ["4755", "7777", "1000", "999", "+x", "-1"] {
            let ran = session.write("never", &format!("--mode={wrong}"), PLAIN);
            assert!(ran.exit != 0 && !at("never").exists(), "{wrong}: {ran:?}");
        }
        assert_eq!(fs::metadata(at("new")).unwrap().uid(), place.sandbox());
        assert_eq!(fs::read_to_string(at("new")).unwrap(), format!("KEY={}\n", values.of("PLAIN_KEY")));
        let names: Vec<_> = fs::read_dir(&session.ws).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 4, "{names:?}");
    }

    /// Plain where the policy says so and nowhere else; recorded with names.
    all fn plain_needs_the_policys_word(place) {
        let (session, values) = Session::with_credentials(place);
        session.write("a", "--plain", SEALED).exits(77);
        session.write("a", "--plain", format!("{PLAIN}{SEALED}")).exits(77);
        assert!(!session.ws.join("a").exists());
        session.write("a", "--plain", PLAIN).ok();
        let write = session.audit().into_iter().rfind(|l| l["event"] == "write").unwrap();
        assert!(write.to_string().contains("PLAIN_KEY") && write.to_string().contains("plain"), "{write}");
        assert_eq!(values.beneath(&session.ws).1.len(), 1);
        // It is in the workspace, so it is in output, where it is hidden.
        assert_eq!(session.sh("cat a").ok().text(), "KEY=[REDACTED:PLAIN_KEY]");
        values.none_beneath(&session.state);
    }

    /// K42, K45: one placeholder that cannot be filled in, and nothing changes.
    all fn all_or_nothing(place) {
        let (session, values) = Session::with_credentials(place);
        session.put("old", "old");
        session.write("sealed", "", SEALED).ok();
        let link = session.lease("sealed");
        for wrong in [
            "${credentials.NO_SUCH}", "${credentials.ALPHA_TOKEN}", "${credentials.FILE_KEY|nonesuch}",
        ] {
            let content = format!("A=1\nB=${{credentials.FILE_KEY}}\nC={wrong}\n");
            for name in ["old", "sealed", "new.env"] {
                let ran = session.write(name, "", &content);
                assert!(ran.exit == 77, "{name} {wrong}: {ran:?}");
                let said = ran.everything();
                assert!(said.contains(":3:3"), "{name} {wrong}: {said}");
                values.none_in(&said);
            }
        }
        assert_eq!(fs::read(session.ws.join("old")).unwrap(), b"old");
        assert_eq!(session.lease("sealed"), link);
        assert!(!session.ws.join("new.env").exists());
        assert_eq!(session.agent("strongroom read sealed").ok().stdout, SEALED.as_bytes());
        // The same for one that does not exist, is not there, is delivered
        // otherwise.
        let unset = |name: &str| {
            let ran = session.write("x", "", format!("${{credentials.{name}}}"));
            ran.everything().replace(name, "NAME").replace(&ran.json.to_string(), "")
        };
        assert!(session.operator(&["credentials", "revoke", "OTHER_KEY"]).status.success());
        let texts = ["NO_SUCH_ONE", "ALPHA_TOKEN", "OTHER_KEY"].map(unset);
        assert!(texts.iter().all(|t| *t == texts[0] && t.contains("SR105")), "{texts:#?}");
        // What is no placeholder stays, and is told where it nearly is one.
        let literal = "$${credentials.FILE_KEY} ${credential.FILE_KEY} ${ credentials.FILE_KEY } ${credentials.${FILE_KEY}} ${credentials.file_key}\n";
        let ran = session.write("text", "", literal);
        ran.ok();
        let text = fs::read_to_string(session.ws.join("text")).unwrap();
        assert_eq!(text, literal.replacen("$$", "$", 1));
        assert!(String::from_utf8_lossy(&ran.stderr).contains("looks like a placeholder"), "{ran:?}");
    }

    /// K41: a placeholder is one in content, and nowhere else.
    all fn not_in_paths_or_arguments(place) {
        let (session, values) = Session::with_credentials(place);
        let name = "${credentials.FILE_KEY}";
        session.write(name, "", "x").ok();
        assert!(session.ws.join(name).exists());
        assert_eq!(session.exec(&["echo", name]).ok().text(), name);
        let told = session.reveal("file", &[name]);
        assert!(!told.contains_key("FILE_KEY"), "{told:?}");
        session.exec(&["touch", "${credentials.ALPHA_TOKEN}"]).ok();
        let ran = session.agent("strongroom exec --reason '${credentials.FILE_KEY}' --cwd '${credentials.FILE_KEY}' -- true; cat /dev/null");
        values.none_in(&ran.everything());
        values.none_in(&format!("{:?}", session.audit()));
        values.none_beneath(&session.ws);
    }

    /// K42, K44: a value is not looked at again; what it becomes is bounded.
    all within 20 fn nesting_and_amplification(place) {
        let (session, _) = Session::with_credentials(place);
        let nested = "x-${credentials.OTHER_KEY}-y-0123456789";
        session.enter("FILE_KEY", nested);
        session.write("nested", "", "${credentials.FILE_KEY|raw}").ok();
        let told = session.reveal("file", &["nested"]);
        assert_eq!(told["nested read"], strongroom_tests::secrets::hash(nested.as_bytes()));
        let large = strongroom_tests::outside::random_name("").repeat(1600);
        session.enter("PLAIN_KEY", &large[..40_000]);
        let many = "${credentials.PLAIN_KEY|raw}".repeat(900);
        let ran = session.write("big", "--plain", &many);
        assert!(ran.exit == 77 && !session.ws.join("big").exists(), "{ran:?}");
        let ran = session.write("many", "", "${credentials.FILE_KEY|raw}".repeat(3500));
        assert!(ran.exit == 77 && !session.ws.join("many").exists(), "{ran:?}");
        session.write("few", "--plain", "${credentials.PLAIN_KEY|raw}".repeat(100)).ok();
        assert_eq!(fs::metadata(session.ws.join("few")).unwrap().len(), 4_000_000);
        let ran = session.agent("head -c 20000000 /dev/zero | strongroom write huge");
        assert!(ran.exit != 0 && !session.ws.join("huge").exists(), "{ran:?}");
    }

    /// Killed in the middle, a writer leaves the old file or the new one.
    all within 20 fn writers_killed(place) {
        let (session, values) = Session::with_credentials(place);
        session.put("file", "old");
        own(&session.ws.join("file"), place.sandbox());
        let padding = "#".repeat(2_000_000);
        let content = format!("{padding}{PLAIN}");
        session.put("content", &content);
        for number in 0..12 {
            let delay = number * 25;
            let ran = session.agent(&format!("strongroom write --plain file <content & sleep 0.{delay:03}; kill -9 $!; wait $!"));
            assert!(matches!(ran.exit, 0 | 137), "{ran:?}");
        }
        session.exec(&["true"]).ok();
        let text = fs::read_to_string(session.ws.join("file")).unwrap();
        let new = content.replace("${credentials.PLAIN_KEY}", values.of("PLAIN_KEY"));
        assert!(text == "old" || text == new, "{} bytes", text.len());
        session.write("file", "--plain", &content).ok();
        assert_eq!(fs::read_to_string(session.ws.join("file")).unwrap(), new);
        let names: Vec<_> = fs::read_dir(&session.ws).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}
