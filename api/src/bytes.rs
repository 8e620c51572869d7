//! Bytes in JSON: a string where they are UTF-8, else an object with their
//! base64. What comes in as either is the same bytes.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use strongroom_audit::base64::{decode, encode};

/// Any bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Wire")]
pub struct Bytes(pub Vec<u8>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string, or {\"base64\": \"…\"}")]
enum Wire {
    Text(String),
    Base64(Encoded),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    base64: String,
}

impl TryFrom<Wire> for Bytes {
    type Error = &'static str;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        match wire {
            Wire::Text(text) => Ok(Self(text.into_bytes())),
            Wire::Base64(Encoded { base64 }) => {
                decode(&base64).map(Self).ok_or("not base64 with padding (RFC 4648 section 4)")
            }
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Encoded { base64: encode(&self.0) }.serialize(serializer),
        }
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Text as a string; bytes that are not UTF-8 as an object with their base64.",
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "base64": { "type": "string", "contentEncoding": "base64" } },
                    "required": ["base64"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (b"\xff\xfe\x00", "//4A"),
        ] {
            assert_eq!(encode(bytes), text);
            assert_eq!(decode(text).unwrap(), bytes);
        }
        for bad in ["Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v=", "====", "Z g=", "Zg==Zg=="]
        {
            assert_eq!(decode(bad), None, "{bad}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)).unwrap(), all);
    }

    #[test]
    fn text_stays_text() {
        let json = |b: &[u8]| serde_json::to_string(&Bytes(b.to_vec())).unwrap();
        assert_eq!(json("a\né".as_bytes()), "\"a\\né\"");
        assert_eq!(json(b"\xff"), r#"{"base64":"/w=="}"#);
        for (text, want) in [(r#""a""#, &b"a"[..]), (r#"{"base64":"/w=="}"#, b"\xff")] {
            assert_eq!(serde_json::from_str::<Bytes>(text).unwrap().0, want);
        }
        for bad in ["1", "null", "{}", r#"{"base64":"x"}"#, r#"{"base64":"","x":1}"#, "[1]"] {
            assert!(serde_json::from_str::<Bytes>(bad).is_err(), "{bad}");
        }
    }
}
