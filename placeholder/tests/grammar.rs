//! The grammar, compared with a slow and obvious one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;
use strongroom_placeholder::{MAX_NEAR_MISSES, MAX_PLACEHOLDERS, Problem, Template};

fn rendered(text: &str) -> String {
    let template = Template::parse(text.as_bytes(), b"").unwrap();
    let text = template.render(&|_| Some(b"VALUE")).unwrap();
    String::from_utf8(text.as_bytes().to_vec()).unwrap()
}

#[test]
fn exactly_this_is_a_placeholder() {
    for (text, expected) in [
        ("", ""),
        ("${credentials.K}", "VALUE"),
        ("a${credentials._}b", "aVALUEb"),
        ("${credentials.A_1}${credentials.B|raw}", "VALUEVALUE"),
        ("${credentials.K|url}", "VALUE"),
        ("{${credentials.K}}", "{VALUE}"),
        ("$$${credentials.K}", "$${credentials.K}"),
        ("$ ${credentials.K}", "$ VALUE"),
        ("$${credentials.K}", "${credentials.K}"),
        ("$${credentials.K|json}", "${credentials.K|json}"),
        ("$${credentials.K|no such filter}", "${credentials.K|no such filter}"),
        ("$${credentials.k}", "$${credentials.k}"),
        ("$${credentials.K}${credentials.K}", "${credentials.K}VALUE"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn everything_else_is_text() {
    let long = format!("${{credentials.{}}}", "K".repeat(129));
    for text in [
        "$",
        "${",
        "${credentials.",
        "${credentials.}",
        "${credentials.K",
        "${credentials.1K}",
        "${credentials.k}",
        "${credentials.K }",
        "${credentials. K}",
        "${ credentials.K}",
        "${credential.K}",
        "${Credentials.K}",
        "${credentials.K.L}",
        "${credentials.KÉ}",
        "${credentials.K|",
        "${credentials.K|json",
        "${credentials.K|js\non}",
        "$\0{credentials.K}",
        "$(credentials.K)",
        "{credentials.K}",
        &long,
    ] {
        assert_eq!(rendered(text), text, "{text}");
    }
    assert_eq!(rendered(&long.replacen('K', "", 1)), "VALUE");
}

#[test]
fn an_unknown_filter_is_an_error_at_its_place() {
    for text in ["JSON", "", " json", "json ", "json|url", "x-y", "é"] {
        let text = format!("a\n\r\n  b${{credentials.KEY|{text}}}");
        let error = Template::parse(text.as_bytes(), b"x.json").unwrap_err();
        assert_eq!((error.problem, error.line, error.column), (Problem::UnknownFilter, 3, 4));
        assert_eq!((error.key.unwrap().as_bytes(), error.context), (b"KEY".as_slice(), "filter"));
    }
}

#[test]
fn near_misses_are_text_and_reported() {
    for near in [
        "${credential.KEY}",
        "${credentials.key}",
        "${ credentials.KEY }",
        "${CREDENTIALS.KEY}",
        "${credentials:KEY}",
        "${credentials_KEY}",
        "${credentials[KEY]}",
        "$credentials.KEY",
        "$(credentials.KEY)",
        "${{ credentials.KEY }}",
        "${credentials.KEY |json}",
        "$${credentials.key}",
    ] {
        let text = format!("x\nab{near} ${{credentials.K}}");
        let template = Template::parse(text.as_bytes(), b"").unwrap();
        let column = if near.starts_with("$$") { 4 } else { 3 };
        assert_eq!(template.near_misses().collect::<Vec<_>>(), [(2, column)], "{near}");
        assert_eq!(rendered(&text), text.replace("${credentials.K}", "VALUE"));
    }
    for other in
        ["${HOME}", "$credentials", "$credentials->x", "{{credentials.x}}", "credentials.K"]
    {
        let template = Template::parse(other.as_bytes(), b"").unwrap();
        assert_eq!(template.near_misses().count(), 0, "{other}");
    }
    let many = "${credential.K}".repeat(MAX_NEAR_MISSES + 1);
    let template = Template::parse(many.as_bytes(), b"").unwrap();
    assert_eq!(template.near_misses().count(), MAX_NEAR_MISSES);
}

#[test]
fn the_number_of_placeholders_and_escapes_is_bounded() {
    let at_most = "${credentials.K}$${credentials.K}".repeat(MAX_PLACEHOLDERS / 2);
    assert!(Template::parse(at_most.as_bytes(), b"").is_ok());
    for more in ["${credentials.K}", "$${credentials.K}"] {
        let error = Template::parse((at_most.clone() + more).as_bytes(), b"").unwrap_err();
        assert_eq!((error.problem, error.key), (Problem::TooMany, None));
    }
}

#[test]
fn keys_are_distinct_and_sorted_and_places_are_in_order() {
    let text = b"${credentials.B}\n ${credentials.A}${credentials.B|raw}";
    let template = Template::parse(text, b"").unwrap();
    let keys: Vec<&[u8]> = template.keys().map(|key| key.as_bytes()).collect();
    assert_eq!(keys, [b"A", b"B"]);
    let places: Vec<_> = template.places().map(|(k, l, c)| (k.as_bytes(), l, c)).collect();
    let (a, b): (&[u8], &[u8]) = (b"A", b"B");
    assert_eq!(places, [(b, 1, 1), (a, 2, 2), (b, 2, 18)]);
    assert_eq!(template.logical(), text);
}

/// The same grammar, one byte at a time.
fn slowly(text: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if let Some((length, _)) = text[at..].strip_prefix(b"$").and_then(form) {
            out.extend_from_slice(&text[at + 1..at + 1 + length]);
            at += 1 + length;
        } else if let Some((length, filter)) = form(&text[at..]) {
            match filter.as_deref() {
                None | Some(b"raw" | b"url" | b"form") => out.extend_from_slice(b"VALUE"),
                Some(b"base64") => out.extend_from_slice(b"VkFMVUU="),
                Some(_) => return Err(Problem::UnknownFilter),
            }
            at += length;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    Ok(out)
}

/// How long the placeholder at the start is, and its filter.
fn form(text: &[u8]) -> Option<(usize, Option<Vec<u8>>)> {
    let end = text.iter().position(|b| *b == b'}')?;
    let inner = text[..end].strip_prefix(b"${credentials.")?;
    let (key, filter) = match inner.iter().position(|b| *b == b'|') {
        Some(bar) => (&inner[..bar], Some(inner[bar + 1..].to_vec())),
        None => (inner, None),
    };
    let letters = |b: &u8| b.is_ascii_uppercase() || *b == b'_';
    let good = key.first().is_some_and(letters)
        && key.iter().all(|b| letters(b) || b.is_ascii_digit())
        && key.len() <= 128
        && filter.as_ref().is_none_or(|f| f.len() < 64 && !f.iter().any(|b| b"{\n".contains(b)));
    good.then_some((end + 1, filter))
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("$"),
        Just("${"),
        Just("{"),
        Just("}"),
        Just("credentials"),
        Just("."),
        Just("KEY"),
        Just("_0"),
        Just("9"),
        Just("k"),
        Just("|"),
        Just("|raw"),
        Just("|base64"),
        Just("|nope"),
        Just(" "),
        Just("\n"),
        Just("é"),
        Just("${credentials."),
        Just("${credentials.A}"),
        Just("${credentials.B|url}"),
        Just("$${credentials.C}"),
        Just("credential"),
    ];
    let bytes = prop_oneof![
        9 => piece.prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ];
    proptest::collection::vec(bytes, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_grammar_is_the_obvious_one(text in pieces()) {
        match (Template::parse(&text, b""), slowly(&text)) {
            (Ok(template), Ok(expected)) => {
                prop_assert_eq!(template.logical(), text.as_slice());
                let rendered = template.render(&|_| Some(b"VALUE")).unwrap();
                prop_assert_eq!(rendered.as_bytes(), expected.as_slice());
            }
            (Err(error), Err(problem)) => prop_assert_eq!(error.problem, problem),
            (found, expected) => prop_assert!(false, "{:?} is not {:?}", found, expected),
        }
    }
}
