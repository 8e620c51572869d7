//! As much of JSON Schema as our own schema uses; a keyword it does not know
//! is a fault, so that nothing is left unchecked.

use serde_json::Value;

/// Whether a value is what a schema says; else why not.
pub fn conforms(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Value::Object(rules) = schema else {
        return match schema {
            Value::Bool(true) => Ok(()),
            _ => Err(format!("nothing may stand here: {value}")),
        };
    };
    for (keyword, rule) in rules {
        check(root, schema, keyword, rule, value).map_err(|why| format!("{why}\n in {value}"))?;
    }
    Ok(())
}

fn check(
    root: &Value,
    schema: &Value,
    keyword: &str,
    rule: &Value,
    value: &Value,
) -> Result<(), String> {
    let ok = match keyword {
        "$schema" | "title" | "description" | "$defs" | "default" | "format"
        | "contentEncoding" => true,
        "$ref" => {
            let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
            return conforms(root, root.pointer(pointer).unwrap(), value);
        }
        "anyOf" | "oneOf" => {
            let results: Vec<_> =
                rule.as_array().unwrap().iter().map(|s| conforms(root, s, value)).collect();
            let fit = results.iter().filter(|r| r.is_ok()).count();
            if fit == 0 {
                let why: Vec<String> = results.into_iter().filter_map(Result::err).collect();
                return Err(format!("none fits: {why:#?}"));
            }
            keyword == "anyOf" || fit == 1
        }
        "allOf" => {
            return rule.as_array().unwrap().iter().try_for_each(|s| conforms(root, s, value));
        }
        "type" => match rule {
            Value::Array(types) => types.iter().any(|t| is(t, value)),
            one => is(one, value),
        },
        "const" => rule == value,
        "enum" => rule.as_array().unwrap().contains(value),
        "required" => {
            let Value::Object(object) = value else { return Ok(()) };
            rule.as_array().unwrap().iter().all(|name| object.contains_key(name.as_str().unwrap()))
        }
        "properties" => {
            let Value::Object(object) = value else { return Ok(()) };
            let known = rule.as_object().unwrap();
            return known
                .iter()
                .filter_map(|(name, s)| object.get(name).map(|v| (s, v)))
                .try_for_each(|(s, v)| conforms(root, s, v));
        }
        "additionalProperties" => {
            assert_eq!(rule, &Value::Bool(false));
            let Value::Object(object) = value else { return Ok(()) };
            let known = schema.get("properties").and_then(Value::as_object);
            object.keys().all(|name| known.is_some_and(|k| k.contains_key(name)))
        }
        "items" => {
            let Value::Array(list) = value else { return Ok(()) };
            return list.iter().try_for_each(|v| conforms(root, rule, v));
        }
        "minItems" => value.as_array().is_none_or(|v| v.len() as u64 >= rule.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|v| v.len() as u64 <= rule.as_u64().unwrap()),
        "maxLength" => value.as_str().is_none_or(|v| v.len() as u64 <= rule.as_u64().unwrap()),
        "minimum" => value.as_f64().is_none_or(|v| v >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|v| v <= rule.as_f64().unwrap()),
        // Of ours there is one, for names of credentials.
        "pattern" => {
            assert_eq!(rule, "^[A-Z_][A-Z0-9_]{0,127}$");
            value
                .as_str()
                .is_none_or(|v| strongroom_protocol::types::CredentialName::new(v).is_ok())
        }
        other => return Err(format!("the schema has {other}, which this test does not know")),
    };
    if ok { Ok(()) } else { Err(format!("not {keyword} {rule}")) }
}

fn is(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("type {other}"),
    }
}
