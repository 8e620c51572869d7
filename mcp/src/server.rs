//! The protocol's side: which tools there are, and one call of one.

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use serde::de::DeserializeOwned;
use serde_json::Value;
use strongroom_api::bytes::Bytes;
use strongroom_api::job::{self, Handle, Job, bad};
use strongroom_api::request;
use strongroom_api::shape::{Ended, Failure, Result as Shape};
use strongroom_protocol::codes::Code;
use tokio::sync::Semaphore;

use crate::announce;
use crate::call::{self, Finished};
use crate::once::{self, Key, MAX_KEY, Once};
use crate::reply::Reply;
use crate::tools::{self, KEY, Listed, Ran};

/// Calls in flight.
pub const MAX_IN_FLIGHT: usize = 32;

/// In the metadata of a request: its name, as the argument of that name.
const KEY_IN_META: &str = "strongroom/idempotency-key";

/// Milliseconds to wait for a human. Clients give up on a call after a minute.
const PATIENCE_MS: u64 = 30_000;

/// Bytes of each output stream, unless others are asked for; and the bounds.
const OUTPUT: usize = 32 * 1024;
const MIN_OUTPUT: usize = 1024;
const MAX_OUTPUT: usize = 256 * 1024;

/// Records of the log.
const RECORDS: u16 = 50;
const MAX_RECORDS: u16 = 256;

/// Credentials that are listed.
const MAX_LISTED: usize = 256;

const INSTRUCTIONS: &str = "Commands run in jails of their own, by the operator's policy. Secrets are never shown: \
write ${credentials.NAME} in a file, or name the credential a command needs. Where something is denied, do what \
`instead` says; `explain` tells more about a code. Where `pending` is set, a human has not decided yet: make the \
same call again later.";

/// The server.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tools: Vec<Tool>,
    once: Once,
    room: Semaphore,
    inbox: Option<String>,
}

/// A call whose arguments are what its tool takes.
enum Ask {
    Job((Job, Handle), usize),
    Explain(request::Explain),
}

impl Server {
    /// Nothing is called yet.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            tools: tools::all(),
            once: Once::default(),
            room: Semaphore::new(MAX_IN_FLIGHT),
            inbox: announce::inbox(),
        }))
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut this = Implementation::new("strongroom", env!("CARGO_PKG_VERSION"));
        this.title = Some("Strongroom".to_owned());
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(this)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.0.tools.clone()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.0.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = self.get_tool(&request.name) else {
            return Err(ErrorData::invalid_params("there is no such tool", None));
        };
        // In a task of its own: what is begun is brought to its end, and its
        // end is known, though nobody waits for it.
        let inner = Arc::clone(&self.0);
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let task = tokio::spawn(async move { inner.once(&tool, arguments, &context).await });
        match task.await {
            Ok((reply, repeated)) => Ok(reply.result(repeated).into()),
            Err(_) => Err(ErrorData::internal_error("strongroom failed inside", None)),
        }
    }
}

impl Inner {
    /// The reply, and whether it is an earlier call's.
    async fn once(
        &self,
        tool: &Tool,
        mut arguments: Value,
        context: &RequestContext<RoleServer>,
    ) -> (Reply, bool) {
        let named = tool.input_schema.get("properties").is_some_and(|p| p.get(KEY).is_some());
        let key = if named { key(&mut arguments, context) } else { Ok(None) };
        let tool = &*tool.name;
        let key = match key {
            Ok(None) => return (self.perform(tool, arguments, context).await.0, false),
            Ok(Some(key)) => key,
            Err(failure) => return (Reply::Denied(failure), false),
        };
        loop {
            match self.once.claim(&key, tool, &arguments) {
                Key::New(claim) => {
                    let (reply, done) = self.perform(tool, arguments, context).await;
                    self.once.settle(claim, Some(&reply).filter(|_| done));
                    return (reply, false);
                }
                Key::Again(state) => {
                    if let Some(reply) = once::end(state).await {
                        return (reply, true);
                    }
                }
                Key::Other => {
                    let failure = bad("idempotency_key: it stands for another call");
                    return (Reply::Denied(failure), false);
                }
            }
        }
    }

    /// The reply, and whether anything was done.
    async fn perform(
        &self,
        tool: &str,
        arguments: Value,
        context: &RequestContext<RoleServer>,
    ) -> (Reply, bool) {
        let Ok(_room) = self.room.try_acquire() else {
            let failure = Failure::new(Code::TooManyAtOnce, "32 calls are in flight");
            return (Reply::Denied(failure), false);
        };
        let inbox = self.inbox.as_deref();
        match ask(tool, arguments) {
            Ok(Ask::Job(made, most)) => {
                reply(call::perform(made, most, inbox, context).await, inbox)
            }
            Ok(Ask::Explain(params)) => match job::explain(&params) {
                Ok(explained) => (Reply::done(&explained), true),
                Err(failure) => (Reply::Denied(failure), false),
            },
            Err(failure) => (Reply::Denied(failure), false),
        }
    }
}

/// Takes the key out of a call. The metadata is for clients that retry by
/// themselves, the argument for models.
fn key(
    arguments: &mut Value,
    context: &RequestContext<RoleServer>,
) -> Result<Option<String>, Failure> {
    let argument = arguments.as_object_mut().and_then(|a| a.remove(KEY));
    let given =
        argument.filter(|v| !v.is_null()).or_else(|| context.meta.0.get(KEY_IN_META).cloned());
    match given {
        None => Ok(None),
        Some(Value::String(key)) if (1..=MAX_KEY).contains(&key.len()) => Ok(Some(key)),
        Some(_) => Err(bad("idempotency_key: a string of 1 to 128 bytes")),
    }
}

fn ask(tool: &str, arguments: Value) -> Result<Ask, Failure> {
    let job = match tool {
        "run_command" => {
            let params: tools::RunCommand = params(arguments)?;
            let most = params.max_output_bytes.unwrap_or(OUTPUT);
            if !(MIN_OUTPUT..=MAX_OUTPUT).contains(&most) {
                return Err(bad("max_output_bytes: 1024 to 262144"));
            }
            let text = |text: String| Bytes(text.into_bytes());
            let run = Job::run(request::RunCommand {
                argv: params.argv.into_iter().map(text).collect(),
                cwd: params.cwd.map(text),
                rule: None,
                timeout_ms: params.timeout_ms,
                credentials: params.credentials,
                reason: params.reason,
                patience_ms: Some(params.patience_ms.unwrap_or(PATIENCE_MS)),
                stdin: params.stdin.map(text),
                keep_stdin_open: false,
            });
            return run.map(|made| Ask::Job(made, most));
        }
        "write_file" => {
            let params: tools::WriteFile = params(arguments)?;
            Job::write(request::WriteFile {
                path: Bytes(params.path.into_bytes()),
                content: Bytes(params.content.into_bytes()),
                mode: params.mode.as_deref().map(mode).transpose()?,
                plain: false,
                reason: params.reason,
                patience_ms: Some(params.patience_ms.unwrap_or(PATIENCE_MS)),
            })
        }
        "list_credentials" => {
            let tools::ListCredentials {} = params(arguments)?;
            Job::credentials()
        }
        "request_credential" => Job::request_credential(params(arguments)?),
        "request_approval" => {
            let asked: request::RequestApproval = params(arguments)?;
            let patience_ms = Some(asked.patience_ms.unwrap_or(PATIENCE_MS));
            Job::approval(request::RequestApproval { patience_ms, ..asked })
        }
        "read_log" => {
            let params: tools::ReadLog = params(arguments)?;
            let limit = params.limit.unwrap_or(RECORDS);
            if !(1..=MAX_RECORDS).contains(&limit) {
                return Err(bad("limit: 1 to 256"));
            }
            Job::log(request::ReadLog {
                after: params.after,
                since_ms: 0,
                level: params.level,
                pattern: params.pattern,
                limit: Some(limit),
            })
        }
        _ => {
            let tools::Explain { code } = params(arguments)?;
            return Ok(Ask::Explain(request::Explain { code: Some(code) }));
        }
    };
    job.map(|made| Ask::Job(made, OUTPUT))
}

fn params<T: DeserializeOwned>(arguments: Value) -> Result<T, Failure> {
    serde_json::from_value(arguments).map_err(|e| bad(&e.to_string()))
}

fn mode(text: &str) -> Result<u16, Failure> {
    match u16::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(mode),
        _ => Err(bad("mode: three octal digits, such as \"640\"")),
    }
}

fn reply(finished: Finished, inbox: Option<&str>) -> (Reply, bool) {
    let Finished { done, started, stdout, stderr } = finished;
    match done {
        Ok(Shape::Ended(ended)) => {
            let Ended { how, account } = *ended;
            let (stdout, stderr) = (stdout.shown(), stderr.shown());
            let ran = Ran {
                how,
                truncated: stdout.truncated || stderr.truncated || account.output_cut,
                lossy: stdout.lossy || stderr.lossy,
                stdout: stdout.text,
                stderr: stderr.text,
                masked: account.masked,
                withheld: account.withheld,
                protected: account.protected,
            };
            (Reply::done(&ran), true)
        }
        Ok(Shape::Credentials(all)) => {
            let mut credentials = all.credentials;
            let truncated = credentials.len() > MAX_LISTED;
            credentials.truncate(MAX_LISTED);
            (Reply::done(&Listed { credentials, truncated }), true)
        }
        Ok(other) => (Reply::done(&other), true),
        Err(failure) => (Reply::failed(failure, inbox), started),
    }
}
