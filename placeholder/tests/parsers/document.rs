//! Documents with placeholders, completed with harmless words or with values.

use strongroom_placeholder::{Error, SecretBuf, Template};

use crate::reader::Leaves;
use crate::values::Random;

/// A document with the placeholders `K0`, `K1`, ….
pub struct Document {
    pub text: Vec<u8>,
    pub file: &'static str,
    /// The filter of each placeholder, where it makes another text.
    filters: Vec<&'static str>,
}

impl Document {
    /// Puts a placeholder with one of the filters, or without, for each `§`.
    /// A file of unknown kind needs a filter.
    pub fn new(
        random: &mut Random,
        text: &str,
        file: &'static str,
        filters: &[&'static str],
    ) -> Self {
        let mut parts = text.split('§');
        let mut out = parts.next().unwrap_or_default().to_owned();
        let mut chosen = Vec::new();
        for (n, part) in parts.enumerate() {
            let any = file == "config" || random.one_in(3);
            let filter = if any { filters[random.below(filters.len())] } else { "" };
            out += &format!("${{credentials.K{n}{filter}}}{part}");
            let transforms = matches!(filter, "|url" | "|form" | "|base64");
            chosen.push(if transforms { filter } else { "" });
        }
        Self { text: out.into_bytes(), file, filters: chosen }
    }

    pub fn parse(&self) -> Result<Template, Error> {
        Template::parse(&self.text, self.file.as_bytes())
    }

    /// How many placeholders it has.
    pub fn count(&self) -> usize {
        self.filters.len()
    }

    /// The leaves with each word replaced by its value.
    pub fn replaced(&self, leaves: &Leaves, values: &[Vec<u8>]) -> Leaves {
        let pairs: Vec<(Vec<u8>, Vec<u8>)> = (self.filters.iter().zip(values).enumerate())
            .map(|(n, (filter, value))| (transformed(filter, &word(n)), transformed(filter, value)))
            .collect();
        leaves.iter().map(|leaf| replaced(leaf, &pairs)).collect()
    }

    pub fn shown(&self) -> String {
        format!("{}:\n{}", self.file, String::from_utf8_lossy(&self.text))
    }
}

fn replaced(leaf: &[u8], pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = leaf;
    while let Some((first, after)) = rest.split_first() {
        if let Some((word, value)) = pairs.iter().find(|(word, _)| rest.starts_with(word)) {
            out.extend_from_slice(value);
            rest = &rest[word.len()..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}

/// What means nothing in any format.
pub fn word(n: usize) -> Vec<u8> {
    format!("Tq{n}kenW").into_bytes()
}

/// The template with `values` for `K0`, `K1`, ….
pub fn render(template: &Template, values: &[Vec<u8>]) -> Result<SecretBuf, Error> {
    template.render(&|key| {
        let number = String::from_utf8(key.as_bytes()[1..].to_vec()).unwrap();
        number.parse::<usize>().ok().and_then(|n| values.get(n)).map(Vec::as_slice)
    })
}

/// What a placeholder with this filter stands for.
pub fn transformed(filter: &str, value: &[u8]) -> Vec<u8> {
    if filter.is_empty() {
        return value.to_vec();
    }
    let text = format!("${{credentials.K0{filter}}}");
    let template = Template::parse(text.as_bytes(), b"").unwrap();
    render(&template, &[value.to_vec()]).unwrap().as_bytes().to_vec()
}
