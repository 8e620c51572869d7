//! Values on their way out through the real pump: every stream, however it is
//! written and however it ends (attacks.md 2.6: K14 to K17, K19, K21, K23, K24,
//! K28, K30, K32, K35).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::time::Duration;

use strongroom_tests::secrets::{holds, policy};
use strongroom_tests::{Ran, Session, Setup, Values, places};

const PYTHON: &str = "/usr/bin/python3";
const MARK: &str = "[REDACTED:ALPHA_TOKEN]";

/// Runs Python with the token as `t`, in bytes, and `out` to write bytes.
fn python(session: &Session, flags: &[&str], script: &str) -> Ran {
    session.exec_with(flags, &[PYTHON, "-c", &with_token(script)])
}

fn with_token(script: &str) -> String {
    format!(
        "import os, sys, time\nt = os.environb[b'ALPHA_TOKEN']\ndef out(b, fd=1):\n while b: b = b[os.write(fd, b):]\n{script}"
    )
}

/// No eight bytes of it left.
#[track_caller]
fn no_piece(bytes: &[u8], value: &[u8]) {
    for piece in value.windows(8) {
        let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(300)..]).into_owned();
        assert!(!holds(bytes, piece), "{} is in …{text}", String::from_utf8_lossy(piece));
    }
}

#[track_caller]
fn masked(ran: &Ran, values: &Values) {
    for stream in [&ran.stdout, &ran.stderr] {
        no_piece(stream, values.of("ALPHA_TOKEN").as_bytes());
    }
}

places! {
    /// K14, K16: at the start, the end, in the middle, again and again, on both
    /// streams, with and without --json.
    all fn raw(place) {
        let (session, values) = Session::with_credentials(place);
        let ran = python(&session, &[], "out(t)\nout(b'<' + t + b'>' + t + t + b'\\n')\nout(t * 1000)\nout(b'e' + t, 2)");
        masked(&ran, &values);
        let text = ran.ok().text();
        assert_eq!(text.matches(MARK).count(), 1004, "{text}");
        assert!(text.starts_with(&format!("{MARK}<{MARK}>{MARK}{MARK}\n")), "{text}");
        assert_eq!(String::from_utf8_lossy(&ran.stderr), format!("e{MARK}"));
        assert_eq!(ran.json["masked"], 1005, "{}", ran.json);
        fs::write(session.ws.join("s.py"), with_token("out(b'a' + t + b'b')\nout(t, 2)\n")).unwrap();
        let ran = session.agent(&format!("strongroom exec -- {PYTHON} -c \"$(cat s.py)\""));
        assert_eq!(ran.ok().text(), format!("a{MARK}b"));
        assert!(ran.stderr.starts_with(MARK.as_bytes()) && String::from_utf8_lossy(&ran.stderr).contains("2 secret values were masked"), "{ran:?}");
        values.none_in(&format!("{:?}", session.audit()));
        let counted = || session.audit().iter().filter_map(|l| l["masked"].as_u64()).sum::<u64>();
        assert!(strongroom_tests::eventually(Duration::from_secs(1), || counted() == 1007), "{}", counted());
        session.end();
    }

    /// K15: byte by byte, slowly, and cut at every place.
    all within 30 fn in_pieces(place) {
        let (session, values) = Session::with_credentials(place);
        let ran = python(&session, &[], "for i in range(len(t)): out(t[i:i + 1])\nout(b'|')\nfor i in range(1, len(t)):\n out(t[:i]); time.sleep(0.002); out(t[i:]); out(b'|')\n");
        masked(&ran, &values);
        assert!(ran.ok().text().split_terminator('|').all(|part| part == MARK), "{ran:?}");
        // With pauses: after a while a few bytes go, as a prompt must; then
        // the rest is hidden all the same.
        let ran = python(&session, &[], "for i in (1, 7, 8, 13, len(t) - 1):\n out(t[:i]); time.sleep(0.1); out(t[i:]); out(b'|')\nfor b in t: out(bytes([b])); time.sleep(0.1)");
        masked(&ran, &values);
        for part in ran.ok().text().split('|') {
            let clear = part.strip_suffix(MARK).unwrap();
            assert!(clear.len() < 8 && values.of("ALPHA_TOKEN").starts_with(clear), "{part}");
        }
        // Nothing is held but what could be a beginning, and that not for ever.
        let ran = python(&session, &[], "out(b'x' + t[:3]); time.sleep(0.1); out(b'y')");
        assert_eq!(ran.ok().text(), format!("x{}y", &values.of("ALPHA_TOKEN")[..3]));
        // Two writers of one stream, and both streams at once: what is whole
        // in a stream is hidden.
        let ran = python(&session, &[], "import threading\ndef run(fd):\n for _ in range(200): out(t + b'\\n', fd)\nts = [threading.Thread(target=run, args=(fd,)) for fd in (1, 1, 2)]\n[x.start() for x in ts]; [x.join() for x in ts]");
        masked(&ran, &values);
        assert_eq!((ran.ok().text().matches(MARK).count(), String::from_utf8_lossy(&ran.stderr).matches(MARK).count()), (400, 200));
    }

    /// K17, K18, K19, K21: the published encodings, made by other people's
    /// encoders.
    all within 20 fn encoded(place) {
        let (session, values) = Session::with_credentials(place);
        let value = "p&ss w\"rd'<1>/\\$x~9Kq";
        session.enter("ALPHA_TOKEN", value);
        let script = "import base64, json, html, urllib.parse, shlex, textwrap, codecs, io\ns = t.decode()\nforms = [base64.b64encode(b'x' * n + t + b'tai') for n in range(3)] + [base64.urlsafe_b64encode(b'\\xff' * n + t) for n in range(3)]\n\
            forms += [base64.encodebytes(b'y' * 50 + t + b'z' * 40), t.hex().encode(), t.hex().upper().encode(), t.hex(':').encode(), urllib.parse.quote(s).encode(), urllib.parse.quote(s, safe='').encode(), urllib.parse.quote_plus(s).encode(), json.dumps(s).encode(), json.dumps(json.dumps(s)).encode(), html.escape(s).encode(), html.escape(s, quote=False).encode(), shlex.quote(s).encode(), repr(s).encode(), repr(t).encode(), s.encode('utf-16-le'), s.encode('utf-16-be'), s[::-1].encode(), ascii(s).encode(), s.replace('\\'', '\\'\\'').encode(), ('\\\\u%04x' * len(s) % tuple(map(ord, s))).encode()]\n\
            os.makedirs('forms', exist_ok=True)\n\
            for n, f in enumerate(forms):\n open('forms/%d' % n, 'wb').write(f)\n out(b'<' + f + b'>\\n')\n";
        let ran = python(&session, &[], script);
        ran.ok();
        let forms = fs::read_dir(session.ws.join("forms")).unwrap().count();
        assert!(forms >= 26, "{forms}");
        for number in 0..forms {
            let form = fs::read(session.ws.join(format!("forms/{number}"))).unwrap();
            let piece = &form[form.len() / 2 - 5..form.len() / 2 + 5];
            assert!(holds(&form, piece) && !holds(&ran.stdout, piece), "form {number}: {} {ran:?}", String::from_utf8_lossy(&form));
        }
        assert!(String::from_utf8_lossy(&ran.stdout).matches(MARK).count() >= forms, "{ran:?}");
        drop(values);
    }

    /// K23: a key of many lines, however its lines are written, whole and cut.
    all fn pem(place) {
        let (session, _) = Session::with_credentials(place);
        let body: Vec<String> = (0..20).map(|_| format!("{}{}", strongroom_tests::outside::random_name("")[1..].to_uppercase(), strongroom_tests::outside::random_name("").replace('-', "+"))).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", body.join("\n"));
        session.enter("ALPHA_TOKEN", &pem);
        let ran = python(&session, &[], "s = t.strip()\nout(s + b'\\n')\nout(b''.join(b'    ' + l + b'\\n' for l in s.split(b'\\n')))\nout(s.replace(b'\\n', b'\\r\\n') + b'\\n')\nout(s.replace(b'\\n', b'\\\\n') + b'\\n')\nout(b'- ' + s.split(b'\\n')[7] + b'\\n')\nout(s[:227])");
        let text = ran.ok().text();
        for line in &body {
            assert!(!text.contains(line), "{line} is in {text}");
            no_piece(text.as_bytes(), line.as_bytes());
        }
        assert!(text.matches(MARK).count() >= 6, "{text}");
    }

    /// K24, K31, K35: one value in another, and values of odd bytes.
    all fn overlapping(place) {
        let (session, _) = Session::with_credentials(place);
        session.enter("ALPHA_TOKEN", "sk-live-0123456789abcdef");
        session.enter("BETA_TOKEN", "sk-live-0123456789abcdef-and-a-longer-Tail-77");
        session.enter("OTHER_KEY", "[a-z]*(?:x|%s)\\\\{}$^.Q7");
        let ran = session.exec(&[PYTHON, "-c", "import os\no = os.environ['ALPHA_TOKEN']\nprint(o, o + '-and-a-longer-Tail-77', o + '-and-a-longer-Tail', '[a-z]*(?:x|%s)\\\\\\\\{}$^.Q7', 'sk-live-012345678')"]);
        let text = ran.ok().text();
        assert!(text.starts_with(&format!("{MARK} [REDACTED:BETA_TOKEN] {MARK}-and-a-longer-Tail [REDACTED:OTHER_KEY] ")), "{text}");
    }

    /// K28: bytes without a value in them arrive as they were.
    all within 20 fn binary(place) {
        let (session, values) = Session::with_credentials(place);
        let mut random = vec![0; 1 << 20];
        std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").unwrap(), &mut random).unwrap();
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0".to_vec();
        png.extend_from_slice(&random[..9000]);
        let mut around = random[..70_000].to_vec();
        around.extend_from_slice(b"v-v-v-");
        let copy = "import shutil\nshutil.copyfileobj(open('blob', 'rb'), sys.stdout.buffer)";
        for blob in [&random, &png, &around, &values.of("ALPHA_TOKEN").as_bytes()[..7].repeat(3000)] {
            fs::write(session.ws.join("blob"), blob).unwrap();
            for ran in [python(&session, &[], copy), session.exec(&["cat", "blob"])] {
                assert!(ran.ok().stdout == *blob, "{} bytes became {}", blob.len(), ran.stdout.len());
            }
        }
        let marked = [&around, MARK.as_bytes(), &around].concat();
        fs::write(session.ws.join("blob"), &around).unwrap();
        let ran = python(&session, &[], "b = open('blob', 'rb').read()\nout(b + t + b)");
        assert!(ran.ok().stdout == marked, "{} bytes became {}", marked.len(), ran.stdout.len());
    }

    /// K16, K30: a stream that ends in the middle of a value: by itself, by
    /// time, by the operator, by revoke, by a signal.
    all within 30 fn ends_in_the_middle(place) {
        let (session, values) = Session::with_credentials(place);
        let ran = python(&session, &[], "out(b'x' + t[:13]); out(b'y' + t[:25], 2)");
        masked(&ran, &values);
        assert!(ran.ok().text().starts_with('x'), "{ran:?}");
        let ran = python(&session, &["--timeout", "700ms"], "out(b'x' + t[:20])\nout(t[:-1], 2)\ntime.sleep(9)");
        masked(&ran, &values);
        assert_eq!((ran.exit, &ran.stdout[..1]), (124, &b"x"[..]), "{ran:?}");
        let ran = python(&session, &[], "out(b'x' + t[:20])\nos.kill(os.getpid(), 9)");
        masked(&ran, &values);
        assert_eq!((ran.exit, &ran.stdout[..1]), (137, &b"x"[..]), "{ran:?}");
        for (verb, code) in [("kill", "SR602"), ("revoke", "SR604")] {
            let script = with_token("out(b'x' + t[:20])\nopen('reached', 'w')\ntime.sleep(9)");
            let job = session.spawn(&[], &[PYTHON, "-c", &script], b"");
            let reached = session.ws.join("reached");
            assert!(strongroom_tests::eventually(Duration::from_secs(5), || reached.exists()));
            fs::remove_file(reached).unwrap();
            let last = session.audit().iter().filter_map(|l| l["req"].as_u64()).max().unwrap().to_string();
            let order = if verb == "kill" { vec!["kill", &last] } else { vec!["credentials", "revoke", "ALPHA_TOKEN"] };
            assert!(session.operator(&order).status.success(), "{order:?}");
            let ran = session.wait(&job);
            masked(&ran, &values);
            assert_eq!((ran.code(), &ran.stdout[..1]), (code, &b"x"[..]), "{ran:?}");
        }
    }

    /// K30: the limit on output cuts in the middle of one, at every place.
    all within 30 fn the_limit_cuts(place) {
        let values = Values::new();
        let setup = Setup::new(place);
        let text = policy(&setup).replace("limits.output = \"8MiB\"", "limits.output = \"64KiB\"");
        let session = setup.policy(&text).start();
        for (name, value) in values.all() {
            session.enter(name, value);
        }
        for before in [0, 1, 7, 8, 12, 19, 25, 40] {
            let ran = python(&session, &[], &format!("out(b'x' * (65536 - {before}) + t + b'y' * 40000)"));
            masked(&ran, &values);
            assert_eq!(ran.json["output_cut"], true, "{before}");
            assert!(ran.stdout.len() <= 65536 + MARK.len() && ran.stdout.starts_with(b"xxx"), "{}", ran.stdout.len());
        }
    }

    /// K32: names and arguments: hidden wherever they are put on record.
    all fn on_record(place) {
        let (session, values) = Session::with_credentials(place);
        let token = values.of("ALPHA_TOKEN");
        let ran = python(&session, &[], "open(t, 'w'); os.mkdir(b'd'); os.mkdir(b'd/' + t)\nprint(os.listdir())");
        masked(&ran, &values);
        let ran = session.sh("ls -R; ls -d /nonesuch; find");
        masked(&ran, &values);
        assert!(session.ws.join(token).exists());
        // An agent that has it from elsewhere puts it into a request.
        let reason = format!("because {token}");
        let ran = session.exec_with(&["--reason", &format!("'{reason}'"), "--cwd", &format!("d/{token}")], &["true", token]);
        ran.ok();
        session.write(&format!("d/{token}/file"), "", "x").ok();
        session.write("e", &format!("--reason '{reason}'"), "x").ok();
        let _ = session.agent(&format!("strongroom credentials request NEW_ONE --reason '{reason}'"));
        let audit = format!("{:?}", session.audit());
        assert!(audit.matches(MARK).count() >= 5, "{audit}");
        values.none_in(&audit);
        values.none_in(&session.log());
        values.none_in(&String::from_utf8_lossy(&session.operator(&["status", "--json"]).stdout));
        values.none_in(&String::from_utf8_lossy(&session.operator(&["credentials", "requests"]).stdout));
        values.none_beneath(&session.state.join("log"));
    }

    /// Being told what is hidden is a way to ask: the session has so many.
    all fn so_many_masks(place) {
        let values = Values::new();
        let setup = Setup::new(place);
        let text = format!("{}\n[session]\nmasks = 50\n", policy(&setup));
        let session = setup.policy(&text).start();
        for (name, value) in values.all() {
            session.enter(name, value);
        }
        assert_eq!(python(&session, &[], "out(t * 50)").ok().text(), MARK.repeat(50));
        let ran = python(&session, &[], "out(b'1' + t + b'2')\ntime.sleep(0.05)\nout(b'3')");
        masked(&ran, &values);
        assert_eq!(ran.json["withheld"], true, "{}", ran.json);
        assert!(!ran.text().ends_with('3'), "{ran:?}");
        // What has no value in it is withheld as well.
        let ran = session.exec(&["echo", "plain"]);
        assert!(ran.text().is_empty() && ran.json["withheld"] == true, "{ran:?}");
    }
}
