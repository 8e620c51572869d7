//! What a command is granted, in the form in which its worker gets it: values
//! for its environment, sealed files. Made when its jail is finished, sent at
//! once, wiped.

use std::rc::Rc;

use strongroom_placeholder::SecretBuf;
use strongroom_protocol::channel::w::{Down, Launch};
use strongroom_protocol::codes::Code;
use strongroom_protocol::limits::MAX_PIECE;
use strongroom_protocol::types::{CredentialName, List, SecretBytes, SecretVar};

use crate::log;
use crate::sealed::Sealed;
use crate::session::Session;
use crate::worker::WorkerPort;

/// Everything that is granted to one command.
pub struct Delivery {
    secrets: Vec<SecretVar>,
    files: Vec<(Rc<Sealed>, SecretBuf)>,
}

/// Why a grant did not reach its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undelivered {
    /// The command cannot have it.
    Refused(Code),
    /// The worker is gone.
    Lost,
}

impl Delivery {
    /// Looks the values up.
    ///
    /// # Errors
    /// [`Code::CredentialRefused`] when one is no longer there, or cannot be
    /// delivered as the policy says. The operator is told which.
    pub fn prepare(session: &Session, grant: &[CredentialName]) -> Result<Self, Code> {
        let mut credentials = session.credentials.borrow_mut();
        let mut delivery = Self { secrets: Vec::new(), files: Vec::new() };
        let declared = |name: &CredentialName| session.plan.credential(name);
        for name in grant {
            let value = credentials.value(name).ok_or(Code::CredentialRefused)?;
            if declared(name).is_some_and(|c| c.env) {
                delivery.secrets.push(variable(name, value)?);
            }
        }
        let in_files: Vec<&CredentialName> =
            grant.iter().filter(|name| declared(name).is_some_and(|c| c.file)).collect();
        for sealed in session.sealed.borrow().readable_with(&in_files) {
            let rendered = sealed.template.render(&|name| credentials.value(name));
            let text = rendered.map_err(|e| undeliverable(format_args!("a sealed file: {e}")))?;
            delivery.files.push((sealed, text));
        }
        credentials.note_use(grant);
        Ok(delivery)
    }

    /// Sends the sealed files, and puts the values into the launch.
    ///
    /// # Errors
    /// [`Undelivered::Lost`].
    pub async fn send(self, port: &WorkerPort, mut launch: Launch) -> Result<Launch, Undelivered> {
        for (sealed, text) in &self.files {
            let bytes = text.as_bytes();
            let size = u32::try_from(bytes.len()).map_err(|_| Undelivered::Lost)?;
            let lease = Down::Lease { id: sealed.id, name: sealed.name.clone(), size };
            tell(port, &lease).await?;
            for piece in bytes.chunks(MAX_PIECE) {
                let piece = SecretBytes::new(piece.to_vec()).map_err(|_| Undelivered::Lost)?;
                tell(port, &Down::LeaseBytes { bytes: piece }).await?;
            }
        }
        launch.secrets = List::new(self.secrets).map_err(|_| Undelivered::Lost)?;
        Ok(launch)
    }
}

async fn tell(port: &WorkerPort, message: &Down) -> Result<(), Undelivered> {
    port.send(message, &[]).await.map_err(|_| Undelivered::Lost)
}

fn variable(name: &CredentialName, value: &[u8]) -> Result<SecretVar, Code> {
    if value.contains(&0) {
        let name = name.as_str();
        return Err(undeliverable(format_args!("{name} holds a NUL, which no variable can")));
    }
    match SecretBytes::new(value.to_vec()) {
        Ok(value) => Ok(SecretVar { name: name.clone(), value }),
        Err(_) => {
            let name = name.as_str();
            Err(undeliverable(format_args!("{name} is too long for a variable")))
        }
    }
}

fn undeliverable(why: std::fmt::Arguments<'_>) -> Code {
    log::line(format_args!("{}: {why}", Code::CredentialRefused));
    Code::CredentialRefused
}
