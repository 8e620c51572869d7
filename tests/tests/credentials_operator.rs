//! What an operator does with credentials, and that nobody else can
//! (invariant I9; attacks.md 2.6: K06, K12, K25).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::process::Output;

use serde_json::Value;
use strongroom_tests::outside::random_name;
use strongroom_tests::secrets::hash;
use strongroom_tests::setup::programs;
use strongroom_tests::{Session, Setup, Values, places, terminal};

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The operator's list.
fn list(session: &Session) -> Vec<Value> {
    let output = session.operator(&["credentials", "list", "--json"]);
    let json: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    json["credentials"].as_array().unwrap_or_else(|| panic!("{json}")).clone()
}

fn one(session: &Session, name: &str) -> Value {
    list(session)
        .into_iter()
        .find(|c| c["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {:?}", list(session)))
}

places! {
    /// Typed twice on a terminal that shows none of it; what differs is not
    /// taken.
    all within 30 fn typed(place) {
        let (session, _) = Session::with_credentials(place);
        let value = random_name("typed");
        let mut command = place.command(programs().join("strongroom"));
        command.args(["credentials", "put", "ALPHA_TOKEN", "--state"]).arg(&session.state);
        let (status, shown) = terminal::answered(&command, &[&value, &value]);
        assert!(status == 0 && shown.contains("ALPHA_TOKEN") && !shown.contains(&value), "{status} {shown}");
        assert_eq!(session.reveal("alpha", &[])["ALPHA_TOKEN"], hash(value.as_bytes()));
        let other = random_name("other");
        let (status, shown) = terminal::answered(&command, &[&value, &other, &value, &other, &value, &other]);
        assert!(status != 0 && !shown.contains(&other) && !shown.contains(&value), "{status} {shown}");
        assert_eq!(session.reveal("alpha", &[])["ALPHA_TOKEN"], hash(value.as_bytes()));
        session.end();
    }

    /// What is no good value, or no name for one, is refused by its code, and
    /// nothing changes.
    all fn refused_values_and_names(place) {
        let (session, values) = Session::with_credentials(place);
        let before = one(&session, "ALPHA_TOKEN");
        for (value, code) in [
            (&b""[..], "SR612"), (b"\n", "SR612"), (b"short", "SR612"), (b"aaaaaaaaaaaaaaaaaaaaaaaa", "SR612"), (&[b'x'; 65537], "SR612"),
        ] {
            let output = session.operator_with(&["credentials", "put", "ALPHA_TOKEN"], value);
            assert!(!output.status.success() && text(&output).contains(code), "{code}: {output:?}");
        }
        for name in ["LD_PRELOAD", "PATH", "BASH_ENV", "NODE_OPTIONS", "STRONGROOM_SOCKET", "GIT_SSH_COMMAND"] {
            let output = session.operator_with(&["credentials", "put", name], values.of("ALPHA_TOKEN").as_bytes());
            assert!(!output.status.success() && text(&output).contains("SR613"), "{name}: {output:?}");
        }
        for name in ["alpha", "../X", "A B", "", "1A", "\u{410}"] {
            let output = session.operator_with(&["credentials", "put", "--", name], values.of("ALPHA_TOKEN").as_bytes());
            assert!(!output.status.success(), "{name}: {output:?}");
        }
        let after = one(&session, "ALPHA_TOKEN");
        assert_eq!(after["version"], before["version"], "{after}");
        // Odd bytes are taken as they are; what cannot be a variable is not
        // delivered as one.
        for (value, flags) in [(&b"short-1"[..], &["--force"][..]), (b"two\nlines and more-9Z", &[]), (b"quote\"'`$(x)\\ \xff\xfe9Z", &[]), (&b"aZ9q".repeat(7500), &["--force"])] {
            let args = [&["credentials", "put", "ALPHA_TOKEN"], flags].concat();
            let output = session.operator_with(&args, value);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(session.reveal("alpha", &[])["ALPHA_TOKEN"], hash(value));
        }
        let output = session.operator_with(&["credentials", "put", "ALPHA_TOKEN"], b"nul\0in the middle-9Z");
        assert!(output.status.success(), "{output:?}");
        let reveal = session.setup().tool("reveal");
        session.exec(&[&reveal, "alpha", "x"]).refused("SR105", 77);
    }

    /// Listed with all that is known but the value: to the operator; to the
    /// agent less.
    all fn listed(place) {
        let (session, values) = Session::with_credentials(place);
        let _ = session.reveal("alpha", &[]);
        let names: Vec<_> = list(&session).iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["ALPHA_TOKEN", "BETA_TOKEN", "FILE_KEY", "OTHER_KEY", "PLAIN_KEY"]);
        let all = format!("{:?}{}", list(&session), text(&session.operator(&["credentials", "list"])));
        values.none_in(&all);
        assert!(session.operator(&["credentials", "revoke", "BETA_TOKEN"]).status.success());
        assert!(session.operator(&["credentials", "delete", "OTHER_KEY"]).status.success());
        let beta = one(&session, "BETA_TOKEN").to_string();
        assert!(beta.contains("revoked"), "{beta}");
        let agents = session.agent("strongroom credentials list; strongroom credentials list --json");
        let said = agents.ok().everything();
        assert!(said.contains("ALPHA_TOKEN"), "{said}");
        values.none_in(&said);
        session.end();
    }

    /// Asked for by the agent, in its own words, and fulfilled or dismissed by
    /// a human.
    all fn requested(place) {
        let values = Values::new();
        let setup = Setup::new(place);
        let text_of_policy = strongroom_tests::secrets::policy(&setup);
        let session = setup.policy(&text_of_policy).start();
        let reveal = session.setup().tool("reveal");
        session.exec(&[&reveal, "alpha", "x"]).refused("SR105", 77);
        session.agent("strongroom credentials request ALPHA_TOKEN --reason 'to publish\x1b[2J 1.2'").ok();
        session.agent("strongroom credentials request FILE_KEY --reason 'again'").ok();
        let output = session.operator(&["credentials", "requests", "--json"]);
        let requests: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(requests.to_string().contains("to publish") && requests.to_string().contains("FILE_KEY"), "{requests}");
        assert!(!text(&session.operator(&["credentials", "requests"])).contains('\x1b'));
        session.enter("ALPHA_TOKEN", values.of("ALPHA_TOKEN"));
        assert_eq!(session.reveal("alpha", &[])["ALPHA_TOKEN"], hash(values.of("ALPHA_TOKEN").as_bytes()));
        let output = text(&session.operator(&["credentials", "requests", "--json"]));
        assert!(!output.contains("ALPHA_TOKEN") && output.contains("FILE_KEY"), "{output}");
        let requests: Value = serde_json::from_str(&output).unwrap();
        let id = requests["requests"][0]["id"].to_string();
        assert!(session.operator(&["credentials", "dismiss", &id]).status.success());
        assert!(!session.operator(&["credentials", "dismiss", &id]).status.success());
        assert!(!text(&session.operator(&["credentials", "requests", "--json"])).contains("FILE_KEY"));
        let ran = session.agent("for i in $(seq 1 200); do strongroom credentials request K_$i --reason x || exit 77; done");
        ran.exits(77);
        assert!(session.agent("strongroom credentials request LD_PRELOAD --reason x").exit != 0);
    }

    /// A folder of secret files entered at once; a file that is none stops it
    /// before it and is named.
    all fn imported(place) {
        let (session, _) = Session::with_credentials(place);
        let values = Values::new();
        let folder = session.path("import");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("alpha-token"), format!("{}\n", values.of("ALPHA_TOKEN"))).unwrap();
        std::fs::write(folder.join("BETA_TOKEN"), values.of("BETA_TOKEN")).unwrap();
        let output = session.operator(&["credentials", "import", folder.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        values.none_in(&text(&output));
        let told = session.reveal("both", &[]);
        for name in ["ALPHA_TOKEN", "BETA_TOKEN"] {
            assert_eq!(told[name], hash(values.of(name).as_bytes()), "{name}");
        }
        std::fs::write(folder.join("file-key"), "short").unwrap();
        let output = session.operator(&["credentials", "import", folder.to_str().unwrap()]);
        assert!(!output.status.success() && text(&output).contains("FILE_KEY") && text(&output).contains("SR612"), "{output:?}");
    }

    /// I9: neither agent nor command can enter, list as the operator does,
    /// revoke or delete, by any way there is.
    all within 30 fn the_operators_alone(place) {
        let (session, values) = Session::with_credentials(place);
        let state = session.state.display().to_string();
        let before = list(&session);
        let lines = [
            format!("echo stolen-value-4711-0815 | strongroom credentials put ALPHA_TOKEN --state {state}"),
            format!("echo stolen-value-4711-0815 | STRONGROOM_STATE={state} strongroom credentials put ALPHA_TOKEN"),
            format!("strongroom credentials revoke ALPHA_TOKEN --state {state}"),
            format!("strongroom credentials delete ALPHA_TOKEN --state {state}"),
            "strongroom credentials delete ALPHA_TOKEN --no-wait --reason please".to_owned(),
            format!("mkdir -p imp; echo stolen-value-4711-0815 >imp/alpha-token; strongroom credentials import imp --state {state}"),
            format!("strongroom credentials requests --state {state}"),
            format!("strongroom vault slots --state {state}"),
            format!("strongroom vault accept --state {state}"),
            format!("cat {state}/broker/operator.token {state}/broker/*"),
            format!("/usr/bin/python3 -c \"import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect('{state}/run/operator.sock'); s.send(b'x' * 40); exit(not s.recv(99))\""),
        ];
        for line in &lines {
            for ran in [session.agent(line), session.sh(line)] {
                assert!(ran.exit != 0, "{line}: {ran:?}");
                values.none_in(&ran.everything());
            }
        }
        assert_eq!(list(&session), before);
        assert!(session.reveal("alpha", &[]).contains_key("ALPHA_TOKEN"));
        // Control: the same line, by the operator.
        assert!(session.operator(&["credentials", "revoke", "ALPHA_TOKEN"]).status.success());
        assert_ne!(list(&session), before);
    }
}
