//! Real parsers read back exactly the value, or there is an error; there is
//! never a new key or line.
//!
//! The oracle: what a parser finds in a text with harmless words as values,
//! each word replaced by another value, is what it must find in the text with
//! that other value. So a document may be of any shape, and changed at random.
//!
//! Some thousand texts for each parser; 100,000 with `STRONGROOM_MANY=1`.
//! `STRONGROOM_SEED` makes another run.
// Helpers of tests: a failure here is a failure of the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod document;
mod reader;
mod templates;
mod trial;
mod values;

use std::process::{Command, Stdio};

use document::transformed;
use reader::{Reader, Shell, missing};
use templates::Make;
use trial::{Trial, random, report, wanted};
use values::value;

const PYTHON: &str = "install Python 3.11 or newer";
const PIP: &str = "pip install pyyaml python-dotenv javaproperties";
const NODE: &str = "install Node.js 20.12 or newer";
const LIBPQ: &str = "install libpq5 and Python 3.11 or newer";

/// A parser, and what to try with it.
struct Case {
    program: &'static str,
    parser: &'static str,
    how: &'static str,
    /// The file's name.
    file: &'static str,
    make: Make,
    filters: &'static [&'static str],
}

impl Case {
    fn run(&self) {
        let Some(mut reader) = Reader::start(self.program, self.parser, self.how) else { return };
        let name = format!("{} {}", self.program, self.parser);
        let mut read = |texts: &[Vec<u8>]| texts.iter().map(|text| reader.read(text)).collect();
        let mut trial = Trial::new(self.file, self.filters, &mut read);
        if self.parser == "ini_extended" {
            trial.loud = "!InterpolationSyntaxError";
        }
        trial.documents(self.make);
        trial.end(&name);
        trial.changed_documents(self.make);
        trial.end_of_changed(&name);
    }
}

macro_rules! cases {
    ($($name:ident: $program:literal $parser:literal $how:ident $file:literal $make:ident $filters:expr;)*) => {
        $(
            #[test]
            fn $name() {
                Case {
                    program: $program,
                    parser: $parser,
                    how: $how,
                    file: $file,
                    make: templates::$make,
                    filters: $filters,
                }
                .run();
            }
        )*
    };
}

cases! {
    json_of_python: "python3" "json" PYTHON "x.json" json &["|json", "|url", "|base64"];
    json_of_node: "node" "json" NODE "x.json" json &["|json", "|form"];
    json_by_filter: "python3" "json" PYTHON "config" json &["|json"];
    yaml: "python3" "yaml" PIP "x.yaml" yaml &["|yaml", "|url", "|base64"];
    yaml_of_libyaml: "python3" "libyaml" PIP "x.yml" yaml &["|yaml", "|form"];
    toml: "python3" "toml" PYTHON "x.toml" toml &["|toml", "|url", "|base64"];
    dotenv_of_python: "python3" "dotenv" PIP ".env" dotenv &["|dotenv", "|url", "|base64"];
    dotenv_of_node: "node" "dotenv" NODE ".env" dotenv &["|dotenv", "|url", "|base64"];
    ini: "python3" "ini" PYTHON "x.ini" ini &["|ini", "|base64"];
    ini_without_interpolation: "python3" "ini_raw" PYTHON "x.ini" ini &["|ini", "|base64"];
    ini_with_all_options: "python3" "ini_extended" PYTHON "x.ini" ini &["|ini", "|base64"];
    xml: "python3" "xml" PYTHON "x.xml" xml &["|xml", "|url", "|base64"];
    netrc: "python3" "netrc" PYTHON ".netrc" netrc &["|netrc", "|url", "|base64"];
    pgpass: "python3" "pgpass" LIBPQ ".pgpass" pgpass &["|pgpass", "|url", "|base64"];
    properties: "python3" "properties" PIP "x.properties" properties &["|properties", "|url"];
}

/// A text of one value and nothing else, for filters that need no place.
fn decoded(program: &str, parser: &str, how: &str, filter: &str) {
    let Some(mut reader) = Reader::start(program, parser, how) else { return };
    let mut random = random(parser);
    for _ in 0..wanted() {
        let value = value(&mut random);
        // What Node.js decodes is text.
        if program == "python3" || std::str::from_utf8(&value).is_ok() {
            let found = reader.read(&transformed(filter, &value));
            assert_eq!(found, [[b"bytes ", value.as_slice()].concat()]);
        }
    }
    report(&format!("{program} {parser}: {} values, all exact", wanted()));
}

#[test]
fn url() {
    decoded("python3", "url", PYTHON, "|url");
    decoded("node", "url", NODE, "|url");
}

#[test]
fn form() {
    decoded("python3", "form", PYTHON, "|form");
    decoded("node", "form", NODE, "|form");
}

#[test]
fn base64() {
    decoded("python3", "base64", PYTHON, "|base64");
}

fn in_shell(
    program: &str,
    file: &'static str,
    make: Make,
    filters: &'static [&'static str],
    variables: &'static [&'static str],
) {
    let Some(shell) = Shell::find(program, variables) else {
        return missing(program, "install it");
    };
    let mut read = |texts: &[Vec<u8>]| shell.run(texts);
    let mut trial = Trial::new(file, filters, &mut read);
    // Changed scripts could do anything, so there are none.
    trial.documents(make);
    trial.end(&format!("{program} {file}"));
}

#[test]
fn scripts_in_sh() {
    in_shell("sh", "x.sh", templates::shell, &["|sh", "|url", "|base64"], &["V"]);
}

#[test]
fn scripts_in_bash() {
    in_shell("bash", "x.bash", templates::shell, &["|shell", "|form"], &["V"]);
}

#[test]
fn dotenv_of_sh() {
    in_shell("sh", ".env", templates::dotenv, &["|dotenv", "|url", "|base64"], &["A", "B", "C"]);
}

/// The parsers are asked, not only started.
#[test]
fn a_parser_sees_what_is_wrong() {
    let Some(mut reader) = Reader::start("python3", "json", PYTHON) else { return };
    assert_eq!(reader.read(b"{\"a\": \"b\"}"), [b"map 1".as_slice(), b"text a", b"text b"]);
    assert!(reader.read(b"{\"a\": \"b\"\"}")[0].starts_with(b"!"));
    let shell = Command::new("sh").args(["-c", ":"]).stdin(Stdio::null()).status();
    assert!(shell.is_ok(), "there is a shell everywhere");
    let shell = Shell::find("sh", &["V"]).unwrap();
    assert_eq!(
        shell.run(&[b"V='a b'".to_vec(), Vec::new()]),
        [[b"set a b".to_vec()], [b" ".to_vec()]]
    );
}
