//! What a simulated container has printed: told again whenever somebody asks, kept nowhere.
//!
//! Lines come from three places: what its image says at the start, what it says every so often, and what its command prints. All three
//! follow from the start and the time, so a reader needs no more than an age up to which he was told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use jiff::Timestamp;

use super::VirtualEngine;
use super::containers::no_such;
use super::inside::{Change, Line};
use super::insides::Inside;
use super::state::{Container, nanos};
use crate::runtime::behaviour::Behaviour;
use crate::runtime::{Lines, LogLine, LogOptions, LogStream, Result};

/// How far back a log goes, as old files of a real one are removed.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How many lines of those that come every so often are kept at most.
const KEPT_LINES: i64 = 50_000;

/// One reader's place in a container's log.
struct Reader {
    behaviour: Arc<Behaviour>,
    inside: Inside,
    started_at: i64,
    /// Everything up to here was told.
    told: Option<i64>,
}

/// What there is to know of a container now, for a reader.
struct Now {
    changes: Vec<Change>,
    time: i64,
    /// When it ended.
    over: Option<i64>,
}

impl Reader {
    fn of(container: &Container) -> Option<Self> {
        let (started_at, _) = container.span()?;
        let behaviour = Arc::clone(&container.behaviour);
        Some(Self { behaviour, inside: container.fresh(started_at), started_at, told: None })
    }

    /// The lines after those that were told, up to `until` and not before `wanted`.
    fn read(&mut self, until: i64, wanted: i64, changes: &[Change]) -> Vec<Line> {
        let mut lines = Vec::new();
        let out = |at, text: &str| Line { at, stream: LogStream::Stdout, text: format!("{text}\n") };
        if self.told.is_none() && self.started_at >= wanted {
            lines.extend(self.behaviour.log_start.iter().map(|text| out(self.started_at, text)));
        }
        for n in self.numbers(until, wanted) {
            let at = self.started_at + n * nanos(self.behaviour.log_every);
            let choice = usize::try_from(n - 1).unwrap_or(0) % self.behaviour.log_line.len();
            let time = || Timestamp::from_nanosecond(i128::from(at)).unwrap_or_default().to_string();
            let text = self.behaviour.log_line[choice].replace("{n}", &n.to_string());
            lines.push(out(at, &if text.contains("{time}") { text.replace("{time}", &time()) } else { text }));
        }
        let Inside { process, surroundings } = &mut self.inside;
        process.advance(until, wanted, changes, surroundings, &mut |line| lines.push(line));
        self.told = Some(until);
        lines.sort_by_key(|line| line.at);
        lines
    }

    /// The numbers, from 1, of the regular lines that are due.
    fn numbers(&self, until: i64, wanted: i64) -> std::ops::RangeInclusive<i64> {
        let every = nanos(self.behaviour.log_every);
        if self.behaviour.log_line.is_empty() {
            #[allow(clippy::reversed_empty_ranges)]
            return 1..=0;
        }
        let last = (until - self.started_at) / every;
        let told = self.told.map_or(0, |told| (told - self.started_at) / every);
        let wanted = wanted.saturating_sub(self.started_at).saturating_add(every - 1).div_euclid(every);
        (told + 1).max(wanted).max(last - KEPT_LINES)..=last
    }

    /// When the next line may come.
    fn next_at(&self) -> Option<i64> {
        let every = nanos(self.behaviour.log_every);
        let told = self.told.unwrap_or(self.started_at);
        let regular = (!self.behaviour.log_line.is_empty())
            .then(|| self.started_at + ((told - self.started_at) / every + 1) * every);
        [regular, self.inside.process.next_at()].into_iter().flatten().min()
    }
}

impl VirtualEngine {
    /// The log of a container, which may still grow.
    pub(super) fn log(&self, id: &str, options: LogOptions) -> Result<Lines> {
        let (reader, now) = {
            let state = self.state.lock();
            let container = state.containers.get(id).ok_or_else(|| no_such("container", id))?;
            (Reader::of(container), self.now_of(container))
        };
        let since = options.since.map_or(i64::MIN, |since| i64::try_from(since.as_nanosecond()).unwrap_or(i64::MAX));
        let wanted = since.max(now.time - nanos(KEPT));
        let Some(mut reader) = reader else {
            // One that is only created may print later; one whose start failed never will.
            return Ok(if options.follow && now.over.is_none() {
                self.following(id, None, since)
            } else {
                stream::empty().boxed()
            });
        };
        let mut lines = reader.read(now.over.unwrap_or(now.time), wanted, &now.changes);
        if let Some(tail) = options.tail {
            let surplus = lines.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX));
            lines.drain(..surplus);
        }
        let so_far = stream::iter(lines.into_iter().map(|line| Ok(told(line))));
        if !options.follow || now.over.is_some() {
            return Ok(so_far.boxed());
        }
        Ok(so_far.chain(self.following(id, Some(reader), since)).boxed())
    }

    /// Lines from now on, until the container ends or is removed.
    pub(super) fn following_from_now(&self, id: &str) -> Result<Lines> {
        let state = self.state.lock();
        let container = state.containers.get(id).ok_or_else(|| no_such("container", id))?;
        let now = self.now_of(container);
        let mut reader = Reader::of(container);
        if let Some(reader) = &mut reader {
            reader.read(now.time, i64::MAX, &now.changes);
        }
        Ok(self.following(id, reader, i64::MIN))
    }

    fn now_of(&self, container: &Container) -> Now {
        let over = match &container.life {
            super::state::Life::Exited { exit, .. } => Some(exit.at),
            _ => None,
        };
        Now { changes: container.changes.clone(), time: self.now(), over }
    }

    fn following(&self, id: &str, reader: Option<Reader>, wanted: i64) -> Lines {
        let (engine, id) = (self.me.clone(), id.to_owned());
        let changed = self.changed.subscribe();
        let batches = stream::unfold((reader, changed, false), move |(mut reader, mut changed, over)| {
            let (engine, id) = (engine.clone(), id.clone());
            async move {
                if over {
                    return None;
                }
                loop {
                    let engine = engine.upgrade()?;
                    changed.borrow_and_update();
                    let now = {
                        let state = engine.state.lock();
                        let container = state.containers.get(&id)?;
                        if reader.is_none() {
                            reader = Reader::of(container);
                        }
                        engine.now_of(container)
                    };
                    let until = now.over.unwrap_or(now.time);
                    let lines =
                        reader.as_mut().map(|reader| reader.read(until, wanted, &now.changes)).unwrap_or_default();
                    if !lines.is_empty() || now.over.is_some() {
                        return Some((lines, (reader, changed, now.over.is_some())));
                    }
                    let next = reader.as_ref().and_then(Reader::next_at);
                    let wait = next
                        .map_or(Duration::MAX, |at| Duration::from_nanos(u64::try_from(at - now.time).unwrap_or(1)));
                    tokio::select! {
                        () = engine.clock.sleep(wait) => {}
                        alive = changed.changed() => alive.ok()?,
                    }
                }
            }
        });
        batches.flat_map(|lines| stream::iter(lines.into_iter().map(|line| Ok(told(line))))).boxed()
    }
}

fn told(line: Line) -> LogLine {
    let time = Timestamp::from_nanosecond(i128::from(line.at)).unwrap_or_default();
    LogLine { time, stream: line.stream, content: Bytes::from(line.text) }
}
