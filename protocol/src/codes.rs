//! The closed set of codes. `docs/errors.md` and `strongroom explain` come
//! from this table; a denial is built from a row and nothing else, so it can
//! say nothing about keys, rules or paths the agent may not know.

use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::{Decode, Encode, enc::Encoder, error::EncodeError};

/// Exit statuses of `strongroom` (design.md section 10).
pub mod exit {
    /// Something was looked for and found: an audit log that was tampered with.
    pub const FOUND: i32 = 1;
    /// Internal error, or the broker was lost.
    pub const INTERNAL: i32 = 70;
    /// An approval was asked for and nobody answered in time.
    pub const APPROVAL_TIMEOUT: i32 = 75;
    /// A peer broke the protocol.
    pub const PROTOCOL: i32 = 76;
    /// Policy refuses.
    pub const DENIED: i32 = 77;
    /// Configuration, or a floor that this place cannot meet.
    pub const CONFIG: i32 = 78;
    /// The command ran out of time.
    pub const TIMEOUT: i32 = 124;
    /// Strongroom failed; the command did not run or its end is unknown.
    pub const OWN_FAILURE: i32 = 125;
    /// The command cannot be executed.
    pub const CANNOT_EXECUTE: i32 = 126;
    /// The command was not found.
    pub const NOT_FOUND: i32 = 127;
    /// Added to a signal's number.
    pub const SIGNALLED: i32 = 128;
}

/// May asking help?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// No: change the request.
    No,
    /// A human may allow it.
    Human,
    /// Try again later, unchanged.
    Later,
    /// The operator can change the policy or the place.
    Operator,
}

impl Ask {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Human => "human",
            Self::Later => "later",
            Self::Operator => "operator",
        }
    }
}

/// One row: what people and agents are told.
#[derive(Debug)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// Exit status of the client.
    pub exit: i32,
    /// What was refused or what happened.
    pub what: &'static str,
    /// What is allowed instead, or what to do.
    pub instead: &'static str,
    /// May asking help?
    pub ask: Ask,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $exit:expr, $ask:ident, $what:literal, $instead:literal;)*) => {
        /// A code of the closed set, shown as `SRnnn`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Code { $(#[doc = $what] $name = $number,)* }

        /// Every code, in order.
        pub const TABLE: &[Entry] = &[
            $(Entry { code: Code::$name, exit: $exit, what: $what, instead: $instead, ask: Ask::$ask },)*
        ];

        impl Code {
            /// The code's row.
            #[must_use]
            pub const fn entry(self) -> &'static Entry {
                match self {
                    $(Self::$name => &Entry { code: Code::$name, exit: $exit, what: $what, instead: $instead, ask: Ask::$ask },)*
                }
            }

            /// The code with this number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    RuleDenies = 101, exit::DENIED, No,
        "policy refuses this command",
        "use another command for the same end; the operator decides what is allowed";
    NoRule = 102, exit::DENIED, Operator,
        "no rule of the policy allows this command",
        "run a command the policy names, or ask the operator for a rule";
    NeedsApproval = 103, exit::DENIED, Human,
        "this needs the approval of a human, who is asked; it has not come yet",
        "make the same request again: once it is approved, that one is let through";
    RuleNotForThis = 104, exit::DENIED, No,
        "the rule asked for does not apply to this command",
        "leave --rule out and let the policy choose";
    CredentialRefused = 105, exit::DENIED, Operator,
        "a credential this command needs, or asked for, is not available to it",
        "ask a human to enter it (`strongroom credentials request NAME --reason TEXT`), or leave --cred out";
    ProgramChangeable = 106, exit::DENIED, Operator,
        "this command's program can be changed from inside the sandbox, so it gets no credential",
        "run the system's own program by its name";
    RateLimited = 110, exit::DENIED, Later,
        "too many commands in a short time",
        "wait a few seconds and try again";
    SessionCommands = 111, exit::DENIED, Operator,
        "this session has run all the commands it may",
        "ask the operator to start a new session or to raise the limit";
    TooManyAtOnce = 112, exit::DENIED, Later,
        "too many commands are running at once",
        "wait for one to end";
    SessionCpu = 113, exit::DENIED, Operator,
        "this session has used all the processor time it may",
        "ask the operator to start a new session or to raise the limit";
    CwdOutside = 120, exit::DENIED, No,
        "the working folder is not inside the workspace",
        "give a folder of the workspace, or leave it out";
    CwdUnusable = 121, exit::DENIED, No,
        "the working folder does not exist in the workspace or cannot be entered",
        "give a folder that exists, or leave it out";
    RequestTooBig = 130, exit::DENIED, No,
        "the arguments and environment together are over 64 KiB",
        "pass long input by a file or on standard input";
    BadRequest = 131, exit::DENIED, No,
        "a field of the request is not valid",
        "see the command's help";
    BadTimeout = 132, exit::DENIED, No,
        "the time asked for is zero or longer than the policy allows",
        "ask for less, or leave it out";
    BadPath = 133, exit::DENIED, No,
        "this path cannot be written: it is outside the workspace, protected, inside .git, or not a plain file",
        "give a path in the workspace whose folders exist and are no links";
    WriteFailed = 134, exit::OWN_FAILURE, Operator,
        "the file could not be written; nothing was changed",
        "look at the mode and the free space of its folder";
    BadPlaceholder = 135, exit::DENIED, No,
        "a placeholder in the content cannot be filled in, so nothing was written",
        "see the place it names; `|raw` takes the value as it is, `$${` writes the text itself";
    NotSealed = 136, exit::DENIED, No,
        "there is no sealed file of this session at this path",
        "read it as any other file";
    PlainRefused = 137, exit::DENIED, No,
        "real values of this credential are not written into the workspace",
        "write it sealed, which is the default: commands that are granted the credential can read it";
    NoLeases = 138, exit::DENIED, Operator,
        "sealed files are not available in this session",
        "ask the operator for a credential that is delivered as `file`";
    TooManyFiles = 139, exit::DENIED, Operator,
        "this session holds as many sealed files, or as many bytes of them, as it may",
        "put what belongs together into one file, or write over one that is no longer needed";
    ShuttingDown = 140, exit::DENIED, No,
        "the session is ending",
        "nothing more can be run";
    UnknownCommand = 141, exit::DENIED, No,
        "there is no such running command of yours",
        "it may have ended already";
    ApprovalDenied = 150, exit::DENIED, No,
        "a human was asked and said no",
        "do not ask again for the same; find another way, or say why it is needed";
    ApprovalTimedOut = 151, exit::APPROVAL_TIMEOUT, Later,
        "a human was asked and did not answer in time",
        "ask again when somebody is there";
    ApprovalChanged = 152, exit::DENIED, Human,
        "a file of this command is not what a human approved, so it did not run",
        "leave the files alone and ask again";
    TooManyAsked = 153, exit::DENIED, Later,
        "as many requests wait for a human as may",
        "wait until some of them are decided";
    CoolingDown = 154, exit::DENIED, Later,
        "humans refused several requests in a row, so none is asked for a while",
        "go on with what needs no approval";
    AlreadyAsked = 155, exit::DENIED, Later,
        "the same request waits for a human already",
        "wait for the answer to it";
    NotExaminable = 156, exit::DENIED, Operator,
        "a file of this command cannot be read, so no human can be asked to approve it",
        "run a program that can be read, of at most 256 MiB";
    WallTime = 201, exit::TIMEOUT, Operator,
        "the command ran out of time and was ended",
        "do less at once, or ask the operator to raise the limit `wall`";
    CpuTime = 202, exit::TIMEOUT, Operator,
        "the command used up its processor time and was ended",
        "do less at once, or ask the operator to raise the limit `cpu`";
    Memory = 203, exit::SIGNALLED + 9, Operator,
        "the command used up its memory and was ended",
        "do less at once, or ask the operator to raise the limit `memory`";
    Processes = 204, exit::SIGNALLED + 9, Operator,
        "the command started too many processes and was ended",
        "run fewer at once, or ask the operator to raise the limit `processes`";
    OutputCut = 205, 0, Operator,
        "the output was longer than allowed and is cut here; the command went on",
        "write long output to a file in the workspace";
    Disk = 206, exit::SIGNALLED + 9, Operator,
        "the command filled its private folder and was ended",
        "write large files to the workspace";
    TooManyMasks = 207, 0, Operator,
        "the session's output held more secret values than allowed, so the rest of this output is withheld",
        "do not print secrets; ask the operator to start a new session";
    ValueMasked = 208, 0, Operator,
        "a secret's value was in the output and was masked",
        "do not print secrets; the audit log says how often, and of which command";
    ProtectedName = 210, 0, Operator,
        "the command created or changed a name the policy protects; what it created was moved aside, to NAME.undone-N",
        "leave that name alone; where the tier has no mounts, look at what was changed before you use it";
    NotFound = 301, exit::NOT_FOUND, No,
        "the command was not found",
        "check the name; only programs of the system and the workspace can be run";
    CannotExecute = 302, exit::CANNOT_EXECUTE, No,
        "the command was found but cannot be executed",
        "check that it is a program and its mode";
    JailFailed = 401, exit::OWN_FAILURE, Operator,
        "a step of the jail failed, so the command did not run",
        "the operator finds the step in the log; run `strongroom doctor`";
    WorkerLost = 402, exit::OWN_FAILURE, Later,
        "the command's worker was lost; the command was ended",
        "try again; tell the operator if it happens again";
    RecordRefused = 403, exit::OWN_FAILURE, Operator,
        "the audit log cannot be written, so the command did not run",
        "the operator must make room or repair the disk";
    Internal = 404, exit::OWN_FAILURE, Operator,
        "strongroom failed inside",
        "tell the operator";
    Protocol = 501, exit::PROTOCOL, No,
        "a message broke the protocol; the connection is closed",
        "use a client of the same version";
    Version = 502, exit::PROTOCOL, No,
        "client and broker do not speak the same version",
        "use the client that came with this broker";
    NoSession = 503, exit::OWN_FAILURE, No,
        "there is no session here to talk to",
        "start one with `strongroom run -- AGENT`";
    BrokerLost = 601, exit::INTERNAL, Operator,
        "the broker ended, so everything was ended",
        "start again; the log says what was running";
    Killed = 602, exit::SIGNALLED + 9, Operator,
        "the operator ended this command",
        "ask the operator";
    ClientGone = 603, exit::SIGNALLED + 9, No,
        "the client that asked for this command went away, so the command was ended",
        "keep the client running until the command has ended";
    Revoked = 604, exit::SIGNALLED + 9, Operator,
        "the operator revoked a credential this command held, so it was ended",
        "ask the operator";
    NotOperator = 610, exit::DENIED, No,
        "this verb is the operator's",
        "run it outside the session, as the user who started it";
    UnknownCredential = 611, exit::DENIED, No,
        "there is no such credential",
        "`strongroom credentials list` shows those there are";
    BadValue = 612, exit::DENIED, No,
        "this value is empty, longer than 64 KiB, or so short or simple that hiding it in output would not work",
        "give a longer one; `--force` takes a short one, which is then not hidden everywhere";
    BadCredentialName = 613, exit::DENIED, No,
        "this cannot be the name of a credential",
        "A-Z, 0-9 and `_`, no digit first, 128 at most, and no variable that steers programs, such as LD_PRELOAD";
    UnknownApproval = 614, exit::DENIED, No,
        "there is no such request for approval, or it is over",
        "`strongroom approvals list` shows those that wait";
    OtherBytes = 615, exit::DENIED, No,
        "the decision is for other bytes than those that wait",
        "look at the request again, then decide";
    AlreadyVoted = 616, exit::DENIED, No,
        "you have approved this already; others must",
        "ask another approver";
    ApproverOnly = 617, exit::DENIED, No,
        "this is the operator's; an approver decides, and can end everything",
        "use the operator's token";
    PolicyInvalid = 701, exit::CONFIG, Operator,
        "the policy file is not valid",
        "see the message; `strongroom policy check FILE` shows it again";
    PolicyUnsafe = 702, exit::CONFIG, Operator,
        "the policy file or a folder above it can be written by the sandbox",
        "give it to root (or to the user who starts strongroom) and take the write bits away";
    PolicyInexpressible = 703, exit::CONFIG, Operator,
        "the policy asks for what cannot be enforced in this tier",
        "see the message for the reason and the way to write it";
    FloorNotMet = 704, exit::CONFIG, Operator,
        "this place offers less than the policy's floor",
        "`strongroom doctor` says what is missing and how to get it";
    NoTier = 705, exit::CONFIG, Operator,
        "this kernel or container lacks what the lowest tier needs",
        "`strongroom doctor` says what is missing and how to get it";
    WorkspaceUnusable = 706, exit::CONFIG, Operator,
        "the workspace cannot be used",
        "see the message for what is wrong with it";
    StateUnusable = 707, exit::CONFIG, Operator,
        "the state folder cannot be used",
        "see the message for what is wrong with it, or give another with --state";
    StateBusy = 708, exit::CONFIG, Operator,
        "another supervisor uses this state folder",
        "stop it, or give another folder with --state";
    InstallBroken = 709, exit::CONFIG, Operator,
        "a program of strongroom is missing or is not of this version",
        "install all programs together, beside `strongroom` or in ../lib/strongroom";
    StartFailed = 710, exit::CONFIG, Operator,
        "a process could not be started or locked down",
        "see the message; `strongroom doctor` may say more";
    SecretInEnvironment = 711, exit::CONFIG, Operator,
        "the start environment cannot be used as it is",
        "see the message";
    VaultLocked = 720, exit::CONFIG, Operator,
        "the vault cannot be opened with the key given, or no key was given",
        "give the key file or passphrase of one of its slots (`strongroom vault slots` lists them)";
    VaultDamaged = 721, exit::CONFIG, Operator,
        "the vault file is damaged",
        "`strongroom vault restore` puts a backup, or the previous file, in its place";
    VaultOlder = 722, exit::CONFIG, Operator,
        "the vault file is older than the audit log has seen: an older file was put back",
        "find out who did; `strongroom vault accept` takes it as it is, on the record";
    VaultBusy = 723, exit::CONFIG, Operator,
        "another process uses the vault",
        "stop it first";
    NoVault = 724, exit::CONFIG, Operator,
        "there is no vault in this state folder",
        "make one: `strongroom vault init`";
    VaultUnwritable = 725, exit::OWN_FAILURE, Operator,
        "the vault could not be written; it is as it was before",
        "make room or repair the disk, then try again";
    VaultFull = 726, exit::DENIED, Operator,
        "the vault, or the memory for it, is full",
        "delete credentials that are no longer needed";
    VaultExists = 727, exit::CONFIG, Operator,
        "there is a vault in this state folder already",
        "use it, or another state folder";
    WitnessUnusable = 730, exit::CONFIG, Operator,
        "the audit log's witness cannot be opened",
        "see the message; `[audit] witness` in the policy names it";
    LogTampered = 801, exit::FOUND, Operator,
        "the audit log is not what was written",
        "see the findings; keep the folder as it is, and look at what can still be trusted";
    LogDisagrees = 802, exit::FOUND, Operator,
        "the broker's and the supervisor's accounts in the audit log differ",
        "see the differences: something ran without a decision, or a decision lost its outcome";
    LogUnreadable = 803, exit::CONFIG, Operator,
        "the audit log cannot be read",
        "run it as the user who starts strongroom, and name the state folder with --state";
}

impl Code {
    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SR{:03}", self.number())
    }
}

impl std::str::FromStr for Code {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        let digits = s.strip_prefix("SR").or_else(|| s.strip_prefix("sr")).unwrap_or(s);
        digits.parse().ok().and_then(Self::from_number).ok_or(())
    }
}

impl Encode for Code {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.number().encode(encoder)
    }
}

impl<C> Decode<C> for Code {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::from_number(u16::decode(decoder)?).ok_or(DecodeError::Other("code"))
    }
}

bincode::impl_borrow_decode!(Code);
