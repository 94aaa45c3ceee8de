//! A program under way: one command after another, each in no time of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::files::Files;
use super::lexer::{Destination, Part, Word};
use super::process::Surroundings;
use super::program::{Command, Op, Program};
use super::tools;

/// How many steps a command inside `$(...)` may take.
const SUBSTITUTION_STEPS: usize = 1_000;

/// What a command finds around it.
pub(in super::super) struct World<'a> {
    pub(in super::super) files: &'a mut Files,
    pub(in super::super) surroundings: &'a Surroundings,
    /// Wall time in nanoseconds.
    pub(in super::super) now: i64,
    /// Programs that are not known succeed without a word, because whoever calls them cannot help it: hooks and probes.
    pub(in super::super) forgiving: bool,
}

/// What a step was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    /// Something was done, perhaps printed.
    Ran {
        out: String,
        err: String,
        /// The main process is asked to stop.
        stops_main: bool,
    },
    /// The next step comes later.
    Sleeps(Duration),
    /// A loop begins again.
    Again,
    /// Waits for ever.
    Stays,
    /// Waits for what somebody types.
    Reads,
    /// Over, for good.
    Exited(i32),
}

impl Step {
    fn quiet() -> Self {
        Self::Ran { out: String::new(), err: String::new(), stops_main: false }
    }
}

/// A program with its place, its variables and the last exit code.
#[derive(Clone, Debug)]
pub(in super::super) struct Machine {
    program: Arc<Program>,
    at: usize,
    pub(super) status: i32,
    variables: BTreeMap<String, String>,
    directory: String,
    input: Stdin,
}

/// What is there to be read where no file is named.
#[derive(Clone, Debug, Default)]
struct Stdin {
    text: String,
    /// More may come.
    open: bool,
}

impl Machine {
    pub(in super::super) fn new(program: Arc<Program>, directory: &str) -> Self {
        let directory = if directory.is_empty() { "/".to_owned() } else { directory.to_owned() };
        Self { program, at: 0, status: 0, variables: BTreeMap::new(), directory, input: Stdin::default() }
    }

    /// Begins another program where this one has ended, as somebody types line after line into one shell.
    pub(in super::super) fn go_on_with(&mut self, program: Program) {
        (self.program, self.at) = (Arc::new(program), 0);
    }

    /// From now on somebody types: what reads waits for that.
    pub(in super::super) fn open_input(&mut self) {
        self.input.open = true;
    }

    /// Somebody has typed this.
    pub(in super::super) fn give(&mut self, text: &str) {
        self.input.text.push_str(text);
    }

    /// Nobody types any more.
    pub(in super::super) fn close_input(&mut self) {
        self.input.open = false;
    }

    /// Whether this is as if the other had not gone on.
    pub(super) fn is_where(&self, other: &Self) -> bool {
        self.at == other.at
            && self.status == other.status
            && self.variables == other.variables
            && self.directory == other.directory
    }

    pub(in super::super) fn step(&mut self, world: &mut World<'_>) -> Step {
        let program = Arc::clone(&self.program);
        let Some(op) = program.ops.get(self.at) else { return Step::Exited(self.status) };
        self.at += 1;
        match op {
            Op::Run(command) => {
                let step = self.run(command, world);
                let tested = matches!(program.ops.get(self.at), Some(Op::JumpIfOk(_) | Op::JumpIfFailed(_) | Op::Not));
                if program.stops_on_error && self.status != 0 && !tested {
                    self.at = program.ops.len();
                }
                return step;
            }
            Op::Jump(to) => self.at = *to,
            Op::Again(to) => {
                self.at = *to;
                return Step::Again;
            }
            Op::JumpIfOk(to) if self.status == 0 => self.at = *to,
            Op::JumpIfFailed(to) if self.status != 0 => self.at = *to,
            Op::JumpIfOk(_) | Op::JumpIfFailed(_) => {}
            Op::Not => self.status = i32::from(self.status == 0),
            Op::Status(status) => self.status = *status,
            Op::Exit => {
                self.at = program.ops.len();
                return Step::Exited(self.status);
            }
        }
        Step::quiet()
    }

    fn run(&mut self, command: &Command, world: &mut World<'_>) -> Step {
        for (name, word) in &command.variables {
            let value = self.expand(word, world);
            self.variables.insert(name.clone(), value);
        }
        let mut argv = Vec::new();
        for word in &command.words {
            let text = self.expand(word, world);
            if word.quoted || word.fixed().is_some() {
                argv.push(text);
            } else {
                argv.extend(text.split_whitespace().map(str::to_owned));
            }
        }
        self.status = 0;
        let Some((name, args)) = argv.split_first() else {
            return self.redirected(command, tools::Ran::default(), world);
        };
        match tools::base_name(name) {
            "sleep" => match tools::sleep_time(args) {
                Ok(Some(time)) => return Step::Sleeps(time),
                Ok(None) => return Step::Stays,
                Err(ran) => return self.redirected(command, ran, world),
            },
            "tail" if args.iter().any(|arg| arg == "-f" || arg == "-F") => return Step::Stays,
            "cd" => {
                let to = tools::join(&self.directory, args.first().map_or("/root", String::as_str));
                if world.files.is_folder(&to) {
                    self.directory = to;
                    return Step::quiet();
                }
                let err = format!("sh: cd: can't cd to {}: No such file or directory\n", args[0]);
                return self.redirected(command, tools::Ran { err, status: 2, ..tools::Ran::default() }, world);
            }
            "export" => {
                for (name, value) in args.iter().filter_map(|arg| arg.split_once('=')) {
                    self.variables.insert(name.to_owned(), value.to_owned());
                }
                return Step::quiet();
            }
            _ => {}
        }
        let input = match tools::reads(&argv) {
            None => String::new(),
            Some(reading) if self.input.open => {
                // The same step again, when there is more.
                self.at -= 1;
                let passes = reading == tools::Reading::Passes && command.redirects.is_empty();
                if !passes || self.input.text.is_empty() {
                    return Step::Reads;
                }
                let out = std::mem::take(&mut self.input.text);
                return Step::Ran { out, err: String::new(), stops_main: false };
            }
            Some(_) => std::mem::take(&mut self.input.text),
        };
        let (variables, directory) = (&self.variables, &self.directory);
        let ran = tools::run(&argv, &mut tools::Call { world, variables, directory, input: &input });
        self.redirected(command, ran, world)
    }

    /// Puts what was printed where it belongs.
    fn redirected(&mut self, command: &Command, ran: tools::Ran, world: &mut World<'_>) -> Step {
        self.status = ran.status;
        // Where each stream goes: to a file, or out by one of the two.
        let mut to: [Result<(String, bool), u8>; 2] = [Err(1), Err(2)];
        let (mut out, mut err) = (String::new(), String::new());
        for redirect in &command.redirects {
            let from = usize::from(redirect.from - 1);
            to[from] = match &redirect.to {
                Destination::Stream(stream) => to[usize::from(stream - 1)].clone(),
                Destination::File { path, append } => {
                    let path = tools::join(&self.directory, &self.expand(path, world));
                    // The file is made, or emptied, even if nothing is printed.
                    if let Err(why) = world.files.write(&path, "", *append) {
                        self.status = 1;
                        return Step::Ran { out, err: format!("sh: can't create {path}: {why}\n"), stops_main: false };
                    }
                    Ok((path, true))
                }
            };
        }
        for (text, to) in [ran.out, ran.err].into_iter().zip(to) {
            match to {
                Err(1) => out.push_str(&text),
                Err(_) => err.push_str(&text),
                Ok((path, append)) if !text.is_empty() => {
                    if let Err(why) = world.files.write(&path, &text, append) {
                        self.status = 1;
                        err.push_str(&format!("sh: write error: {why}\n"));
                    }
                }
                Ok(_) => {}
            }
        }
        Step::Ran { out, err, stops_main: ran.stops_main }
    }

    fn expand(&self, word: &Word, world: &mut World<'_>) -> String {
        let mut text = String::new();
        for part in &word.parts {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Variable(name) => text.push_str(&self.variable(name, world.surroundings)),
                Part::Arithmetic(expression) => {
                    text.push_str(&self.evaluate(expression, world.surroundings).to_string())
                }
                Part::Command(program) => text.push_str(&self.substitute(program, world)),
            }
        }
        text
    }

    fn variable(&self, name: &str, surroundings: &Surroundings) -> String {
        if name == "?" {
            return self.status.to_string();
        }
        tools::variable(name, &self.variables, surroundings).unwrap_or_default().to_owned()
    }

    /// What a command prints, without the new lines at its end.
    fn substitute(&self, program: &Arc<Program>, world: &mut World<'_>) -> String {
        let mut inner = Self { program: Arc::clone(program), at: 0, input: Stdin::default(), ..self.clone() };
        let mut text = String::new();
        for _ in 0..SUBSTITUTION_STEPS {
            match inner.step(world) {
                Step::Ran { out, .. } => text.push_str(&out),
                Step::Sleeps(_) | Step::Again => {}
                Step::Stays | Step::Reads | Step::Exited(_) => break,
            }
        }
        text.truncate(text.trim_end_matches('\n').len());
        text
    }

    /// Whole numbers, variables, and `+ - * / %` from left to right, products first.
    fn evaluate(&self, expression: &str, surroundings: &Surroundings) -> i64 {
        let spaced: String =
            expression.chars().flat_map(|c| if "+-*/%".contains(c) { vec![' ', c, ' '] } else { vec![c] }).collect();
        let (mut sum, mut product, mut operator, mut sign) = (0_i64, None::<i64>, '*', 1);
        for word in spaced.split_whitespace() {
            match (word, product) {
                ("+" | "-", Some(value)) => {
                    sum = sum.wrapping_add(sign * value);
                    (product, operator, sign) = (None, '*', if word == "-" { -1 } else { 1 });
                }
                ("-", None) => sign = -sign,
                ("*" | "/" | "%", _) => operator = word.chars().next().unwrap_or('*'),
                (word, product_so_far) => {
                    let name = word.trim_start_matches('$');
                    let value = word.parse().or_else(|_| self.variable(name, surroundings).parse()).unwrap_or(0_i64);
                    product = Some(match (product_so_far, operator) {
                        (None, _) => value,
                        (Some(so_far), '*') => so_far.wrapping_mul(value),
                        (Some(so_far), '/') => so_far.checked_div(value).unwrap_or(0),
                        (Some(so_far), _) => so_far.checked_rem(value).unwrap_or(0),
                    });
                }
            }
        }
        sum.wrapping_add(sign * product.unwrap_or(0))
    }
}
