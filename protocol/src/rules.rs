//! The matcher: which rule of the plan a command falls under.
//!
//! Rules are routing and questions, **not a boundary**. They choose a jail and
//! decide whether a human is asked; they do not stop a program that wants to
//! do something else, because whoever chooses argv chooses what it means: a
//! shell, a copied binary, an interpreter or a tool with a `--exec` option
//! does what it likes under any name. What holds is the jail of the profile
//! the rule leads to, so the weakest profile an agent can reach by any rule is
//! the one to think about.
//!
//! Deny beats ask beats allow; among equals the first in the file. Where the
//! text is unclear the matcher leans to the careful side: a deny or ask rule
//! for `git` catches every path that ends in `/git`, an allow rule only the
//! name itself and the system's program folders.

use crate::codes::Code;
use crate::plan::{Action, Pattern, PatternKind, Rule};
use crate::types::{Arg, Argv, Name};

/// The folders in which an allow rule for a bare name also accepts a path:
/// the ones a system keeps its programs in. Compared as text.
pub const PROGRAM_FOLDERS: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What is done with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'p> {
    /// The rule's action.
    pub action: Action,
    /// The rule.
    pub rule: &'p Rule,
    /// Its place in the plan.
    pub index: u16,
}

/// Finds the rule a command falls under. With `wanted` (`exec --rule R`) the
/// caller picks one of the allow or ask rules that match; it cannot pick its
/// way past a matching rule that is stronger.
///
/// # Errors
/// [`Code::NoRule`] when none matches, [`Code::RuleNotForThis`] when the
/// wanted one does not (or does not exist: the two look the same).
pub fn decide<'p>(
    rules: &'p [Rule],
    argv: &Argv,
    wanted: Option<&Name>,
) -> Result<Decision<'p>, Code> {
    let mut best: Option<Decision<'p>> = None;
    let mut picked: Option<Decision<'p>> = None;
    for (index, rule) in (0..=u16::MAX).zip(rules) {
        if !matches(rule, argv) {
            continue;
        }
        let this = Decision { action: rule.action, rule, index };
        if best.is_none_or(|b| this.action > b.action) {
            best = Some(this);
        }
        if picked.is_none() && wanted == Some(&rule.name) {
            picked = Some(this);
        }
    }
    match (best, picked, wanted) {
        (Some(best), _, None) => Ok(best),
        (Some(best), _, _) if best.action == Action::Deny => Ok(best),
        (Some(best), Some(picked), _) if picked.action < best.action => Ok(best),
        (Some(_), Some(picked), _) => Ok(picked),
        (_, None, Some(_)) => Err(Code::RuleNotForThis),
        (None, _, _) => Err(Code::NoRule),
    }
}

/// Whether a rule's pattern covers a command, whatever its action then says.
#[must_use]
pub fn matches(rule: &Rule, argv: &Argv) -> bool {
    let (fixed, open_end) = match rule.pattern.split_last() {
        Some((last, head)) if last.kind == PatternKind::Rest => (head, true),
        _ => (rule.pattern.as_slice(), false),
    };
    let args = argv.as_slice();
    let length_fits = if open_end { args.len() >= fixed.len() } else { args.len() == fixed.len() };
    length_fits
        && fixed.iter().zip(args).enumerate().all(|(place, (pattern, arg))| {
            if place == 0 {
                program(pattern, rule.action, arg.as_bytes())
            } else {
                argument(pattern, arg)
            }
        })
}

fn argument(pattern: &Pattern, arg: &Arg) -> bool {
    text(pattern, arg.as_bytes())
}

/// Compares without regard to where in argv the bytes stand.
fn text(pattern: &Pattern, bytes: &[u8]) -> bool {
    match pattern.kind {
        PatternKind::Literal => pattern.text.as_bytes() == bytes,
        PatternKind::Glob => glob(pattern.text.as_bytes(), bytes),
        PatternKind::Any => true,
        // Only the last element may be `...`, and the caller took that off.
        PatternKind::Rest => false,
    }
}

fn program(pattern: &Pattern, action: Action, argv0: &[u8]) -> bool {
    if pattern.kind == PatternKind::Any {
        return true;
    }
    let allow = action == Action::Allow;
    let wanted = pattern.text.as_bytes();
    if wanted.contains(&b'/') {
        // `/opt/*/x` must not reach `/opt/../tmp/x`: where a `*` stands in the
        // path of an allow rule, it stays within one folder name.
        let loose = pattern.kind == PatternKind::Glob && allow;
        return text(pattern, argv0)
            && (!loose || (slashes(wanted) == slashes(argv0) && normal(argv0)));
    }
    match split_path(argv0) {
        None => text(pattern, argv0),
        Some((folder, name)) => text(pattern, name) && (!allow || system_folder(folder)),
    }
}

/// The folder and the last component of a name with a `/` in it.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().rposition(|b| *b == b'/')?;
    let (folder, rest) = path.split_at_checked(slash)?;
    Some((folder, rest.get(1..)?))
}

fn system_folder(folder: &[u8]) -> bool {
    PROGRAM_FOLDERS.iter().any(|known| known.as_bytes() == folder)
}

fn slashes(path: &[u8]) -> usize {
    path.iter().filter(|b| **b == b'/').count()
}

/// No empty, `.` or `..` component after the first.
fn normal(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').skip(1).all(|part| !matches!(part, b"" | b"." | b".."))
}

/// Whether `bytes` fit a pattern in which each `*` stands for any bytes.
/// Taking the leftmost place for each piece is enough, so nothing is ever
/// tried twice: the time is linear in `bytes` and in the pattern.
#[must_use]
pub fn glob(pattern: &[u8], bytes: &[u8]) -> bool {
    let mut pieces = pattern.split(|b| *b == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(last) = pieces.next_back() else {
        return first == bytes;
    };
    let Some(mut middle) = bytes.strip_prefix(first).and_then(|rest| rest.strip_suffix(last))
    else {
        return false;
    };
    for piece in pieces {
        match find(middle, piece).and_then(|end| middle.get(end..)) {
            Some(rest) => middle = rest,
            None => return false,
        }
    }
    true
}

/// Where the first occurrence of `needle` ends (Knuth, Morris and Pratt).
fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    let borders = borders(needle);
    let mut matched = 0;
    hay.iter()
        .position(|byte| {
            matched = advance(needle, &borders, matched, *byte);
            matched == needle.len()
        })
        .map(|at| at + 1)
}

/// For each prefix of `needle`, the length of the longest shorter prefix that
/// also ends it: where to go on after a byte that does not fit.
fn borders(needle: &[u8]) -> Vec<usize> {
    let mut borders = Vec::with_capacity(needle.len());
    let mut matched = 0;
    for (at, byte) in needle.iter().enumerate() {
        if at > 0 {
            matched = advance(needle, &borders, matched, *byte);
        }
        borders.push(matched);
    }
    borders
}

fn advance(needle: &[u8], borders: &[usize], mut matched: usize, byte: u8) -> usize {
    while matched > 0 && needle.get(matched) != Some(&byte) {
        matched = borders.get(matched - 1).copied().unwrap_or(0);
    }
    if needle.get(matched) == Some(&byte) { matched + 1 } else { matched }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::types::ProfileIx;

    fn pattern(words: &[&str]) -> Vec<Pattern> {
        let kind = |w: &str| match w {
            "*" => PatternKind::Any,
            "..." => PatternKind::Rest,
            w if w.contains('*') => PatternKind::Glob,
            _ => PatternKind::Literal,
        };
        words.iter().map(|w| Pattern { kind: kind(w), text: Arg::new(*w).unwrap() }).collect()
    }

    fn rule(name: &str, action: Action, words: &[&str]) -> Rule {
        Rule {
            name: Name::new(name).unwrap(),
            pattern: pattern(words),
            profile: ProfileIx(0),
            action,
            why: Vec::new(),
            credentials: Vec::new(),
            understood: false,
        }
    }

    fn argv(words: &[&str]) -> Argv {
        Argv::new(words.iter().map(|w| Arg::new(*w).unwrap()).collect()).unwrap()
    }

    fn hit(action: Action, words: &[&str], command: &[&str]) -> bool {
        matches(&rule("r", action, words), &argv(command))
    }

    #[test]
    fn elements() {
        use Action::Allow;
        for (words, command, want) in [
            (&["git", "push"][..], &["git", "push"][..], true),
            (&["git", "push"], &["git"], false),
            (&["git", "push"], &["git", "push", "x"], false),
            (&["git", "*"], &["git", "push"], true),
            (&["git", "*"], &["git"], false),
            (&["git", "*"], &["git", "a", "b"], false),
            (&["git", "..."], &["git"], true),
            (&["git", "..."], &["git", "a", "b"], true),
            (&["git", "...", "x"], &["git", "x"], false),
            (&["..."], &["anything"], true),
            (&["*"], &["./any"], true),
            (&["*"], &["any", "more"], false),
            (&["cargo", "--*=1"], &["cargo", "--jobs=1"], true),
            (&["cargo", "--*=1"], &["cargo", "--jobs=2"], false),
            (&["cargo", "a*a"], &["cargo", "a"], false),
            (&["cargo", "a**b"], &["cargo", "ab"], true),
            (&["cargo", ""], &["cargo", ""], true),
            (&[], &["cargo"], false),
        ] {
            assert_eq!(hit(Allow, words, command), want, "{words:?} {command:?}");
        }
    }

    #[test]
    fn programs_by_name_and_path() {
        // pattern, argv[0], allow, deny
        for (pattern, argv0, allow, deny) in [
            ("git", "git", true, true),
            ("git", "GIT", false, false),
            ("git", "xgit", false, false),
            ("git", "/usr/bin/git", true, true),
            ("git", "/usr/local/bin/git", true, true),
            ("git", "/bin/git", true, true),
            ("git", "/usr/bin//git", false, true),
            ("git", "/usr/../usr/bin/git", false, true),
            ("git", "/usr/bin/../bin/git", false, true),
            ("git", "./git", false, true),
            ("git", "bin/git", false, true),
            ("git", "/git", false, true),
            ("git", "/proc/self/root/usr/bin/git", false, true),
            ("git", "/workspace/usr/bin/git", false, true),
            ("git", "/usr/bin/git/", false, false),
            ("/usr/bin/git", "/usr/bin/git", true, true),
            ("/usr/bin/git", "git", false, false),
            ("/usr/bin/git", "/usr/bin//git", false, false),
            ("python*", "python3.11", true, true),
            ("python*", "/usr/bin/python3", true, true),
            ("python*", "python/../../evil", false, false),
            ("python*", "/tmp/python3", false, true),
            ("/opt/*/run", "/opt/tool/run", true, true),
            ("/opt/*/run", "/opt/../run", false, true),
            ("/opt/*/run", "/opt/../tmp/run", false, true),
            ("/opt/*/run", "/opt/a/b/run", false, true),
        ] {
            assert_eq!(hit(Action::Allow, &[pattern], &[argv0]), allow, "allow {pattern} {argv0}");
            assert_eq!(hit(Action::Deny, &[pattern], &[argv0]), deny, "deny {pattern} {argv0}");
            assert_eq!(hit(Action::Ask, &[pattern], &[argv0]), deny, "ask {pattern} {argv0}");
        }
    }

    #[test]
    fn precedence() {
        use Action::{Allow, Ask, Deny};
        let rules = [
            rule("all", Allow, &["..."]),
            rule("git", Allow, &["git", "..."]),
            rule("push", Ask, &["git", "push", "..."]),
            rule("push-too", Ask, &["git", "push", "..."]),
            rule("force", Deny, &["git", "push", "--force"]),
        ];
        let push = &["git", "push"][..];
        let force = &["git", "push", "--force"][..];
        let log = &["git", "log"][..];
        for (command, wanted, want) in [
            (log, None, Ok("all")),
            (log, Some("git"), Ok("git")),
            (log, Some("push"), Err(Code::RuleNotForThis)),
            (log, Some("nonesuch"), Err(Code::RuleNotForThis)),
            (push, None, Ok("push")),
            (push, Some("git"), Ok("push")),
            (push, Some("push-too"), Ok("push-too")),
            (push, Some("force"), Err(Code::RuleNotForThis)),
            (force, None, Ok("force")),
            (force, Some("git"), Ok("force")),
            (force, Some("push-too"), Ok("force")),
            (force, Some("force"), Ok("force")),
            (force, Some("nonesuch"), Ok("force")),
        ] {
            let name = wanted.map(|w| Name::new(w).unwrap());
            let got = decide(&rules, &argv(command), name.as_ref());
            assert_eq!(got.map(|d| d.rule.name.as_str()), want, "{command:?} {wanted:?}");
        }
        assert_eq!(decide(&rules[1..], &argv(&["ls"]), None), Err(Code::NoRule));
        assert_eq!(decide(&[], &argv(&["ls"]), None), Err(Code::NoRule));
        let third = decide(&rules, &argv(push), None).unwrap();
        assert_eq!((third.index, third.action), (2, Ask));
    }

    #[test]
    fn a_glob_does_not_blow_up() {
        let pattern = format!("{}b", "a*".repeat(500));
        let long = "a".repeat(crate::limits::MAX_ARG);
        let start = std::time::Instant::now();
        assert!(!glob(pattern.as_bytes(), long.as_bytes()));
        let pattern = format!("*{}b*", "a".repeat(2000));
        assert!(!glob(pattern.as_bytes(), long.as_bytes()));
        assert!(start.elapsed().as_millis() < 500);
    }

    /// The matcher once more, the obvious and slow way.
    mod naive {
        use super::super::*;

        fn glob(pattern: &[u8], bytes: &[u8]) -> bool {
            match pattern.split_first() {
                None => bytes.is_empty(),
                Some((b'*', rest)) => (0..=bytes.len()).any(|n| glob(rest, &bytes[n..])),
                Some((c, rest)) => bytes.first() == Some(c) && glob(rest, &bytes[1..]),
            }
        }

        fn word(p: &Pattern, bytes: &[u8]) -> bool {
            p.kind == PatternKind::Any
                || (p.kind != PatternKind::Rest && glob(p.text.as_bytes(), bytes))
        }

        fn elements(action: Action, at: usize, patterns: &[Pattern], args: &[Arg]) -> bool {
            match (patterns.first(), args.first()) {
                (None, None) => true,
                (Some(p), _) if p.kind == PatternKind::Rest => patterns.len() == 1,
                (Some(p), Some(a)) => {
                    let fits = if at > 0 || p.kind == PatternKind::Any {
                        word(p, a.as_bytes())
                    } else {
                        program(p, action, std::str::from_utf8(a.as_bytes()).unwrap())
                    };
                    fits && elements(action, at + 1, &patterns[1..], &args[1..])
                }
                _ => false,
            }
        }

        fn program(p: &Pattern, action: Action, argv0: &str) -> bool {
            let text = std::str::from_utf8(p.text.as_bytes()).unwrap();
            let base = argv0.rsplit('/').next().unwrap();
            if action != Action::Allow {
                let subject = if text.contains('/') { argv0 } else { base };
                return glob(text.as_bytes(), subject.as_bytes());
            }
            if !text.contains('/') {
                let system = PROGRAM_FOLDERS.iter().any(|f| format!("{f}/{base}") == argv0);
                return (base == argv0 || system) && glob(text.as_bytes(), base.as_bytes());
            }
            // Component by component; a `*` part matches no `.`, `..` or nothing.
            let (want, have): (Vec<_>, Vec<_>) =
                (text.split('/').collect(), argv0.split('/').collect());
            let odd = have.iter().skip(1).any(|c| ["", ".", ".."].contains(c));
            want.len() == have.len()
                && (!odd || !text.contains('*'))
                && want.iter().zip(&have).all(|(w, h)| glob(w.as_bytes(), h.as_bytes()))
        }

        pub fn decide(rules: &[Rule], argv: &Argv, wanted: Option<&Name>) -> Result<usize, Code> {
            let hits: Vec<usize> = (0..rules.len())
                .filter(|i| elements(rules[*i].action, 0, &rules[*i].pattern, argv.as_slice()))
                .collect();
            let first = |a: Action| hits.iter().copied().find(|i| rules[*i].action == a);
            if let Some(deny) = first(Action::Deny) {
                return Ok(deny);
            }
            let Some(wanted) = wanted else {
                return first(Action::Ask).or(first(Action::Allow)).ok_or(Code::NoRule);
            };
            let named = hits.iter().copied().find(|i| rules[*i].name == *wanted);
            let named = named.ok_or(Code::RuleNotForThis)?;
            match first(Action::Ask) {
                Some(ask) if rules[named].action == Action::Allow => Ok(ask),
                _ => Ok(named),
            }
        }
    }

    /// xorshift64: the same cases on every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).unwrap() % sides
        }

        fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
            from[self.roll(from.len())]
        }

        fn text(&mut self, letters: &str, longest: usize) -> String {
            let letters: Vec<char> = letters.chars().collect();
            (0..self.roll(longest + 1)).map(|_| letters[self.roll(letters.len())]).collect()
        }
    }

    #[test]
    fn agrees_with_the_naive_matcher() {
        let mut dice = Dice(0x5eed_1234_abcd_0001);
        let mut kinds = [0usize; 4];
        for _ in 0..200_000 {
            let rules: Vec<Rule> = (0..dice.roll(5))
                .map(|_| {
                    let mut words = vec![match dice.roll(6) {
                        0 => "*".to_owned(),
                        1 => dice.pick(&["/usr/bin/a", "/*/a", "/b/*", "a/*", "*/a"]).to_owned(),
                        2 => "...".to_owned(),
                        _ => dice.text("aab*", 3),
                    }];
                    for _ in 0..dice.roll(4) {
                        words.push(match dice.roll(4) {
                            0 => "...".to_owned(),
                            1 => "*".to_owned(),
                            _ => dice.text("ab*", 5),
                        });
                    }
                    let action = Action::ALL[dice.roll(3)];
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    rule(dice.pick(&["x", "y", "z"]), action, &words)
                })
                .collect();
            let folder = dice.pick(&[
                "",
                "",
                "",
                "/usr/bin/",
                "./",
                "/bin/",
                "/",
                "../",
                "/b//",
                "/b/../",
                "/b/",
            ]);
            let mut words = vec![format!("{folder}a{}", dice.text("ab", 2))];
            words.extend((0..dice.roll(4)).map(|_| dice.text("ab", 6)).collect::<Vec<_>>());
            let command =
                Argv::new(words.into_iter().map(|w| Arg::new(w).unwrap()).collect()).unwrap();
            let wanted =
                (dice.roll(2) == 0).then(|| Name::new(dice.pick(&["x", "y", "z"])).unwrap());

            let got = decide(&rules, &command, wanted.as_ref());
            let want = naive::decide(&rules, &command, wanted.as_ref());
            assert_eq!(got.map(|d| usize::from(d.index)), want, "{rules:?} {command:?} {wanted:?}");
            kinds[got.map_or(3, |d| d.action as usize)] += 1;
        }
        // Every outcome was exercised, not just refusals.
        assert!(kinds.iter().all(|n| *n > 2_000), "{kinds:?}");
    }
}
