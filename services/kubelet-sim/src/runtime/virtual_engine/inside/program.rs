//! Commands and scripts, read into a flat list of steps.
//!
//! A loop is a jump backwards and a condition one forwards, so that a run can be held at any step, copied, and gone on with.

use super::lexer::{Destination, Part, Redirect, Token, Word, tokens};
use super::tools;

/// One step. Jumps leave the last exit code as it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    Run(Command),
    Jump(usize),
    /// Back to the head of a loop.
    Again(usize),
    JumpIfOk(usize),
    JumpIfFailed(usize),
    /// `!`
    Not,
    /// The exit code of a construct as such.
    Status(i32),
    Exit,
}

/// A simple command.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Command {
    pub(super) variables: Vec<(String, Word)>,
    pub(super) words: Vec<Word>,
    pub(super) redirects: Vec<Redirect>,
}

/// What a command would do, step by step.
#[derive(Clone, Debug, PartialEq, Default)]
pub(in super::super) struct Program {
    pub(super) ops: Vec<Op>,
    /// `set -e`
    pub(super) stops_on_error: bool,
    /// Programs that are called and cannot be imitated.
    pub(super) unknown: Vec<String>,
    /// A shell that reads what somebody types, or nothing.
    pub(super) interactive: bool,
}

impl Program {
    /// Reads an argument vector. `None` if it is a script that needs a real shell.
    pub(in super::super) fn of(argv: &[String]) -> Option<Self> {
        let (name, args) = argv.split_first()?;
        if !matches!(tools::base_name(name), "sh" | "ash" | "bash" | "dash") {
            let words = argv.iter().map(|word| Word::from(word.as_str())).collect();
            let mut parser = Parser::default();
            parser.simple(Command { words, ..Command::default() })?;
            return Some(parser.program);
        }
        let flags = args.iter().take_while(|arg| arg.starts_with('-'));
        let stops_on_error = flags.clone().any(|flag| !flag.starts_with("--") && flag.contains('e'));
        if let Some(at) =
            args.iter().position(|arg| arg.starts_with('-') && !arg.starts_with("--") && arg.ends_with('c'))
        {
            return Some(Self { stops_on_error, ..Self::script(args.get(at + 1)?)? });
        }
        (flags.count() == args.len()).then(|| Self { interactive: true, ..Self::default() })
    }

    /// Reads a container's own command. `None`: it is a server, as far as one can tell.
    pub(in super::super) fn of_main(argv: &[String]) -> Option<Self> {
        match Self::of(argv).filter(Self::is_understood) {
            Some(program) => Some(program),
            // A loop around programs that are not known goes on for ever, and its shell has no handler for signals.
            None => argv.last().is_some_and(|script| waits(script)).then(Self::endless),
        }
    }

    /// Goes on for ever without doing anything.
    pub(in super::super) fn endless() -> Self {
        let words = ["sleep", "infinity"].map(Word::from).to_vec();
        Self { ops: vec![Op::Run(Command { words, ..Command::default() })], ..Self::default() }
    }

    /// Reads a script.
    pub(in super::super) fn script(text: &str) -> Option<Self> {
        let mut parser = Parser { tokens: tokens(text)?, ..Parser::default() };
        parser.list(&[])?;
        (parser.at == parser.tokens.len()).then_some(parser.program)
    }

    /// Whether all of it can be imitated.
    pub(in super::super) fn is_understood(&self) -> bool {
        self.unknown.is_empty()
    }

    /// Whether it ends the shell that runs it.
    pub(in super::super) fn exits(&self) -> bool {
        self.ops.contains(&Op::Exit)
    }

    /// Whether it is a shell that waits for what somebody types.
    pub(in super::super) fn is_interactive(&self) -> bool {
        self.interactive
    }
}

#[derive(Default)]
struct Parser {
    tokens: Vec<Token>,
    at: usize,
    program: Program,
    /// Of each loop that is open, its head and the jumps that leave it.
    loops: Vec<(usize, Vec<usize>)>,
}

impl Parser {
    fn keyword(&self) -> Option<&str> {
        match self.tokens.get(self.at)? {
            Token::Word(word) => word.keyword(),
            _ => None,
        }
    }

    fn takes(&mut self, keyword: &str) -> Option<()> {
        (self.keyword()? == keyword).then(|| self.at += 1)
    }

    fn here(&self) -> usize {
        self.program.ops.len()
    }

    fn push(&mut self, op: Op) -> usize {
        self.program.ops.push(op);
        self.here() - 1
    }

    /// Lets a jump that was left open land here.
    fn land(&mut self, jump: usize) {
        let here = self.here();
        if let Op::Jump(to) | Op::JumpIfOk(to) | Op::JumpIfFailed(to) = &mut self.program.ops[jump] {
            *to = here;
        }
    }

    /// Commands up to one of the words that end this list.
    fn list(&mut self, ends: &[&str]) -> Option<()> {
        loop {
            while self.tokens.get(self.at) == Some(&Token::Then) {
                self.at += 1;
            }
            if self.at == self.tokens.len() {
                return ends.is_empty().then_some(());
            }
            if self.keyword().is_some_and(|word| ends.contains(&word)) {
                return Some(());
            }
            self.and_or()?;
            if !matches!(self.tokens.get(self.at), None | Some(Token::Then)) {
                return None;
            }
        }
    }

    fn and_or(&mut self) -> Option<()> {
        self.command()?;
        loop {
            let jump = match self.tokens.get(self.at) {
                Some(Token::And) => Op::JumpIfFailed(0),
                Some(Token::Or) => Op::JumpIfOk(0),
                _ => return Some(()),
            };
            self.at += 1;
            while self.tokens.get(self.at) == Some(&Token::Then) {
                self.at += 1;
            }
            let jump = self.push(jump);
            self.command()?;
            self.land(jump);
        }
    }

    fn command(&mut self) -> Option<()> {
        match self.keyword() {
            Some("!") => {
                self.at += 1;
                self.command()?;
                self.push(Op::Not);
            }
            Some(word @ ("while" | "until")) => {
                let leave = if word == "while" { Op::JumpIfFailed(0) } else { Op::JumpIfOk(0) };
                self.at += 1;
                let head = self.here();
                self.list(&["do"])?;
                let leave = self.push(leave);
                self.body(head)?;
                self.land(leave);
                self.leave_loop();
            }
            Some("for") => self.each()?,
            Some("if") => {
                self.at += 1;
                let mut done = Vec::new();
                loop {
                    self.list(&["then"])?;
                    self.takes("then")?;
                    let otherwise = self.push(Op::JumpIfFailed(0));
                    self.list(&["elif", "else", "fi"])?;
                    done.push(self.push(Op::Jump(0)));
                    self.land(otherwise);
                    if self.takes("elif").is_some() {
                        continue;
                    }
                    if self.takes("else").is_some() {
                        self.list(&["fi"])?;
                    } else {
                        self.push(Op::Status(0));
                    }
                    break;
                }
                self.takes("fi")?;
                for jump in done {
                    self.land(jump);
                }
            }
            Some(
                "case" | "trap" | "function" | "wait" | "{" | "do" | "done" | "then" | "fi" | "eval" | "." | "source",
            ) => return None,
            _ => self.words()?,
        }
        // Output of whole loops goes nowhere else here.
        (!matches!(self.tokens.get(self.at), Some(Token::Redirect(_) | Token::Word(_)))).then_some(())
    }

    /// The body of a loop, up to the jump back.
    fn body(&mut self, head: usize) -> Option<()> {
        self.takes("do")?;
        self.loops.push((head, Vec::new()));
        self.list(&["done"])?;
        self.takes("done")?;
        self.push(Op::Again(head));
        Some(())
    }

    fn leave_loop(&mut self) {
        self.push(Op::Status(0));
        for jump in self.loops.pop().map(|(_, breaks)| breaks).unwrap_or_default() {
            self.land(jump);
        }
    }

    /// `for NAME in WORDS; do ...; done`, written out word by word.
    fn each(&mut self) -> Option<()> {
        self.at += 1;
        let name = self.keyword()?.to_owned();
        self.at += 1;
        self.takes("in")?;
        let mut words = Vec::new();
        while let Some(Token::Word(word)) = self.tokens.get(self.at) {
            words.push(word.clone());
            self.at += 1;
        }
        while self.tokens.get(self.at) == Some(&Token::Then) {
            self.at += 1;
        }
        let body = self.at;
        let mut leave = Vec::new();
        for word in words.iter().take(1_000) {
            word.fixed()?;
            self.push(Op::Run(Command { variables: vec![(name.clone(), word.clone())], ..Command::default() }));
            self.at = body;
            self.takes("do")?;
            self.loops.push((usize::MAX, Vec::new()));
            self.list(&["done"])?;
            leave.extend(self.loops.pop().map(|(_, breaks)| breaks).unwrap_or_default());
        }
        self.takes("done")?;
        for jump in leave {
            self.land(jump);
        }
        Some(())
    }

    fn words(&mut self) -> Option<()> {
        let mut command = Command::default();
        loop {
            match self.tokens.get(self.at) {
                Some(Token::Word(word)) => match assignment(word).filter(|_| command.words.is_empty()) {
                    Some(pair) => command.variables.push(pair),
                    None => command.words.push(word.clone()),
                },
                Some(Token::Redirect(redirect)) => {
                    let mut redirect = redirect.clone();
                    if let Destination::File { path, .. } = &mut redirect.to {
                        self.at += 1;
                        let Some(Token::Word(word)) = self.tokens.get(self.at) else { return None };
                        path.clone_from(word);
                    }
                    command.redirects.push(redirect);
                }
                _ => break,
            }
            self.at += 1;
        }
        self.simple(command)
    }

    fn simple(&mut self, mut command: Command) -> Option<()> {
        for word in command.words.iter().chain(command.variables.iter().map(|(_, word)| word)) {
            for part in &word.parts {
                if let Part::Command(inner) = part {
                    self.program.unknown.extend(inner.unknown.iter().cloned());
                }
            }
        }
        let Some(name) = command.words.first() else {
            if command.variables.is_empty() && command.redirects.is_empty() {
                return None;
            }
            self.push(Op::Run(command));
            return Some(());
        };
        let name = name.fixed()?.to_owned();
        match tools::base_name(&name) {
            "exec" if command.words.len() > 1 => {
                command.words.remove(0);
                self.simple(command)?;
                self.push(Op::Exit);
            }
            "exit" => {
                let code = match command.words.get(1) {
                    Some(word) => Op::Status(word.fixed()?.parse().ok()?),
                    // As the last command ended.
                    None => Op::Status(-1),
                };
                if code != Op::Status(-1) {
                    self.push(code);
                }
                self.push(Op::Exit);
            }
            "break" => {
                let jump = self.push(Op::Jump(0));
                self.loops.last_mut()?.1.push(jump);
            }
            "continue" => {
                let head = self.loops.last()?.0;
                if head == usize::MAX {
                    return None;
                }
                self.push(Op::Again(head));
            }
            "set" if command.words.get(1).and_then(Word::fixed).is_some_and(|flags| flags.starts_with('-')) => {
                self.program.stops_on_error |= command.words[1].fixed()?.contains('e');
            }
            known => {
                if !tools::knows(known) && !self.program.unknown.contains(&name) {
                    self.program.unknown.push(name);
                }
                self.push(Op::Run(command));
            }
        }
        Some(())
    }
}

/// Whether a script loops, and does nothing about signals meanwhile.
fn waits(text: &str) -> bool {
    let has = |word: &str| text.split(|c: char| !c.is_alphanumeric()).any(|found| found == word);
    (has("while") || has("until")) && has("do") && !has("trap")
}

/// `NAME=value`.
fn assignment(word: &Word) -> Option<(String, Word)> {
    let Part::Text(text) = word.parts.first()? else { return None };
    let (name, value) = text.split_once('=')?;
    let valid = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    let mut parts = word.parts.clone();
    parts[0] = Part::Text(value.to_owned());
    valid.then(|| (name.to_owned(), Word { parts, quoted: true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_real_shell_or_a_real_program_is_told_apart() {
        /// A script; whether it can be read at all, and whether all of it can be imitated.
        type Case = (&'static str, bool, bool);
        let cases: [Case; 16] = [
            ("echo hi && sleep 5; exit 3", true, true),
            ("until cat /root/myapp; do echo waiting; sleep 2; done", true, true),
            ("i=0; while [ $i -lt 5 ]; do echo $i; i=$((i+1)); done", true, true),
            ("for i in 3 2 1; do echo $i; done", true, true),
            ("if test -f /x; then echo yes; elif false; then :; else exit 1; fi", true, true),
            ("echo \"it is $(date)\" >> /tmp/log 2>&1", true, true),
            ("# nothing\necho 'a; b' > /tmp/x\nexec sleep 4", true, true),
            ("curl example.com", true, false),
            ("echo `curl example.com`", true, false),
            ("trap 'exit 0' TERM; sleep 1", false, false),
            ("sleep 1 & wait", false, false),
            ("ls | wc -l", false, false),
            ("while true; do sleep 1", false, false),
            ("echo 'unfinished", false, false),
            ("echo *", false, false),
            ("done", false, false),
        ];
        for (script, readable, understood) in cases {
            let program = Program::script(script);
            assert_eq!(program.is_some(), readable, "{script}");
            assert_eq!(program.is_some_and(|program| program.is_understood()), understood, "{script}");
        }
    }

    #[test]
    fn a_shell_without_a_script_reads_what_somebody_types() {
        let of = |argv: &[&str]| Program::of(&argv.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert!(of(&["/bin/bash", "-l"]).unwrap().is_interactive());
        assert!(!of(&["sh", "-c", "true"]).unwrap().is_interactive());
        assert_eq!(of(&["sh", "script.sh"]), None, "a script in a file");
        assert!(!of(&["python", "app.py"]).unwrap().is_understood());
        assert!(of(&["sh", "-ec", "false"]).unwrap().stops_on_error);
    }
}
