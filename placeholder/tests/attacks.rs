//! Hostile texts and values: K41 to K45 of the attack list.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::cell::Cell;

use strongroom_placeholder::{FILTERS, MAX_TEXT, Problem, Template};

const CANARY: &[u8] = b"canary-7f3a\"'\n$(id) \xff\0 canary";

fn render(text: &str, file: &str, value: &[u8]) -> Result<Vec<u8>, strongroom_placeholder::Error> {
    let template = Template::parse(text.as_bytes(), file.as_bytes())?;
    template.render(&|_| Some(value)).map(|text| text.as_bytes().to_vec())
}

#[test]
fn k41_a_file_name_is_no_content() {
    let template = Template::parse(b"text", b"${credentials.K}.json").unwrap();
    assert_eq!(template.keys().count(), 0);
}

#[test]
fn k42_a_value_is_never_looked_at() {
    let value = b"${credentials.B}$${credentials.A|raw}";
    assert_eq!(render("${credentials.A|raw}", "", value).unwrap(), value);
    let in_json = render("\"${credentials.A}\"", "x.json", value).unwrap();
    assert_eq!(in_json, [b"\"", value.as_slice(), b"\""].concat());
    // Two values that make a placeholder together.
    let template = Template::parse(b"${credentials.A|raw}${credentials.B|raw}", b"").unwrap();
    let halves = template.render(&|key| match key.as_bytes() {
        b"A" => Some(b"${credentials"),
        _ => Some(b".C}"),
    });
    assert_eq!(halves.unwrap().as_bytes(), b"${credentials.C}");
}

#[test]
fn k42_nesting_is_text() {
    for (text, expected) in [
        ("${credentials.${credentials.X}}", "${credentials.v}"),
        ("${credentials.${X}}", "${credentials.${X}}"),
        ("$$${credentials.X}", "$${credentials.X}"),
        ("${ credentials.X }", "${ credentials.X }"),
    ] {
        assert_eq!(render(text, "", b"v").unwrap(), expected.as_bytes(), "{text}");
    }
    let deep = "${credentials.".repeat(10_000) + "K" + &"}".repeat(10_000);
    let inner = deep.replace("${credentials.K}", "v");
    assert_eq!(render(&deep, "", b"v").unwrap(), inner.as_bytes());
}

#[test]
fn k44_the_result_is_bounded_before_there_is_memory_for_it() {
    let text = "${credentials.K|raw}\n".repeat(1000);
    let value = vec![b'v'; 64 * 1024];
    let error = render(&text, "", &value).unwrap_err();
    assert_eq!((error.problem, error.key), (Problem::ResultTooLong, None));
    // The largest there may be, and one more byte.
    let rest = |n: usize| "x".repeat(MAX_TEXT - n) + "${credentials.K|raw}";
    assert_eq!(render(&rest(value.len()), "", &value).unwrap().len(), MAX_TEXT);
    assert!(render(&rest(value.len() - 1), "", &value).is_err());
    // Escapes count as what they become.
    let text = "[".to_owned() + &"${credentials.K},".repeat(999) + "1]";
    let quotes = vec![1; 16 * 1024];
    assert_eq!(render(&text, "x.json", &quotes).unwrap_err().problem, Problem::ResultTooLong);
    assert_eq!(
        render("${credentials.K|base64}", "", &vec![0; MAX_TEXT + 1]).unwrap_err().problem,
        Problem::ResultTooLong
    );
    let error = Template::parse(&vec![b'x'; MAX_TEXT + 1], b"").unwrap_err();
    assert_eq!(error.problem, Problem::TextTooLong);
}

#[test]
fn k45_all_or_nothing() {
    let text = b"A=${credentials.A}\nB=${credentials.B}\n";
    let template = Template::parse(text, b".env").unwrap();
    let asked = Cell::new(0);
    let error = template
        .render(&|key| {
            asked.set(asked.get() + 1);
            (key.as_bytes() == b"A").then_some(b"value".as_slice())
        })
        .unwrap_err();
    assert_eq!((error.problem, error.line, error.column), (Problem::NoValue, 2, 3));
    assert_eq!(
        (error.key.unwrap().as_bytes(), error.context, asked.get()),
        (b"B".as_slice(), "dotenv", 2)
    );
    // An empty value is none.
    assert_eq!(template.render(&|_| Some(b"")).unwrap_err().problem, Problem::NoValue);
    // The second value does not fit.
    let both = template.render(&|key| Some(if key.as_bytes() == b"A" { b"a" } else { b"${X}" }));
    let error = both.unwrap_err();
    assert_eq!((error.problem, error.line), (Problem::Unfit, 2));
}

#[test]
fn nothing_shows_a_value() {
    let template = Template::parse(b"${credentials.K|raw}", b"").unwrap();
    let rendered = template.render(&|_| Some(CANARY)).unwrap();
    let shown = format!("{template:?} {rendered:?}");
    assert!(!shown.contains("canary") && !shown.contains(&CANARY.len().to_string()), "{shown}");
}

#[test]
fn an_error_tells_the_place_and_nothing_of_the_value() {
    let long = [CANARY, &[b'x'; 1000]].concat();
    for row in FILTERS {
        for file in ["", ".env", "x.json", "x.ini", "x.sh"] {
            for text in ["\n  \"${credentials.KEY|F}\"", "\nK = ${credentials.KEY|F}"] {
                let text = text.replace('F', row.name);
                let error = |value| render(&text, file, value).err();
                let (short, long) = (error(CANARY), error(&long));
                assert_eq!(short, long, "{} in {file} depends on the value", row.name);
                if let Some(error) = short {
                    assert!(!error.to_string().contains("canary"), "{error}");
                    assert_eq!((error.key.unwrap().as_bytes(), error.line), (b"KEY".as_slice(), 2));
                }
            }
        }
    }
}

#[test]
fn an_error_reads_well() {
    let error = render("\nK='${credentials.TOKEN}'", ".env", b"it's").unwrap_err();
    let expected = "line 2, column 4: TOKEN (dotenv): the value holds something that cannot be \
                    written in single quotes in this format; double quotes, or none, may do";
    assert_eq!(error.to_string(), expected);
    let error = Template::parse(&vec![b'x'; MAX_TEXT + 1], b"").unwrap_err();
    assert_eq!(error.to_string(), "the text is too long");
}

#[test]
fn the_work_on_a_hostile_text_is_bounded() {
    // Each has something for a lexer to look ahead or back for, many times.
    const SIZE: usize = 64 * 1024;
    let blanks = " ".repeat(SIZE / 1000);
    let start = std::time::Instant::now();
    for file in [
        "x.json",
        "x.yaml",
        "x.toml",
        ".env",
        "x.sh",
        "x.xml",
        "x.ini",
        ".netrc",
        ".pgpass",
        "x.properties",
    ] {
        for unit in [
            format!("${{credentials.K}}{blanks}"),
            format!("- ${{credentials.K}}{blanks}\n"),
            format!("'\"{blanks}${{credentials.K}}"),
            format!("[${{credentials.K}},{blanks}"),
        ] {
            let text = unit.repeat(999);
            let _ = Template::parse(text.as_bytes(), file.as_bytes());
        }
        for byte in ["$", "`", "<", "\\", "\"", "#", "[", "- ", "a: ", "<<A\n", "&", "$(", "{\"\":"]
        {
            let text = byte.repeat(SIZE / byte.len()) + "${credentials.K}";
            let _ = Template::parse(text.as_bytes(), file.as_bytes());
        }
    }
    // 170 texts of 64 KiB. Quadratic work on a few of them takes longer.
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}
