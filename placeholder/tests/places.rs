//! What is written where, and where nothing may be written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;
use strongroom_placeholder::{Problem, Template};

/// `§` is a placeholder without a filter.
fn render(file: &str, text: &str, value: &[u8]) -> Result<String, Problem> {
    let text = text.replace('§', "${credentials.K}");
    let text = Template::parse(text.as_bytes(), file.as_bytes())
        .and_then(|template| template.render(&|_| Some(value)))
        .map_err(|error| error.problem)?;
    Ok(String::from_utf8(text.as_bytes().to_vec()).unwrap())
}

#[track_caller]
fn gives(file: &str, text: &str, value: &str, expected: &str) {
    assert_eq!(render(file, text, value.as_bytes()).as_deref(), Ok(expected), "{file}: {text}");
}

#[track_caller]
fn fails(file: &str, text: &str, value: &str, problem: Problem) {
    assert_eq!(render(file, text, value.as_bytes()), Err(problem), "{file}: {text}");
}

#[test]
fn json() {
    gives(
        "x.json",
        "{\"a\": \"§\"}",
        "q\"\\\n\u{1}é\u{2028}",
        "{\"a\": \"q\\\"\\\\\\n\\u0001é\\u2028\"}",
    );
    gives("x.json", "{\"a\": §}", "1\"", "{\"a\": \"1\\\"\"}");
    gives("x.json", "[ § , 1 ]", "true", "[ \"true\" , 1 ]");
    gives("x.json", "§", "v", "\"v\"");
    gives("x.json", "{// it's \"\n\"a\": §}", "v", "{// it's \"\n\"a\": \"v\"}");
    fails("x.json", "{\"§\": 1}", "v", Problem::InKey);
    fails("x.json", "{§: 1}", "v", Problem::InKey);
    fails("x.json", "{\"a\": 1§}", "v", Problem::Unclear);
    fails("x.json", "{\"a\": \"\\§\"}", "v", Problem::InEscape);
    fails("x.json", "{\"a\": \"\\u00§\"}", "v", Problem::InEscape);
    fails("x.json", "{\"a\": 1} // §\n", "v", Problem::InComment);
    fails("x.json", "{\"a\": \"§", "v", Problem::Unclear);
}

#[test]
fn yaml() {
    gives("x.yaml", "a: §", "no", "a: \"no\"");
    gives("x.yaml", "a: § # it's", "1", "a: \"1\" # it's");
    gives("x.yml", "a: '§'", "it's", "a: 'it''s'");
    gives("x.yml", "a: \"§\"", " \"\n\u{85} ", "a: \"\\x20\\\"\\n\\x85\\x20\"");
    gives("x.yml", "a: Bearer §", "x!y", "a: Bearer x!y");
    gives("x.yml", "a: |\n  token §\n", "x # y", "a: |\n  token x # y\n");
    gives("x.yml", "- §\n- {a: §}\n- [b, '§']", "v", "- \"v\"\n- {a: \"v\"}\n- [b, 'v']");
    gives("x.yml", "a: it's\nb: §", "v", "a: it's\nb: \"v\"");
    gives("x.yml", "a: |\n  it's \"\nb: §", "v", "a: |\n  it's \"\nb: \"v\"");
    fails("x.yml", "a: |\n  §\n", "two\nlines", Problem::Unfit);
    fails("x.yml", "a: '§'", "two\nlines", Problem::Unfit);
    fails("x.yml", "a: Bearer §", "x y", Problem::Unfit);
    fails("x.yml", "a: Bearer §", "x:", Problem::Unfit);
    fails("x.yml", "a: 0x§", "v", Problem::Unclear);
    fails("x.yml", "a: tr§", "v", Problem::Unclear);
    fails("x.yml", "a: §.5", "v", Problem::Unclear);
    fails("x.yml", "a: §\n  more", "v", Problem::Unclear);
    fails("x.yml", "§: a", "v", Problem::InKey);
    fails("x.yml", "{\"§\": a}", "v", Problem::InKey);
    fails("x.yml", "a: 1 # §", "v", Problem::InComment);
    fails("x.yml", "a: \"\\x§\"", "v", Problem::InEscape);
    fails("x.yml", "? a\n: §", "v", Problem::Unclear);
    fails("x.yml", "a: &x§ b", "v", Problem::Unclear);
    fails("x.yml", "# \u{2028}\na: §", "v", Problem::Unclear);
}

#[test]
fn toml() {
    gives("x.toml", "a = §", "\"\\\n\u{7f}", "a = \"\\\"\\\\\\n\\u007F\"");
    gives("x.toml", "a = [ §, '§' ]", "v", "a = [ \"v\", 'v' ]");
    gives("x.toml", "a = \"\"\"\n\\\n  §\"\"\"", " v", "a = \"\"\"\n\\\n  \\u0020v\"\"\"");
    gives("x.toml", "a = '''it's §'''\nb = §", "v", "a = '''it's v'''\nb = \"v\"");
    fails("x.toml", "a = '§'", "it's", Problem::Unfit);
    fails("x.toml", "a = '''§'''", "it's", Problem::Unfit);
    fails("x.toml", "[a.§]", "v", Problem::InKey);
    fails("x.toml", "[a.\"§\"]", "v", Problem::InKey);
    fails("x.toml", "\"§\" = 1", "v", Problem::InKey);
    fails("x.toml", "§ = 1", "v", Problem::InKey);
    fails("x.toml", "a = 1§", "v", Problem::Unclear);
    fails("x.toml", "# §", "v", Problem::InComment);
}

#[test]
fn dotenv() {
    gives(".env", "A=§", "abc/+=%", "A=abc/+=%");
    gives(".env", "A=§", "a b", "A='a b'");
    gives(".env", "A=§", "it's", "A=\"it's\"");
    gives(".env", "A=§ # c", "#", "A='#' # c");
    gives(".env.local", "export A=\"§\"", "two\nlines", "export A=\"two\nlines\"");
    gives("prod.env", "A=https://u:§@h/", "p%40", "A=https://u:p%40@h/");
    fails(".env", "A=§", "it's \"$x\"", Problem::Unfit);
    fails(".env", "A=§", "${HOME}", Problem::Unfit);
    fails(".env", "A='§'", "a\\\\b", Problem::Unfit);
    fails(".env", "A='§{b}'", "a$", Problem::Unfit);
    fails(".env", "A=§", "a\rb", Problem::Unfit);
    fails(".env", "A=x§", "a b", Problem::Unfit);
    fails(".env", "A=§#c", "v", Problem::Unclear);
    fails(".env", "A='§'b", "v", Problem::Unclear);
    fails(".env", "A='§", "v", Problem::Unclear);
    fails(".env", "§=1", "v", Problem::InKey);
    fails(".env", "# §", "v", Problem::InComment);
}

#[test]
fn shell() {
    gives("x.sh", "A=§", "it's $x", "A='it'\\''s $x'");
    gives("x.sh", "A='§'", "it's", "A='it'\\''s'");
    gives("x.sh", "A=\"§\"", "\"$x`\\'!", "A=\"\\\"\\$x\\`\\\\'!\"");
    gives(".envrc", "A=$(f \"§\" '§')", "a'b", "A=$(f \"a'b\" 'a'\\''b')");
    gives("x.sh", "cat <<EOF\n§ \"\nEOF\nA=§", "$x'", "cat <<EOF\n\\$x' \"\nEOF\nA='$x'\\'''");
    gives("x.sh", "cat <<'EOF'\n§:\nEOF\n", "$x", "cat <<'EOF'\n$x:\nEOF\n");
    gives("x.sh", "# it's\nA=§", "v", "# it's\nA='v'");
    gives("x.sh", "a \\\n# it's\nA=§", "v", "a \\\n# it's\nA='v'");
    gives("x.sh", "A=$(# it's\n) B=§", "v", "A=$(# it's\n) B='v'");
    fails("x.sh", "cat <<EOF\n§\nEOF\n", "v", Problem::Unclear);
    fails("x.sh", "cat <<-EOF\n\tE§\n\tEOF\n", "v", Problem::Unclear);
    fails("x.sh", "cat <<EOF\n-§\nEOF\n", "two\nlines", Problem::Unfit);
    fails("x.sh", "cat <<§\na\n", "v", Problem::Unclear);
    fails("x.sh", "cat <<EOF\n$(f '§')\nEOF\n", "v", Problem::Unclear);
    fails("x.sh", "cat <<EOF\n-§\n", "v", Problem::Unclear);
    fails("x.sh", "A=§", "\0", Problem::Unfit);
    fails("x.sh", "A=${B:-§}", "v", Problem::Unclear);
    fails("x.sh", "A=${B:-\"§\"}", "v", Problem::Unclear);
    fails("x.sh", "A=`f §`", "v", Problem::Unclear);
    fails("x.sh", "A=$'§'", "v", Problem::Unclear);
    fails("x.sh", "A=$((1+§))", "v", Problem::Unclear);
    fails("x.sh", "A=\\§", "v", Problem::InEscape);
    fails("x.sh", "A=1 # §", "v", Problem::InComment);
    fails("x.sh", "A=$(case x in x) echo \"§\";; esac)", "v", Problem::Unclear);
    fails("x.sh", "A=§ B='", "v", Problem::Unclear);
}

#[test]
fn xml() {
    let written = "&lt;&quot;&amp;&#39;&#10;&#9;&#233;";
    gives("x.xml", "<a b=\"§\"/>", "<\"&'\n\té", &format!("<a b=\"{written}\"/>"));
    gives("x.xml", "<a>§</a>", "<\"&'\n\té", &format!("<a>{written}</a>"));
    gives("x.xml", "<!-- ' --><a>§</a>", "v", "<!-- ' --><a>v</a>");
    fails("x.xml", "<a>§</a>", "\u{1}", Problem::Unfit);
    fails("x.xml", "<!-- § -->", "v", Problem::InComment);
    fails("x.xml", "<a>&§;</a>", "v", Problem::InEscape);
    fails("x.xml", "<a §=\"\"/>", "v", Problem::Unclear);
    fails("x.xml", "<a b=§/>", "v", Problem::Unclear);
    fails("x.xml", "<![CDATA[§]]>", "v", Problem::Unclear);
    fails("x.xml", "<!DOCTYPE a [<!ENTITY b '§'>]>", "v", Problem::Unclear);
}

#[test]
fn ini_and_properties() {
    gives("x.ini", "[a]\nb = x§y", "p=q:r", "[a]\nb = xp=q:ry");
    gives("x.ini", "[a]\nb =\n  §", "[x]", "[a]\nb =\n  [x]");
    for value in ["a%b", "a\nb", " a", "a ", "#a", "a ;b", "\"a\"", "a${b}", "a\\"] {
        fails("x.ini", "[a]\nb = §", value, Problem::Unfit);
    }
    fails("x.ini", "[§]", "v", Problem::InKey);
    fails("x.ini", "[a]\n§ = b", "v", Problem::InKey);
    fails("x.ini", "; §", "v", Problem::InComment);
    gives("x.properties", "a=§", " =\n\\é😀", "a=\\ \\=\\n\\\\\\u00E9\\uD83D\\uDE00");
    gives("x.properties", "a = b \\\n  §", "v", "a = b \\\n  v");
    fails("x.properties", "§=a", "v", Problem::InKey);
    fails("x.properties", "# §", "v", Problem::InComment);
    fails("x.properties", "a=\\u00§", "v", Problem::InEscape);
}

#[test]
fn netrc_and_pgpass() {
    gives(".netrc", "machine h login l password §", "p#q", "machine h login l password p#q");
    for value in ["a b", "\"a", "a\\b", "#a", "é", "a\nb"] {
        fails("_netrc", "password §", value, Problem::Unfit);
    }
    fails(".netrc", "# §", "v", Problem::InComment);
    fails(".netrc", "password \"§\"", "v", Problem::Unclear);
    fails(".netrc", "macdef x\n§\n\n", "v", Problem::Unclear);
    gives(".pgpass", "h:1:d:u:§", "a:b\\c", "h:1:d:u:a\\:b\\\\c");
    for value in ["a\nb", "*", "a\0"] {
        fails(".pgpass", "h:1:d:u:§", value, Problem::Unfit);
    }
    fails(".pgpass", "# §", "v", Problem::InComment);
    fails(".pgpass", "§:1:d:u:p", "v", Problem::Unclear);
    fails(".pgpass", "h:1:d:u:\\§", "v", Problem::InEscape);
}

#[test]
fn a_file_of_unknown_kind() {
    gives("nginx.conf", "a '§' b", "abc_DEF-1.2", "a 'abc_DEF-1.2' b");
    for value in ["a b", "a/b", "a\"", "a:b", "é", "\n"] {
        fails("nginx.conf", "a '§' b", value, Problem::NeedsFilter);
    }
    gives(
        "notes",
        "x = ${credentials.K|json}; \"${credentials.K|json}\"",
        "a\"",
        "x = \"a\\\"\"; \"a\\\"\"",
    );
    gives("notes", "https://u:${credentials.K|url}@h", "p@ss", "https://u:p%40ss@h");
    gives("notes", "${credentials.K|raw}", "\n\"", "\n\"");
}

#[test]
fn what_a_transformation_makes_is_written_for_its_place() {
    // Base 64 of a value may look like a number.
    gives("x.yaml", "a: ${credentials.K|base64}", "\u{d7}\u{6d}\u{78}", "a: \"w5dteA==\"");
    gives("x.yaml", "a: ${credentials.K|base64}", "\u{b}\u{2}\u{5}", "a: \"CwIF\"");
    gives("x.toml", "a = 'x${credentials.K|form}'", "a b", "a = 'xa+b'");
    gives("x.sh", "curl u:${credentials.K|url}@h", "a'b", "curl u:'a%27b'@h");
    gives("x.properties", "a=${credentials.K|base64}", "a", "a=YQ\\=\\=");
}

#[test]
fn a_filter_for_another_format_must_be_harmless_in_this_one() {
    gives("x.sh", "f '{\"a\": \"${credentials.K|json}\"}'", "a\"b", "f '{\"a\": \"a\\\"b\"}'");
    fails("x.sh", "f '{\"a\": \"${credentials.K|json}\"}'", "it's", Problem::NeedsBoth);
    fails("x.sh", "f \"${credentials.K|json}\"", "a\"b", Problem::NeedsBoth);
    gives(".env", "A=${credentials.K|pgpass}", "v", "A=v");
    fails(".env", "A=${credentials.K|pgpass}", "a:b", Problem::NeedsBoth);
    fails(".env", "# ${credentials.K|pgpass}", "v", Problem::InComment);
}

/// What real parsers have found; see `parsers`.
#[test]
fn findings() {
    // White space other than a space before a comment.
    fails("x.ini", "[a]\nb = §", "a\u{a0};", Problem::Unfit);
    // A carriage return alone ends a line for Python.
    fails("x.ini", "[a]\nb = c\r§", "v", Problem::Unclear);
    fails(".env", "A=b\r§", "v", Problem::Unclear);
    // A tab next to a value belongs to it for Node.js.
    fails(".env", "A=\t'§'", "v", Problem::Unclear);
    fails(".env", "A=§\t", "v", Problem::Unclear);
    fails(".env", "A=§ \t# c", "v", Problem::Unclear);
    // Quotes after what is no key to some readers.
    fails(".env", "A/='b\nC=§'", "v", Problem::Unclear);
    fails(".env", "A: 'b\nC=§\n'", "v", Problem::Unclear);
    // Quotes without an end are none to some readers.
    fails(".env", "A='b\nc §", "v", Problem::Unclear);
    // libyaml takes any `?` in a flow collection as an indicator.
    fails("x.yml", "a: {?\"b\":§}", "v", Problem::Unclear);
    // A value at the left margin could be the end of the document.
    fails("x.yml", "a: \"b\n§ c\"", "...", Problem::Unclear);
    // Parsers differ on what an anchor may be called.
    fails("x.yml", "&a:b §", "v", Problem::Unclear);
    // In YAML 1.2 this is a plain scalar.
    fails("x.yml", "{a: :\"§\"}", "v", Problem::Unclear);
    // PyYAML takes text in quotes for null after a lone `!`.
    fails("x.yml", "[!\n §]", "null", Problem::Unclear);
    // A line less deep than the first is none of the block scalar.
    fails("x.yml", "a: |\n  b\n : §", "`id`", Problem::Unclear);
    // A collection that is a key after all.
    fails("x.yml", "{a: §}: b", "v", Problem::Unclear);
    fails("x.yml", "{a: b, §}", "v", Problem::InKey);
    fails("x.yml", "{[§, c], a: b}", "v", Problem::InKey);
    fails("x.yml", "[[§, c]: b]", "v", Problem::InKey);
    gives("x.yml", "[{a: [§], b: c}, §]", "v", "[{a: [\"v\"], b: c}, \"v\"]");
    // See `shell::write`.
    fails("x.sh", "cat <<'EOF'\n§ \nEOF\n", "Eé", Problem::Unfit);
}

/// Control characters that XML 1.0 has no way to write.
fn xml_has(text: &str) -> bool {
    !text.contains(|c| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}'))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn formats_with_escapes_refuse_nothing_else(
        value in prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..40),
            "\\PC{1,20}".prop_map(String::into_bytes),
            any::<String>().prop_filter("a value", |s| !s.is_empty()).prop_map(String::into_bytes),
        ]
    ) {
        let utf8 = std::str::from_utf8(&value);
        for (file, text, fits) in [
            ("x.json", "§", utf8.is_ok()),
            ("x.json", "\"§\"", utf8.is_ok()),
            ("x.yaml", "§", utf8.is_ok()),
            ("x.yaml", "\"§\"", utf8.is_ok()),
            ("x.toml", "a = §", utf8.is_ok()),
            ("x.toml", "a = \"\"\"§\"\"\"", utf8.is_ok()),
            ("x.properties", "a=§", utf8.is_ok()),
            ("x.xml", "<a>§</a>", utf8.is_ok_and(xml_has)),
            ("x.sh", "§", !value.contains(&0)),
            ("x.sh", "'§'", !value.contains(&0)),
            ("x.sh", "\"§\"", !value.contains(&0)),
            ("x.sh", "${credentials.K|url}", true),
            ("x.yaml", "'${credentials.K|base64}'", true),
        ] {
            let text = text.replace('§', "${credentials.K}");
            let template = Template::parse(text.as_bytes(), file.as_bytes()).unwrap();
            let rendered = template.render(&|_| Some(&value));
            prop_assert_eq!(rendered.is_ok(), fits, "{} {}", file, text);
        }
    }
}
