//! The JSON Schema of the lines, made from the types that read and write them.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema as _, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::lines::Event;
use crate::request::{Call, Id};

/// The schema: `$defs/Request` is a line that is sent, `$defs/Event` one that
/// is received.
#[must_use]
pub fn json_schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    generator.subschema_for::<Event>();
    let request = request(&mut generator);
    let mut definitions = generator.take_definitions(true);
    definitions.insert("Request".to_owned(), request);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Lines of `strongroom api`",
        "anyOf": [{ "$ref": "#/$defs/Request" }, { "$ref": "#/$defs/Event" }],
        "$defs": definitions,
    })
}

/// A [`Call`] and its id. What has no parameters that are required may leave
/// them out, and nothing else may stand there.
fn request(generator: &mut SchemaGenerator) -> Value {
    let id = generator.subschema_for::<Id>().to_value();
    let mut request = Call::json_schema(generator).to_value();
    let definitions = generator.definitions().clone();
    let calls = request.pointer_mut("/oneOf").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten().filter_map(Value::as_object_mut) {
        let params = call.get("properties").and_then(|p| p.pointer("/params/$ref")?.as_str());
        let name = params.and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        let definition = definitions.get(name).and_then(Value::as_object);
        let optional = definition.is_some_and(|d| !d.contains_key("required"));
        if let Some(properties) = call.get_mut("properties").and_then(Value::as_object_mut) {
            *properties = std::iter::once(("id".to_owned(), id.clone()))
                .chain(std::mem::take(properties))
                .collect::<Map<_, _>>();
        }
        let required =
            if optional { json!(["id", "method"]) } else { json!(["id", "method", "params"]) };
        call.insert("required".to_owned(), required);
        call.insert("additionalProperties".to_owned(), json!(false));
    }
    request
}
