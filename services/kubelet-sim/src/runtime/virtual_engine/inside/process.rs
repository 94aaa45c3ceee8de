//! A program in time: what it printed when, what it did to files, and when it exits.

use std::sync::Arc;

use super::files::{Change, Files};
use super::machine::{Machine, Step, World};
use super::program::Program;
use crate::runtime::LogStream;

/// How many commands are gone through at once before a process counts as one that never ends.
const STEPS: usize = 200_000;

/// What a container gives its processes besides files.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Surroundings {
    pub(in super::super) env: Vec<(String, String)>,
    pub(in super::super) hostname: String,
    pub(in super::super) user: i64,
    /// Where processes begin.
    pub(in super::super) directory: String,
    /// The container's own command, as a list of processes shows it.
    pub(in super::super) main: String,
}

/// Something printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Line {
    pub(in super::super) at: i64,
    pub(in super::super) stream: LogStream,
    pub(in super::super) text: String,
}

/// Where a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Its next step comes at this time.
    Next(i64),
    Stays,
    Exited(i64, i32),
}

/// A container's main process with its view of the files.
#[derive(Clone, Debug)]
pub(in super::super) struct Process {
    machine: Machine,
    files: Files,
    place: Place,
    /// How many of others' changes it has seen.
    seen: usize,
    /// What all was like when a loop last began again.
    mark: Option<(Machine, u64, i64)>,
}

impl Process {
    pub(in super::super) fn new(
        program: Arc<Program>,
        files: Files,
        surroundings: &Surroundings,
        started_at: i64,
    ) -> Self {
        let machine = Machine::new(program, &surroundings.directory);
        Self { machine, files, place: Place::Next(started_at), seen: 0, mark: None }
    }

    /// The files as of the time that was last advanced to.
    pub(in super::super) fn files(&mut self) -> &mut Files {
        &mut self.files
    }

    /// Of the changes, so many have been made on its own files already.
    pub(in super::super) fn has_seen(&mut self, changes: usize) {
        self.seen = changes;
    }

    /// When something happens next, as far as it depends on this process.
    pub(in super::super) fn next_at(&self) -> Option<i64> {
        match self.place {
            Place::Next(at) => Some(at),
            _ => None,
        }
    }

    /// How it ends by itself if nobody changes a file any more.
    pub(in super::super) fn exit(&self, changes: &[Change], surroundings: &Surroundings) -> Option<(i64, i32)> {
        let mut ahead = self.clone();
        ahead.advance(i64::MAX, i64::MAX, changes, surroundings, &mut |_| {});
        match ahead.place {
            Place::Exited(at, code) => Some((at, code)),
            _ => None,
        }
    }

    /// Goes on until `until`, telling what is printed from `wanted` on. `changes` are all that others have made to the files, in their order.
    pub(in super::super) fn advance(
        &mut self,
        until: i64,
        wanted: i64,
        changes: &[Change],
        surroundings: &Surroundings,
        say: &mut dyn FnMut(Line),
    ) {
        for _ in 0..STEPS {
            let Place::Next(at) = self.place else { break };
            if at > until {
                break;
            }
            self.see(changes, at);
            let mut world = World { files: &mut self.files, surroundings, now: at, forgiving: false };
            let step = self.machine.step(&mut world);
            // What the process itself does needs no record: it does it again whenever it is gone through.
            self.files.take_changes(at);
            match step {
                Step::Ran { out, err, .. } => {
                    for (stream, text) in [(LogStream::Stdout, out), (LogStream::Stderr, err)] {
                        for text in text.split_inclusive('\n').filter(|_| at >= wanted) {
                            say(Line { at, stream, text: text.to_owned() });
                        }
                    }
                }
                Step::Sleeps(time) => self.place = Place::Next(at.saturating_add(super::super::state::nanos(time))),
                Step::Stays | Step::Reads => self.place = Place::Stays,
                Step::Exited(code) => self.place = Place::Exited(at, code),
                Step::Again => {
                    let next_change = changes.get(self.seen).map(|change| change.at);
                    if self.again(at, until, wanted, next_change) {
                        return;
                    }
                }
            }
        }
        self.see(changes, until);
    }

    fn see(&mut self, changes: &[Change], until: i64) {
        while let Some(change) = changes.get(self.seen).filter(|change| change.at <= until) {
            self.files.apply(change);
            self.seen += 1;
        }
    }

    /// A loop begins again. If all is as it was the last time, it will go on like this until somebody changes a file, so most rounds can be
    /// skipped. Answers whether that is for ever.
    fn again(&mut self, at: i64, until: i64, wanted: i64, next_change: Option<i64>) -> bool {
        let version = self.files.version();
        let same = self.mark.take().filter(|(machine, seen, _)| *seen == version && machine.is_where(&self.machine));
        // A round that takes no time would never come to an end.
        const ROUND: i64 = 1_000_000;
        let mut next = at;
        if let Some((_, _, before)) = &same {
            let period = (at - before).max(ROUND);
            if at == *before {
                next += ROUND;
            }
            match (until, next_change) {
                (i64::MAX, None) => return true,
                (until, change) => {
                    let quiet = until.min(change.unwrap_or(i64::MAX)).min(wanted);
                    next += ((quiet - next) / period - 1).max(0) * period;
                }
            }
        }
        self.place = Place::Next(next);
        self.mark = Some((self.machine.clone(), version, next));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn program(script: &str) -> Arc<Program> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        Arc::new(Program::of(&argv).unwrap())
    }

    fn process(script: &str) -> Process {
        Process::new(program(script), Files::default(), &Surroundings::default(), 0)
    }

    fn change(at: i64, path: &str, content: Option<&str>) -> Change {
        Change { at: at * SECOND, path: path.to_owned(), content: content.map(str::to_owned) }
    }

    fn said(process: &mut Process, until: i64, wanted: i64, changes: &[Change]) -> Vec<(i64, String)> {
        let mut lines = Vec::new();
        process.advance(until * SECOND, wanted * SECOND, changes, &Surroundings::default(), &mut |line| {
            lines.push((line.at / SECOND, line.text));
        });
        lines
    }

    const INIT: &str = "until cat /root/myapp; do echo no such file!; sleep 2; done; echo done";

    /// I1, I6
    #[test]
    fn a_loop_waits_until_somebody_makes_its_file() {
        let touched = [change(5, "/root/myapp", Some(""))];
        assert_eq!(process(INIT).exit(&[], &Surroundings::default()), None);
        assert_eq!(process(INIT).exit(&touched, &Surroundings::default()), Some((6 * SECOND, 0)));
        let mut process = process(INIT);
        let told: Vec<_> =
            said(&mut process, 100, 0, &touched).into_iter().filter(|(_, text)| !text.starts_with("cat")).collect();
        let line = |at, text: &str| (at, format!("{text}\n"));
        assert_eq!(
            told,
            [line(0, "no such file!"), line(2, "no such file!"), line(4, "no such file!"), line(6, "done")]
        );
    }

    #[test]
    fn a_day_of_waiting_is_skipped_where_nobody_listens() {
        let day = 86_400;
        let mut process = process(INIT);
        let lines = said(&mut process, day, day - 3, &[]);
        let times: Vec<_> = lines.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [day - 2, day - 2, day, day], "a complaint and a line, every other second");
        let touched = [change(day + 1, "/root/myapp", Some("here\n"))];
        assert_eq!(process.exit(&touched, &Surroundings::default()), Some(((day + 2) * SECOND, 0)));
        assert_eq!(
            said(&mut process, day + 9, 0, &touched),
            [(day + 2, "here\n".to_owned()), (day + 2, "done\n".to_owned())]
        );
    }

    #[test]
    fn going_on_in_parts_tells_the_same_as_at_once() {
        let script = "i=0; while true; do echo \"$i\"; i=$((i+1)); sleep 1; done";
        let whole = said(&mut process(script), 50, 0, &[]);
        assert_eq!((whole.len(), whole[50].1.as_str()), (51, "50\n"));
        let mut parts = process(script);
        let told: Vec<_> = (0..=50).flat_map(|until| said(&mut parts, until, 0, &[])).collect();
        assert_eq!(told, whole);
    }

    #[test]
    fn files_are_as_of_the_time_that_is_asked_about() {
        // The liveness example of the Kubernetes documentation.
        let mut process = process("touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600");
        for (at, healthy) in [(0, true), (29, true), (30, false), (600, false)] {
            said(&mut process, at, 0, &[]);
            assert_eq!(process.files().read("/tmp/healthy").is_some(), healthy, "{at} s");
        }
        assert_eq!(process.exit(&[], &Surroundings::default()), Some((630 * SECOND, 0)));
    }

    #[test]
    fn a_loop_that_takes_no_time_does_no_harm() {
        assert_eq!(process("while true; do :; done").exit(&[], &Surroundings::default()), None);
        assert!(said(&mut process("while true; do echo hot; done"), 1, 0, &[]).len() >= 1_000);
    }
}
