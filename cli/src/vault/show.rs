//! What a vault file says in the clear.

use serde::Serialize;
use strongroom_protocol::text::hex;
use strongroom_vault::look::Sight;
use strongroom_vault::{Kind, Slot};

use crate::error::to_json;
use crate::style::Style;

/// For people.
pub fn text(sight: &Sight, style: Style) -> String {
    let mut text = format!(
        "vault      {}\ngeneration {}\n\n{}\n",
        hex(sight.id.as_bytes()),
        sight.generation,
        style.strong("SLOT  OPENED BY   LABEL")
    );
    for (number, slot) in sight.slots.iter().enumerate() {
        text.push_str(&format!("{number:>4}  {:<10}  {}\n", kind(slot), slot.label().as_str()));
    }
    text
}

/// For programs.
pub fn json(sight: &Sight) -> String {
    let slots = sight.slots.iter().enumerate().map(|(number, slot)| SlotJson {
        slot: number,
        opened_by: kind(slot),
        label: slot.label().as_str(),
        argon2id: match slot.kind() {
            Kind::Passphrase(cost) => Some(Argon2id {
                memory_kib: cost.memory_kib(),
                passes: cost.passes(),
                lanes: cost.lanes(),
            }),
            Kind::Key => None,
        },
    });
    to_json(&VaultJson {
        v: 1,
        vault: hex(sight.id.as_bytes()),
        generation: sight.generation,
        slots: slots.collect(),
    }) + "\n"
}

const fn kind(slot: &Slot) -> &'static str {
    match slot.kind() {
        Kind::Passphrase(_) => "passphrase",
        Kind::Key => "key",
    }
}

#[derive(Serialize)]
struct VaultJson<'a> {
    v: u8,
    vault: String,
    generation: u64,
    slots: Vec<SlotJson<'a>>,
}

#[derive(Serialize)]
struct SlotJson<'a> {
    slot: usize,
    opened_by: &'static str,
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    argon2id: Option<Argon2id>,
}

#[derive(Serialize)]
struct Argon2id {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}
