//! One file per channel, one enum per direction. Beside each enum stands one
//! table, and the table *is* the dispatch: [`Gate::admit`] looks a packet up
//! in it before a byte of the body is decoded. What is not in the table ends
//! the session; there is no resynchronising.

use bincode::{Decode, Encode};

use crate::codec::{self, WireError};

pub mod a;
pub mod o;
pub mod r;
pub mod s;
pub mod w;
pub mod z;

/// How often a message may come on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// Once in the life of the connection.
    Once,
    /// So many a second, and as many at once.
    PerSecond(u32),
    /// As often as the peer likes: it is one of ours, or it waits for answers.
    Unbounded,
}

/// One row of a channel's table.
#[derive(Debug)]
pub struct Row<S: 'static> {
    /// First four bytes of the packet, little-endian.
    pub tag: u32,
    /// The variant's name.
    pub name: &'static str,
    /// States in which it may come.
    pub from: &'static [S],
    /// The state after it; `None`: no change.
    pub to: Option<S>,
    /// Descriptors that come with it, exactly.
    pub fds: usize,
    /// How often.
    pub budget: Budget,
    /// What it is for.
    pub doc: &'static str,
    /// Its fields in the order of the wire, as declared.
    pub fields: &'static str,
}

/// One direction of one channel.
pub trait Direction: 'static {
    /// The enum.
    type Message: Encode + Decode<()>;
    /// The states of the receiving end.
    type State: Copy + Eq + std::fmt::Debug + 'static;
    /// The channel's letter.
    const CHANNEL: &'static str;
    /// Who sends.
    const FROM: &'static str;
    /// Who receives.
    const TO: &'static str;
    /// The first state.
    const START: Self::State;
    /// Every state.
    const STATES: &'static [Self::State];
    /// The dispatch.
    const TABLE: &'static [Row<Self::State>];

    /// Index of the variant, which is its row's tag.
    fn tag(message: &Self::Message) -> u32;
}

/// Why a packet ends the session. Carries nothing of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// The kernel cut the packet or its descriptors.
    Truncated,
    /// No message has this tag in this direction.
    UnknownKind,
    /// A message that may not come in this state.
    OutOfState,
    /// Not the number of descriptors the table has.
    WrongFds,
    /// More often than the table allows.
    OverBudget,
    /// The body is not the encoding of the message.
    Body(WireError),
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Truncated => f.write_str("truncated packet"),
            Self::UnknownKind => f.write_str("unknown kind of message"),
            Self::OutOfState => f.write_str("message out of state"),
            Self::WrongFds => f.write_str("wrong number of descriptors"),
            Self::OverBudget => f.write_str("message over its budget"),
            Self::Body(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Violation {}

/// What one packet is worth, counted in thousandths so that a slow trickle
/// earns its way back.
#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    count: u64,
    debt_milli: u64,
    at_ms: u64,
}

/// The receiving end of one direction: its state, its budgets.
#[derive(Debug)]
pub struct Gate<D: Direction> {
    state: D::State,
    spent: Vec<Spent>,
}

impl<D: Direction> Default for Gate<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Direction> Gate<D> {
    /// A gate in the first state.
    #[must_use]
    pub fn new() -> Self {
        Self { state: D::START, spent: vec![Spent::default(); D::TABLE.len()] }
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> D::State {
        self.state
    }

    /// Looks a packet up in the table and decodes it.
    ///
    /// `fds` is the number of descriptors that came with it, `now_ms` any
    /// monotonic clock in milliseconds.
    ///
    /// # Errors
    /// A [`Violation`]: close the connection.
    pub fn admit(
        &mut self,
        packet: &[u8],
        fds: usize,
        now_ms: u64,
    ) -> Result<D::Message, Violation> {
        let tag = packet
            .first_chunk::<4>()
            .map(|b| u32::from_le_bytes(*b))
            .ok_or(Violation::Body(WireError::Malformed))?;
        let (row, spent) = D::TABLE
            .iter()
            .zip(self.spent.iter_mut())
            .find(|(row, _)| row.tag == tag)
            .ok_or(Violation::UnknownKind)?;
        if !row.from.contains(&self.state) {
            return Err(Violation::OutOfState);
        }
        if row.fds != fds {
            return Err(Violation::WrongFds);
        }
        spend(row.budget, spent, now_ms)?;
        let message = codec::decode(packet).map_err(Violation::Body)?;
        if let Some(next) = row.to {
            self.state = next;
        }
        Ok(message)
    }
}

fn spend(budget: Budget, spent: &mut Spent, now_ms: u64) -> Result<(), Violation> {
    let over = match budget {
        Budget::Unbounded => false,
        Budget::Once => spent.count > 0,
        Budget::PerSecond(rate) => {
            let earned = now_ms.saturating_sub(spent.at_ms).saturating_mul(u64::from(rate));
            spent.debt_milli = spent.debt_milli.saturating_sub(earned).saturating_add(1000);
            spent.debt_milli > u64::from(rate).saturating_mul(1000)
        }
    };
    spent.at_ms = now_ms;
    spent.count = spent.count.saturating_add(1);
    if over { Err(Violation::OverBudget) } else { Ok(()) }
}

/// Declares one direction: the enum, its state machine and its table, from
/// one list, so that they cannot drift apart.
macro_rules! direction {
    (
        $(#[$doc:meta])*
        $marker:ident, $message:ident, channel $channel:literal, $from:literal => $to:literal,
        states $state:ident { $first:ident $(, $other:ident)* },
        $(
            $(#[doc = $vdoc:tt])+
            $variant:ident $({ $($body:tt)* })?
                = $tag:literal, in [$($when:ident),*] $(=> $next:ident)?, fds $fds:literal, $budget:expr;
        )*
    ) => {
        $(#[$doc])*
        // Bodies are passed on as raw tokens, and the derive comes with the
        // call: bincode's derive cannot read the invisible groups that `$ty:ty`
        // leaves, nor bind names across a macro's hygiene.
        pub enum $message {
            $($(#[doc = $vdoc])+ $variant $({ $($body)* })?,)*
        }

        #[doc = concat!("States of the end that receives [`", stringify!($message), "`].")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum $state { $first $(, $other)* }

        #[doc = concat!("The direction of [`", stringify!($message), "`].")]
        #[derive(Debug)]
        pub struct $marker;

        impl $crate::channel::Direction for $marker {
            type Message = $message;
            type State = $state;
            const CHANNEL: &'static str = $channel;
            const FROM: &'static str = $from;
            const TO: &'static str = $to;
            const START: $state = $state::$first;
            const STATES: &'static [$state] = &[$state::$first $(, $state::$other)*];
            const TABLE: &'static [$crate::channel::Row<$state>] = &[
                $($crate::channel::Row {
                    tag: $tag,
                    name: stringify!($variant),
                    from: &[$($state::$when),*],
                    to: $crate::channel::direction!(@next $state $($next)?),
                    fds: $fds,
                    budget: $budget,
                    doc: concat!($($vdoc),+),
                    fields: stringify!($($($body)*)?),
                },)*
            ];

            fn tag(message: &$message) -> u32 {
                match message { $($message::$variant { .. } => $tag,)* }
            }
        }
    };
    (@next $state:ident) => { None };
    (@next $state:ident $next:ident) => { Some($state::$next) };
}
pub(crate) use direction;
