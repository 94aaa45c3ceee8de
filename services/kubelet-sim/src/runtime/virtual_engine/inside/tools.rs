//! The small programs that are imitated, in the words of busybox.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::machine::World;
use super::nothing_runs;
use super::process::Surroundings;

const KNOWN: [&str; 40] = [
    ":", "[", "cat", "cd", "chmod", "chown", "cp", "date", "df", "echo", "env", "export", "false", "grep", "head",
    "hostname", "id", "kill", "killall", "ls", "mkdir", "mv", "pkill", "printenv", "printf", "ps", "pwd", "rm",
    "rmdir", "seq", "sleep", "sync", "tail", "tee", "test", "touch", "true", "uname", "wc", "whoami",
];

/// Whether a program is imitated.
pub(super) fn knows(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// What a program did.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) out: String,
    pub(super) err: String,
    pub(super) status: i32,
    pub(super) stops_main: bool,
}

impl Ran {
    fn failed(&mut self, message: &str) {
        self.status = 1;
        self.err.push_str(message);
        self.err.push('\n');
    }
}

/// What a program is called with.
pub(super) struct Call<'a, 'w> {
    pub(super) world: &'a mut World<'w>,
    pub(super) variables: &'a BTreeMap<String, String>,
    pub(super) directory: &'a str,
    /// What is read where no file is named.
    pub(super) input: &'a str,
}

/// How a program treats what is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It reads to the end, then it answers.
    All,
    /// It passes on what it reads as it comes.
    Passes,
}

/// Whether a program reads what is typed, and how.
pub(super) fn reads(argv: &[String]) -> Option<Reading> {
    let args: Vec<&str> = argv[1..].iter().map(String::as_str).collect();
    let (name, files) = (base_name(&argv[0]), operands(&args));
    let of_input = |files: &[&str]| files.is_empty() || files.contains(&"-");
    match name {
        "cat" if files.iter().all(|file| *file == "-") => Some(Reading::Passes),
        "cat" | "wc" => of_input(&files).then_some(Reading::All),
        "head" | "tail" => of_input(&ends_of(&args).1).then_some(Reading::All),
        "grep" => files.split_first().is_some_and(|(_, files)| of_input(files)).then_some(Reading::All),
        "tee" => Some(Reading::All),
        _ => None,
    }
}

/// Arguments that are no flags.
fn operands<'a>(args: &[&'a str]) -> Vec<&'a str> {
    args.iter().copied().filter(|arg| !arg.starts_with('-') || *arg == "-").collect()
}

impl Call<'_, '_> {
    fn path(&self, path: &str) -> String {
        join(self.directory, path)
    }

    /// A file's text, or what was typed for `-`.
    fn read(&self, path: &str) -> Result<String, &'static str> {
        if path == "-" { Ok(self.input.to_owned()) } else { self.world.read(&self.path(path)) }
    }
}

/// A program's name without its folder.
pub(super) fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// A path seen from a folder.
pub(super) fn join(directory: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", directory.trim_end_matches('/')) }
}

/// What a variable says: the script's own, else the container's.
pub(super) fn variable<'a>(
    name: &str,
    own: &'a BTreeMap<String, String>,
    surroundings: &'a Surroundings,
) -> Option<&'a str> {
    let given = || surroundings.env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    own.get(name).map(String::as_str).or_else(given).or(match name {
        "HOSTNAME" => Some(&surroundings.hostname),
        "HOME" => Some("/root"),
        "PATH" => Some("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        _ => None,
    })
}

/// How long `sleep` sleeps; `None`: for ever.
pub(super) fn sleep_time(args: &[String]) -> Result<Option<Duration>, Ran> {
    let mut total = 0.0;
    for arg in args {
        if matches!(arg.as_str(), "infinity" | "inf") {
            return Ok(None);
        }
        let digits = arg.trim_end_matches(['s', 'm', 'h', 'd']);
        let unit = match &arg[digits.len()..] {
            "" | "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => f64::NAN,
        };
        total += digits.parse::<f64>().unwrap_or(f64::NAN) * unit;
    }
    let wrong = || Ran { err: format!("sleep: invalid number '{}'\n", args.join(" ")), status: 1, ..Ran::default() };
    if args.is_empty() { Err(wrong()) } else { Duration::try_from_secs_f64(total).map(Some).map_err(|_| wrong()) }
}

/// Runs one program.
pub(super) fn run(argv: &[String], call: &mut Call<'_, '_>) -> Ran {
    let name = base_name(&argv[0]);
    let args: Vec<&str> = argv[1..].iter().map(String::as_str).collect();
    let plain = operands(&args);
    let flag =
        |letter: char| args.iter().any(|arg| arg.starts_with('-') && !arg.starts_with("--") && arg.contains(letter));
    let mut ran = Ran::default();
    match name {
        ":" | "true" | "sync" | "chmod" | "chown" => {}
        "false" => ran.status = 1,
        "echo" => ran.out = echo(&args),
        "printf" => ran.out = printf(&args),
        "seq" => seq(&args, &mut ran),
        "cat" => cat(call, &plain, &mut ran),
        "head" | "tail" => ends(name, &args, call, &mut ran),
        "tee" => tee(&plain, flag('a'), call, &mut ran),
        "wc" => wc(&plain, flag('l'), call, &mut ran),
        "grep" => grep(&plain, flag('q'), flag('v'), call, &mut ran),
        "ls" => ls(&plain, flag('l'), call, &mut ran),
        "touch" => touch(&plain, call, &mut ran),
        "mkdir" => plain.iter().for_each(|path| call.world.files.make_folder(&call.path(path))),
        "rm" | "rmdir" => rm(&plain, flag('f'), flag('r') || flag('R') || name == "rmdir", call, &mut ran),
        "cp" | "mv" => copy(name, &plain, call, &mut ran),
        "test" => ran.status = i32::from(!holds(&args, call)),
        "[" => match args.split_last() {
            Some((&"]", condition)) => ran.status = i32::from(!holds(condition, call)),
            _ => {
                ran.failed("sh: missing ]");
                ran.status = 2;
            }
        },
        "pwd" => ran.out = format!("{}\n", call.directory),
        "hostname" => ran.out = format!("{}\n", call.world.surroundings.hostname),
        "whoami" => ran.out = format!("{}\n", if call.world.surroundings.user == 0 { "root".to_owned() } else { call.world.surroundings.user.to_string() }),
        "id" => id(call.world.surroundings.user, flag('u'), &mut ran),
        "uname" => ran.out = if args.is_empty() { "Linux\n".to_owned() } else { format!("Linux {} virtual\n", call.world.surroundings.hostname) },
        "date" => ran.out = date(&args, call.world.now),
        "ps" => ran.out = format!("PID   USER     TIME  COMMAND\n    1 root      0:00 {}\n", call.world.surroundings.main),
        "df" => ran.out = "Filesystem           1K-blocks      Used Available Use% Mounted on\nvirtual                      0         0         0   0% /\n".to_owned(),
        "env" => env(call, &mut ran),
        "printenv" if plain.is_empty() => env(call, &mut ran),
        "printenv" => match variable(plain[0], call.variables, call.world.surroundings) {
            Some(value) => ran.out = format!("{value}\n"),
            None => ran.status = 1,
        },
        // Only TERM and its like: the kernel keeps the first process of a container from being killed from inside.
        "kill" => match plain.last() {
            Some(&"1") => ran.stops_main = !args.iter().any(|arg| matches!(*arg, "-9" | "-KILL" | "-0" | "-SIGKILL")),
            Some(other) => ran.failed(&format!("sh: can't kill pid {other}: No such process")),
            None => ran.failed("sh: you need to specify whom to kill"),
        },
        "nginx" if matches!(args.as_slice(), ["-s", "quit" | "stop"]) => ran.stops_main = true,
        "killall" | "pkill" if flag('0') => ran.failed(&format!("{name}: no process found")),
        "killall" | "pkill" => ran.stops_main = true,
        _ if call.world.forgiving => {}
        _ => {
            ran.err = nothing_runs(&argv[0]);
            ran.status = 127;
        }
    }
    ran
}

fn echo(args: &[&str]) -> String {
    let flags = args.iter().take_while(|arg| matches!(**arg, "-n" | "-e" | "-ne" | "-en")).count();
    let (flags, words) = args.split_at(flags);
    let text = words.join(" ");
    let text = if flags.iter().any(|flag| flag.contains('e')) { escapes(&text) } else { text };
    if flags.iter().any(|flag| flag.contains('n')) { text } else { format!("{text}\n") }
}

fn escapes(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\")
}

/// `%s`, `%d` and `%%`; the format is used again while there are arguments.
fn printf(args: &[&str]) -> String {
    let Some((format, mut rest)) = args.split_first() else { return String::new() };
    let format = escapes(format);
    let mut out = String::new();
    loop {
        let before = rest.len();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            match (c, if c == '%' { chars.next() } else { None }) {
                ('%', Some('%')) => out.push('%'),
                ('%', Some(_)) => {
                    if let Some((first, others)) = rest.split_first() {
                        out.push_str(first);
                        rest = others;
                    }
                }
                (c, _) => out.push(c),
            }
        }
        if rest.is_empty() || rest.len() == before {
            return out;
        }
    }
}

fn seq(args: &[&str], ran: &mut Ran) {
    let numbers: Option<Vec<i64>> = args.iter().map(|arg| arg.parse().ok()).collect();
    let (first, last) = match numbers.as_deref() {
        Some([last]) => (1, *last),
        Some([first, last]) => (*first, *last),
        _ => return ran.failed("seq: expected FIRST and LAST"),
    };
    for number in (first..=last).take(100_000) {
        ran.out.push_str(&format!("{number}\n"));
    }
}

fn cat(call: &Call<'_, '_>, paths: &[&str], ran: &mut Ran) {
    for path in if paths.is_empty() { &["-"] } else { paths } {
        match call.read(path) {
            Ok(text) => ran.out.push_str(&text),
            Err("Is a directory") => ran.failed("cat: read error: Is a directory"),
            Err(why) => ran.failed(&format!("cat: can't open '{path}': {why}")),
        }
    }
}

/// How many lines `head` and `tail` are asked for, and of which files.
fn ends_of<'a>(args: &[&'a str]) -> (usize, Vec<&'a str>) {
    let mut wanted = 10;
    let mut paths = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.strip_prefix('-') {
            Some("") => paths.push(*arg),
            Some("n") => wanted = args.next().and_then(|n| n.parse().ok()).unwrap_or(wanted),
            Some(number) => wanted = number.trim_start_matches('n').parse().unwrap_or(wanted),
            None => paths.push(*arg),
        }
    }
    (wanted, paths)
}

fn ends(name: &str, args: &[&str], call: &Call<'_, '_>, ran: &mut Ran) {
    let (wanted, paths) = ends_of(args);
    let mut all = Ran::default();
    cat(call, &paths, &mut all);
    let lines: Vec<&str> = all.out.split_inclusive('\n').collect();
    let chosen =
        if name == "head" { &lines[..wanted.min(lines.len())] } else { &lines[lines.len().saturating_sub(wanted)..] };
    *ran = Ran { out: chosen.concat(), err: all.err.replace("cat:", &format!("{name}:")), ..all };
}

fn tee(paths: &[&str], append: bool, call: &mut Call<'_, '_>, ran: &mut Ran) {
    for path in paths {
        let full = call.path(path);
        if let Err(why) = call.world.files.write(&full, call.input, append) {
            ran.failed(&format!("tee: {path}: {why}"));
        }
    }
    ran.out = call.input.to_owned();
}

fn wc(paths: &[&str], lines: bool, call: &Call<'_, '_>, ran: &mut Ran) {
    for path in if paths.is_empty() { &["-"] } else { paths } {
        let name = if paths.is_empty() { String::new() } else { format!(" {path}") };
        match call.read(path) {
            Ok(text) if lines => ran.out.push_str(&format!("{}{name}\n", text.matches('\n').count())),
            Ok(text) => {
                let (lines, words) = (text.matches('\n').count(), text.split_whitespace().count());
                ran.out.push_str(&format!("{lines:>9} {words:>9} {:>9}{name}\n", text.len()));
            }
            Err(why) => ran.failed(&format!("wc: {path}: {why}")),
        }
    }
}

/// Fixed text only.
fn grep(args: &[&str], quiet: bool, inverted: bool, call: &Call<'_, '_>, ran: &mut Ran) {
    let Some((pattern, paths)) = args.split_first() else { return ran.failed("grep: no pattern") };
    let mut all = Ran::default();
    cat(call, paths, &mut all);
    let found: String = all.out.split_inclusive('\n').filter(|line| line.contains(pattern) != inverted).collect();
    ran.status = if all.status == 0 { i32::from(found.is_empty()) } else { 2 };
    ran.err = all.err.replace("cat:", "grep:");
    ran.out = if quiet { String::new() } else { found };
}

fn ls(paths: &[&str], long: bool, call: &Call<'_, '_>, ran: &mut Ran) {
    let here = [call.directory];
    let paths = if paths.is_empty() { &here } else { paths };
    for path in paths {
        let full = call.path(path);
        let shown = |name: &str, folder: bool, size: usize| {
            let mode = if folder { "drwxr-xr-x" } else { "-rw-r--r--" };
            if long { format!("{mode}    1 root     root     {size:>9} {name}\n") } else { format!("{name}\n") }
        };
        if call.world.files.is_folder(&full) {
            for name in call.world.files.list(&full) {
                let inner = join(&full, &name);
                let size = call.world.read(&inner).map_or(0, |text| text.len());
                ran.out.push_str(&shown(&name, call.world.files.is_folder(&inner), size));
            }
        } else {
            match call.world.read(&full) {
                Ok(text) => ran.out.push_str(&shown(path, false, text.len())),
                Err(why) => ran.failed(&format!("ls: {path}: {why}")),
            }
        }
    }
}

fn touch(paths: &[&str], call: &mut Call<'_, '_>, ran: &mut Ran) {
    for path in paths {
        let full = call.path(path);
        if !call.world.files.exists(&full)
            && let Err(why) = call.world.files.write(&full, "", true)
        {
            ran.failed(&format!("touch: {path}: {why}"));
        }
    }
}

fn rm(paths: &[&str], force: bool, recursive: bool, call: &mut Call<'_, '_>, ran: &mut Ran) {
    for path in paths {
        let full = call.path(path);
        if call.world.files.is_folder(&full) && !recursive {
            ran.failed(&format!("rm: '{path}' is a directory"));
        } else if !call.world.files.remove(&full) && !force {
            ran.failed(&format!("rm: can't remove '{path}': No such file or directory"));
        }
    }
}

fn copy(name: &str, paths: &[&str], call: &mut Call<'_, '_>, ran: &mut Ran) {
    let [from, to] = paths else { return ran.failed(&format!("{name}: expected FROM and TO")) };
    let (source, mut target) = (call.path(from), call.path(to));
    if call.world.files.is_folder(&target) {
        target = join(&target, base_name(from));
    }
    let written = call.world.read(&source).and_then(|text| call.world.files.write(&target, &text, false));
    match written {
        Ok(()) if name == "mv" && source != target => {
            call.world.files.remove(&source);
        }
        Ok(()) => {}
        Err(why) => ran.failed(&format!("{name}: can't stat '{from}': {why}")),
    }
}

/// What `test` is asked.
fn holds(words: &[&str], call: &Call<'_, '_>) -> bool {
    let files = &call.world.files;
    let number = |word: &str| word.parse::<i64>().unwrap_or(0);
    match words {
        ["!", rest @ ..] => !holds(rest, call),
        ["-f" | "-s", path] => call.world.read(&call.path(path)).is_ok_and(|text| words[0] == "-f" || !text.is_empty()),
        ["-d", path] => files.is_folder(&call.path(path)),
        ["-e" | "-r" | "-w", path] => files.exists(&call.path(path)) || call.world.read(&call.path(path)).is_ok(),
        ["-z", text] => text.is_empty(),
        ["-n", text] | [text] => !text.is_empty(),
        [left, "=" | "==", right] => left == right,
        [left, "!=", right] => left != right,
        [left, operator, right] => {
            let (left, right) = (number(left), number(right));
            match *operator {
                "-eq" => left == right,
                "-ne" => left != right,
                "-lt" => left < right,
                "-le" => left <= right,
                "-gt" => left > right,
                "-ge" => left >= right,
                _ => false,
            }
        }
        _ => false,
    }
}

fn id(user: i64, only: bool, ran: &mut Ran) {
    let name = if user == 0 { "(root)" } else { "" };
    ran.out =
        if only { format!("{user}\n") } else { format!("uid={user}{name} gid={user}{name} groups={user}{name}\n") };
}

/// As `date` prints it, or in the form that `+...` asks for.
fn date(args: &[&str], now: i64) -> String {
    let form = args.iter().find_map(|arg| arg.strip_prefix('+')).unwrap_or("%a %b %e %H:%M:%S UTC %Y");
    let time = Timestamp::from_nanosecond(i128::from(now)).unwrap_or(Timestamp::UNIX_EPOCH);
    match jiff::fmt::strtime::format(form, time) {
        Ok(text) => format!("{text}\n"),
        Err(_) => format!("{form}\n"),
    }
}

fn env(call: &Call<'_, '_>, ran: &mut Ran) {
    let mut all: BTreeMap<&str, &str> = ["PATH", "HOSTNAME", "HOME"]
        .iter()
        .filter_map(|name| Some((*name, variable(name, call.variables, call.world.surroundings)?)))
        .collect();
    all.extend(call.world.surroundings.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    for (name, value) in all {
        ran.out.push_str(&format!("{name}={value}\n"));
    }
}

impl World<'_> {
    /// A file's text. The error is the reason in the words of a shell.
    fn read(&self, path: &str) -> Result<String, &'static str> {
        if path == "/etc/hostname" {
            return Ok(format!("{}\n", self.surroundings.hostname));
        }
        if path == "/dev/null" {
            return Ok(String::new());
        }
        if self.files.is_folder(path) {
            return Err("Is a directory");
        }
        self.files.read(path).map(str::to_owned).ok_or("No such file or directory")
    }
}
