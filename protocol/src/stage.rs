//! The steps of a jail, in order. Each has its own exit status, so that a
//! worker that dies in set-up says where (the idea is systemd's exec-invoke.c).

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

macro_rules! stages {
    ($($name:ident = $code:literal, $doc:literal;)*) => {
        /// One step of setting up a jail. The discriminant is the exit status.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Stage {
            $(#[doc = $doc] $name = $code,)*
        }

        impl Stage {
            /// Every stage, in the order they run.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What the step does.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }
        }
    };
}

stages! {
    Start = 200, "read the plan and take over the inherited descriptors";
    Session = 201, "new session, no controlling terminal";
    CloseFds = 202, "close every descriptor but its own";
    Rlimits = 203, "resource limits";
    Namespaces = 204, "namespaces of its own";
    Mounts = 205, "a root of its own";
    Workspace = 207, "open the workspace and the private folder";
    Ids = 208, "groups and uid, proved irreversible";
    Capabilities = 209, "capabilities to zero, bounding set empty";
    Dumpable = 210, "no core, not dumpable, parent-death signal";
    NoNewPrivs = 211, "no_new_privs";
    Landlock = 212, "a Landlock domain of its own";
    Seccomp = 213, "system-call filters";
    Report = 214, "report to the broker";
    Cwd = 215, "enter the command's folder";
    Exec = 216, "execute the command";
    Supervise = 217, "wait for the command and end what it left";
    Lease = 218, "put the sealed files it may read in their place";
    Program = 219, "find a program that the jail cannot change";
    Examine = 220, "look at the files of a command that a human must decide on";
}

impl Stage {
    /// The exit status of a process that failed in this stage.
    #[must_use]
    pub const fn exit_code(self) -> i32 {
        self as i32
    }

    /// The stage with this exit status.
    #[must_use]
    pub fn from_exit_code(code: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|s| s.exit_code() == code)
    }
}

impl Encode for Stage {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (*self as u8).encode(encoder)
    }
}

impl<C> Decode<C> for Stage {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::from_exit_code(i32::from(u8::decode(decoder)?)).ok_or(DecodeError::Other("stage"))
    }
}

bincode::impl_borrow_decode!(Stage);

/// A step failed: which, and the kernel's errno (0 when it was our own check).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct StageError {
    /// The step.
    pub stage: Stage,
    /// errno(3).
    pub errno: i32,
}
