//! What a model is told: one object, in the shape of the tool's schema, as
//! structured content and as text.

use rmcp::model::CallToolResult;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use strongroom_api::shape::Failure;

/// A request for approval that goes on waiting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pending {
    /// Its number, which the human sees.
    pub approval: u64,
    /// `SR103`.
    pub code: Box<str>,
    /// What to do.
    pub instead: &'static str,
    /// Where a human decides, if that is known.
    pub url: Option<String>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It was done.
    Done(Map<String, Value>),
    /// A human has not answered yet.
    Pending(Pending),
    /// It was not done.
    Denied(Failure),
}

impl Reply {
    /// Fields of a result.
    pub fn done(result: &impl Serialize) -> Self {
        match serde_json::to_value(result) {
            Ok(Value::Object(fields)) => Self::Done(fields),
            // Our own results are objects.
            _ => Self::Done(Map::new()),
        }
    }

    /// Why there are none.
    pub fn failed(failure: Failure, url: Option<&str>) -> Self {
        match failure.approval {
            Some(approval) => Self::Pending(Pending {
                approval,
                code: failure.code,
                instead: failure.instead,
                url: url.map(str::to_owned),
            }),
            None => Self::Denied(failure),
        }
    }

    /// As the protocol has it.
    pub fn result(self, repeated: bool) -> CallToolResult {
        let denied = matches!(self, Self::Denied(_));
        let mut value = match self {
            Self::Done(fields) => Value::Object(fields),
            Self::Pending(pending) => json!({ "pending": pending }),
            Self::Denied(failure) => json!({ "denied": failure }),
        };
        if repeated && let Some(fields) = value.as_object_mut() {
            fields.insert("repeated".to_owned(), Value::Bool(true));
        }
        if denied {
            CallToolResult::structured_error(value)
        } else {
            CallToolResult::structured(value)
        }
    }
}
