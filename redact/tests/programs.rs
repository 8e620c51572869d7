//! What real programs make of a value: each prints it in its own way, and no
//! usable part of it is left. So the forms are checked by those who write them,
//! not by our own encoders.

use std::io::Write as _;
use std::process::{Command, Stdio};

use strongroom_redact::{Patterns, Stream};

/// Values with everything in them that some writer treats differently.
const VALUES: &[&[u8]] = &[
    b"ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    b"postgres://app:s3cr3t%2Fpa55@db.internal:5432/app?sslmode=require&x=1",
    b"p'a\"s's w\"o'r d$HOME `id` \\n %41 &amp; <b> ! # * ? [x] {y} (z) ^ ~ | ; , . _ - + = @ : /",
    "k\u{f6}nig \u{5bc6}\u{7801} \u{1f511} \u{c9}t\u{e9} gr\u{fc}\u{df}e \u{20ac} 4711".as_bytes(),
    b"tab\there bell\x07 esc\x1b[1m del\x7f back\x08 feed\x0c vt\x0b one\x01 end 0123",
    b"-----BEGIN PRIVATE KEY-----\n\
      MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n\
      MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n\
      NMoSfm76oqFvAp8Gy0iz5sxjZmSnXyCdPEovGhLa0VzMaQ8s+CLOyS56YyCFGeJZ\n\
      qgtzJ6GR3eqoYSW9b9UMvkBpZODSctWSNGj3P7jRFDO5VoTwCQAWbFnOjDfH5Ulg\n\
      -----END PRIVATE KEY-----\n",
    br#"{"type": "service_account", "private_key": "-----BEGIN KEY-----\nMIIEvQIBADANBgkq/Us8cKj+\n-----END KEY-----\n"}"#,
    b"MDEyMzQ1Njc4OWFiY2RlZg==/+aaaa-bbbb_cccc",
];

/// Bytes that a program may write around a value, or between its lines.
const AROUND: usize = 64;

struct Program {
    name: &'static str,
    flag: &'static str,
    script: &'static str,
    /// Whether this value can be asked of it.
    takes: fn(&[u8]) -> bool,
}

fn all(_: &[u8]) -> bool {
    true
}

/// Each line apart, so the first and last line of a PEM block stay.
fn one_line(value: &[u8]) -> bool {
    !value.contains(&b'\n')
}

/// The program writes a backspace as it is, which then is a control character
/// of the terminal.
fn visible(value: &[u8]) -> bool {
    one_line(value) && !value.contains(&8)
}

/// What holds control characters is itself a way to steer a terminal, and each
/// of these writes them in its own way.
fn printable(value: &[u8]) -> bool {
    !value.iter().any(u8::is_ascii_control)
}

/// With escape sequences between its characters still within reach.
fn brief(value: &[u8]) -> bool {
    printable(value) && value.len() < 100
}

fn ascii(value: &[u8]) -> bool {
    visible(value) && value.is_ascii()
}

const fn program(
    name: &'static str,
    flag: &'static str,
    script: &'static str,
    takes: fn(&[u8]) -> bool,
) -> Program {
    Program { name, flag, script, takes }
}

const fn shell(script: &'static str) -> Program {
    program("bash", "-c", script, all)
}

const fn shell_if(script: &'static str, takes: fn(&[u8]) -> bool) -> Program {
    program("bash", "-c", script, takes)
}

const fn python(script: &'static str) -> Program {
    program("python3", "-c", script, all)
}

const fn python_if(script: &'static str, takes: fn(&[u8]) -> bool) -> Program {
    program("python3", "-c", script, takes)
}

const fn node(script: &'static str) -> Program {
    program("node", "-e", script, all)
}

const BASH: &str = "IFS= read -rd '' s; export s; ";
const PYTHON: &str = "
import ast, base64, binascii, csv, html, json, pprint, shlex, sys, textwrap, urllib.parse, xml.sax.saxutils
b = sys.stdin.buffer.read(); s = b.decode(); o = sys.stdout; o.reconfigure(newline='', encoding='utf-8')
raw = sys.stdout.buffer
";
const NODE: &str =
    "const b = require('fs').readFileSync(0), s = b.toString(), w = t => process.stdout.write(t);";

const PROGRAMS: &[Program] = &[
    shell("cat <<< \"$s\""),
    shell("printf 'the key is %s, again: %s' \"$s\" \"$s\""),
    shell("printf %q \"$s\""),
    shell("LC_ALL=C; printf %q \"$s\""),
    shell("echo \"${s@Q}\""),
    shell("declare -p s"),
    shell("export -p | grep -A9 -F ' s='"),
    shell("set -x; : \"$s\" 2>&1; { : \"$s\"; } 2>&1"),
    shell("{ set -x; : \"$s\"; } 2>&1"),
    shell_if("env printf %q \"$s\"", printable),
    shell("env -0 | grep -z '^s='"),
    shell("printf %s \"$s\" | base64"),
    shell("printf %s \"$s\" | base64 -w 20"),
    shell("printf %s \"$s\" | openssl base64"),
    shell("printf 'K=%s' \"$s\" | base64"),
    shell("printf 'x%s' \"$s\" | basenc --base64url"),
    shell("printf %s \"$s\" | basenc --base16"),
    shell("printf %s \"$s\" | xxd -p"),
    shell("printf %s \"$s\" | xxd -p -u -c 16"),
    shell("printf %s \"$s\" | cat -A"),
    shell("printf %s \"$s\" | cat -v"),
    shell("printf %s \"$s\" | cat -vt"),
    shell_if("printf %s \"$s\" | sed -n l", one_line),
    shell("printf %s \"$s\" | rev"),
    shell_if("printf %s \"$s\" | fold -w 30", ascii),
    shell_if("printf %s \"$s\" | fold -s -w 30", ascii),
    shell("printf %s \"$s\" | iconv -t UTF-16LE"),
    shell("printf %s \"$s\" | iconv -t UTF-16BE"),
    shell("printf %s \"$s\" | sed 's/^/    /'"),
    shell("printf %s \"$s\" | sed 's/$/\\r/'"),
    shell("printf %s \"$s\" | tr '\\n' ' '"),
    shell_if("printf %s \"$s\" | grep --color=always -e '[0-9]'", visible),
    shell_if("printf %s \"$s\" | grep --color=always -e '[a-z]*'", visible),
    shell_if("printf %s \"$s\" | sed 's/./_\\x08&/g'", ascii),
    shell_if("printf %s \"$s\" | sed 's/[!-~]/&\\x08&/g'", ascii),
    shell("printf %s \"$s\" | jq -Rs ."),
    shell("printf %s \"$s\" | jq -Rsa ."),
    shell("printf %s \"$s\" | jq -Rs '{a: .} | tojson'"),
    shell("printf %s \"$s\" | jq -Rsr '@uri, @html, @sh, @csv \"\\([.])\", @base64'"),
    shell_if("printf %s \"$s\" | jq -Rsr '@tsv \"\\([.])\"'", printable),
    python("o.write(repr(s))"),
    python("o.write(ascii(s))"),
    python("o.write(repr(b))"),
    python("o.write(repr({'k': [s]}))"),
    python("o.write(json.dumps({'k': s}))"),
    python("o.write(json.dumps({'k': s}, ensure_ascii=False))"),
    python("o.write(json.dumps(json.dumps(s)))"),
    python("o.write(json.dumps(json.dumps(s, ensure_ascii=False), ensure_ascii=False))"),
    python(
        "o.write(''.join('\\\\u%04x' % c for c in memoryview(s.encode('utf-16-le')).cast('H')))",
    ),
    python(
        "o.write(''.join('\\\\u%04X' % c for c in memoryview(s.encode('utf-16-le')).cast('H')))",
    ),
    python("o.write(urllib.parse.quote(s))"),
    python("o.write(urllib.parse.quote(s, safe=''))"),
    python("o.write(urllib.parse.quote_plus(s))"),
    python("o.write(urllib.parse.urlencode({'k': s}))"),
    python("o.write(''.join('%%%02x' % c for c in b))"),
    python("o.write(html.escape(s))"),
    python("o.write(html.escape(s, quote=False))"),
    python("o.write(xml.sax.saxutils.escape(s))"),
    python_if("o.write(xml.sax.saxutils.quoteattr(s))", printable),
    python("o.write(''.join('&#%d;' % ord(c) for c in s))"),
    python("o.write(''.join('&#x%x;' % ord(c) for c in s))"),
    python("o.write(''.join('&#x%X;' % ord(c) for c in s))"),
    python("o.write(shlex.quote(s))"),
    python("csv.writer(o).writerow(['a', s, 'b'])"),
    python("o.write(b.hex())"),
    python("o.write(b.hex(':'))"),
    python("o.write(b.hex(':').upper())"),
    python("o.write(base64.encodebytes(b'user:' + b).decode())"),
    python("o.write(base64.urlsafe_b64encode(b'ab' + b + b'c').decode())"),
    python("o.write(s[::-1])"),
    python("raw.write(b[::-1])"),
    python("raw.write(s.encode('utf-16'))"),
    python("raw.write(b'\\x00\\xff\\xfe' + b + b'\\xff\\x00')"),
    python_if("o.write('\\u200b'.join(s))", printable),
    python_if(
        "o.write(''.join('\\x1b[3%dm%s\\x1b[0m' % (i % 8, c) for i, c in enumerate(s)))",
        brief,
    ),
    python_if("o.write(textwrap.indent(s, '\\t'))", printable),
    node("w(JSON.stringify({k: s}))"),
    node("w(JSON.stringify(JSON.stringify({k: s})))"),
    node("w(require('util').inspect(s))"),
    node("w(require('util').inspect({k: s}, {breakLength: Infinity}))"),
    node("w(encodeURIComponent(s))"),
    node("w(encodeURI(s))"),
    node("w(escape === undefined ? '' : new URLSearchParams({k: s}).toString())"),
    node("w(require('querystring').stringify({k: s}))"),
    node("w(b.toString('base64url'))"),
    node("w(b.toString('hex').toUpperCase())"),
];

/// A program that is not there is counted; in CI it is a failure.
fn output(program: &Program, value: &[u8]) -> Option<Vec<u8>> {
    let prelude = match program.name {
        "bash" => BASH,
        "python3" => PYTHON,
        _ => NODE,
    };
    let mut command = Command::new(program.name);
    command.args([program.flag, &[prelude, program.script].concat()]).env_clear();
    // Nothing of ours, or `env` would print it around the value.
    command.env("LC_ALL", "C.UTF-8").envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.ok()?;
    child.stdin.take()?.write_all(value).ok()?;
    let output = child.wait_with_output().ok()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if complaint.contains("not found") {
        return None;
    }
    assert!(!output.stdout.is_empty(), "{}: {complaint}", program.script);
    Some(output.stdout)
}

#[test]
fn no_program_prints_a_value_past_us() {
    let (mut checked, mut missing, mut faults) = (0, 0, Vec::new());
    for value in VALUES {
        let patterns = Patterns::build(&[(b"KEY", value)]);
        for program in PROGRAMS.iter().filter(|program| (program.takes)(value)) {
            let Some(text) = output(program, value) else {
                missing += 1;
                println!("not there: {} {}", program.name, program.script);
                continue;
            };
            let redacted = redact(&patterns, &text);
            let redacted = without_borders(redacted);
            let left: Vec<&[u8]> = clear_parts(&redacted).collect();
            let length: usize = left.iter().map(|part| part.len()).sum();
            if left.len() < 2 || length > AROUND {
                faults.push(format!(
                    "{} {}\n  wrote {}\n  left  {}",
                    program.name,
                    program.script,
                    text.escape_ascii(),
                    redacted.escape_ascii()
                ));
            }
            checked += 1;
        }
    }
    println!("{checked} outputs checked, {missing} not, for want of the program");
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    assert!(
        missing == 0 || std::env::var_os("CI").is_none(),
        "install bash, jq, python3, node, xxd"
    );
}

/// As it comes from a pipe, in some pieces.
fn redact(patterns: &Patterns, text: &[u8]) -> Vec<u8> {
    let (mut stream, mut out) = (Stream::new(), Vec::new());
    for chunk in text.chunks(13) {
        stream.push(patterns, chunk, &mut out);
    }
    stream.finish(patterns, &mut out);
    out
}

/// The first and last line of a PEM block are no secret.
fn without_borders(text: Vec<u8>) -> Vec<u8> {
    let mut text = text;
    for border in [&b"-----BEGIN PRIVATE KEY-----"[..], b"-----END PRIVATE KEY-----"] {
        while let Some(at) = text.windows(border.len()).position(|part| part == border) {
            text.drain(at..at + border.len());
        }
    }
    text
}

/// What stands between markers.
fn clear_parts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    const MARKER: &[u8] = b"[REDACTED:KEY]";
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some(at) = text.windows(MARKER.len()).position(|bytes| bytes == MARKER) else {
            return Some(text);
        };
        rest = text.get(at + MARKER.len()..);
        text.get(..at)
    })
}
