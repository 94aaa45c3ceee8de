//! What a command would do, as far as one can tell by reading it.
//!
//! The virtual engine runs no process, but `sleep 5`, `false` or `sh -c "echo hi; exit 3"` are so common in lessons that they should
//! do what they say. Anything that is not understood is taken for a server that runs until it is stopped. There is no file system, no
//! variable and no network here; commands that would need them count as instant successes when they are known to be brief.

use std::time::Duration;

/// What a command does when nobody disturbs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Course {
    /// How long it runs; `None`: for ever.
    pub(super) runs_for: Option<Duration>,
    /// How it exits then.
    pub(super) exit_code: i32,
    /// Whether it dies of the stop signal. A shell or a tool has no handler, and the kernel does not apply a signal's default action to
    /// the first process of a pid namespace: hence the well-known 30 s that deleting a `sleep` takes.
    pub(super) heeds_term: bool,
}

/// Reads an argument vector. `None`: not understood, so a server.
pub(super) fn course(argv: &[String]) -> Option<Course> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let (runs_for, exit_code) = match simple(&words)? {
        Step::Exits(after, code) | Step::Leaves(after, code) => (Some(after), code),
        Step::Stays => (None, 0),
    };
    Some(Course { runs_for, exit_code, heeds_term: false })
}

enum Step {
    /// Ends after a time with a code.
    Exits(Duration, i32),
    /// Ends the whole script after a time.
    Leaves(Duration, i32),
    /// Never ends.
    Stays,
}

const BRIEF: [&str; 24] = [
    "echo", "printf", "touch", "mkdir", "cp", "mv", "rm", "ls", "cat", "date", "hostname", "env", "id", "uname",
    "chmod", "chown", "set", "export", "cd", "pwd", "whoami", "ln", "sync", ":",
];

fn simple(words: &[&str]) -> Option<Step> {
    let (&program, args) = words.split_first()?;
    let done = |code| Some(Step::Exits(Duration::ZERO, code));
    match program.rsplit('/').next().unwrap_or(program) {
        "sleep" => match args.iter().map(|arg| sleep_time(arg)).sum::<Option<f64>>() {
            Some(seconds) if seconds.is_infinite() => Some(Step::Stays),
            Some(seconds) => Duration::try_from_secs_f64(seconds).ok().map(|time| Step::Exits(time, 0)),
            None => done(1),
        },
        "true" => done(0),
        "false" => done(1),
        "exit" => Some(Step::Leaves(Duration::ZERO, args.first().and_then(|code| code.parse().ok()).unwrap_or(0))),
        "exec" => simple(args),
        "tail" if args.contains(&"-f") || args.contains(&"-F") => Some(Step::Stays),
        "sh" | "ash" | "bash" | "dash" => {
            match args.iter().position(|arg| arg.starts_with('-') && arg.ends_with('c')) {
                Some(at) => script(args.get(at + 1)?),
                // Without a script it reads its input, which is closed.
                None if args.iter().all(|arg| arg.starts_with('-')) => done(0),
                None => None,
            }
        }
        brief if BRIEF.contains(&brief) => done(0),
        _ => None,
    }
}

/// Walks through the commands of a script. Conditions and pipes are not understood, and a loop is taken to wait for ever.
fn script(text: &str) -> Option<Step> {
    if waits(text) {
        return Some(Step::Stays);
    }
    let mut elapsed = Duration::ZERO;
    let mut last = 0;
    for (joint, command) in commands(text)? {
        let skipped = match joint {
            Joint::And => last != 0,
            Joint::Or => last == 0,
            Joint::Then => false,
        };
        if skipped {
            continue;
        }
        let words = words(&command);
        match simple(&words.iter().map(String::as_str).collect::<Vec<_>>())? {
            Step::Exits(time, code) => (elapsed, last) = (elapsed + time, code),
            Step::Leaves(time, code) => return Some(Step::Exits(elapsed + time, code)),
            Step::Stays => return Some(Step::Stays),
        }
    }
    Some(Step::Exits(elapsed, last))
}

/// Whether a script loops until something happens that cannot happen here, and does nothing about signals meanwhile.
fn waits(text: &str) -> bool {
    let has = |word: &str| text.split(|c: char| !c.is_alphanumeric()).any(|found| found == word);
    (has("while") || has("until")) && has("do") && !has("trap")
}

/// What stands before a command.
#[derive(Clone, Copy)]
enum Joint {
    /// `;` or a new line
    Then,
    /// `&&`
    And,
    /// `||`
    Or,
}

/// Splits a script at `;`, new lines, `&&` and `||` outside quotes. `None` if it needs a real shell.
fn commands(text: &str) -> Option<Vec<(Joint, String)>> {
    const CONTROL: [&str; 9] = ["while", "until", "for", "if", "case", "trap", "function", "wait", "{"];
    let mut found = Vec::new();
    let mut joint = Joint::Then;
    let mut command = String::new();
    let mut quote = None;
    let mut chars = text.chars().peekable();
    let mut finish = |joint: Joint, command: &mut String| {
        let text = std::mem::take(command).trim().to_owned();
        if !text.is_empty() {
            found.push((joint, text));
        }
    };
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ';' | '\n') => {
                finish(joint, &mut command);
                joint = Joint::Then;
                continue;
            }
            (None, '&' | '|') => {
                // One of them alone is a job in the background, or a pipe.
                chars.next_if_eq(&c)?;
                finish(joint, &mut command);
                joint = if c == '&' { Joint::And } else { Joint::Or };
                continue;
            }
            (None | Some('"'), '`') | (None, '(') => return None,
            _ => {}
        }
        command.push(c);
    }
    finish(joint, &mut command);
    let plain =
        |(_, command): &(Joint, String)| command.split_whitespace().next().is_some_and(|word| !CONTROL.contains(&word));
    found.iter().all(plain).then_some(found)
}

/// Splits a command into words, without its quotes and redirections.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, _) if c.is_whitespace() => words.push(String::new()),
            _ => words.last_mut().expect("there is always a last word").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn sleep_time(arg: &str) -> Option<f64> {
    if matches!(arg, "infinity" | "inf") {
        return Some(f64::INFINITY);
    }
    let digits = arg.trim_end_matches(['s', 'm', 'h', 'd']);
    let unit = match &arg[digits.len()..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    digits.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0).map(|n| n * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_do_what_they_say() {
        let ends = |seconds: f64, code| Some((Some(Duration::from_secs_f64(seconds)), code));
        let stays = Some((None, 0));
        /// A command, and how long it runs and how it exits, if that can be told.
        type Case = (&'static [&'static str], Option<(Option<Duration>, i32)>);
        let cases: [Case; 19] = [
            (&["sleep", "5"], ends(5.0, 0)),
            (&["/bin/sleep", "1m", "0.5"], ends(60.5, 0)),
            (&["sleep", "infinity"], stays),
            (&["sleep", "long"], ends(0.0, 1)),
            (&["true"], ends(0.0, 0)),
            (&["false"], ends(0.0, 1)),
            (&["sh"], ends(0.0, 0)),
            (&["sh", "-c", "echo The app is running! && sleep 3600"], ends(3600.0, 0)),
            (&["/bin/sh", "-ec", "sleep 2; exit 3; sleep 9"], ends(2.0, 3)),
            (&["bash", "-c", "false || sleep 1"], ends(1.0, 0)),
            (&["bash", "-c", "false && sleep 1"], ends(0.0, 1)),
            (&["sh", "-c", "echo 'a; b' > /tmp/x\nexec sleep 4"], ends(4.0, 0)),
            (&["tail", "-f", "/dev/null"], stays),
            (&["sh", "-c", "until cat /root/myapp; do sleep 2; done"], stays),
            (&["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 1; done"], None),
            (&["sh", "-c", "sleep 1 & wait"], None),
            (&["sh", "-c", "echo `date`"], None),
            (&["nginx", "-g", "daemon off;"], None),
            (&["python", "app.py"], None),
        ];
        for (argv, expected) in cases {
            let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(course(&argv).map(|c| (c.runs_for, c.exit_code)), expected, "{argv:?}");
        }
    }
}
