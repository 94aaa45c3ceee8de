//! The engine's memory on disk, so that simulated containers survive their kubelet as real ones do.
//!
//! One append-only file per process holds length-delimited protobuf records, each the whole new state of one thing, or its removal.
//! The last record of a thing wins. A thread writes behind the engines and gives every record to the operating system at once, without
//! fsync: what has been done survives the death of the process, not that of the machine, whose containers would be gone as well.
//! The file is rewritten without what is superseded when it is opened and whenever it has grown fourfold.
//!
//! Invariant: records of one node are written in the order in which they happened. A last record that was cut short is dropped.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use nix::fcntl::{Flock, FlockArg};
use prost::Message;
use tokio::sync::oneshot;

use crate::cri;

/// One line of the journal.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Record {
    /// Whose engine it is.
    #[prost(string, tag = "1")]
    pub(super) node: String,
    /// The sandbox's or container's id, or the image's canonical name.
    #[prost(string, tag = "2")]
    pub(super) id: String,
    /// None: it was removed.
    #[prost(oneof = "Thing", tags = "3, 4, 5")]
    pub(super) thing: Option<Thing>,
}

/// What a record describes.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Thing {
    #[prost(message, tag = "3")]
    Sandbox(Box<SandboxRecord>),
    #[prost(message, tag = "4")]
    Container(Box<ContainerRecord>),
    #[prost(message, tag = "5")]
    Image(Box<cri::Image>),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SandboxRecord {
    #[prost(message, required, tag = "1")]
    pub(super) config: cri::PodSandboxConfig,
    #[prost(bool, tag = "2")]
    pub(super) ready: bool,
    #[prost(int64, tag = "3")]
    pub(super) created_at: i64,
    /// Empty: none.
    #[prost(string, tag = "4")]
    pub(super) address: String,
    #[prost(string, tag = "5")]
    pub(super) runtime_handler: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ContainerRecord {
    #[prost(string, tag = "1")]
    pub(super) sandbox: String,
    #[prost(message, required, tag = "2")]
    pub(super) config: cri::ContainerConfig,
    #[prost(message, required, tag = "3")]
    pub(super) image: cri::Image,
    #[prost(int64, tag = "4")]
    pub(super) created_at: i64,
    #[prost(enumeration = "cri::ContainerState", tag = "5")]
    pub(super) state: i32,
    #[prost(int64, tag = "6")]
    pub(super) started_at: i64,
    /// The exit that happened, or the one that is due.
    #[prost(message, optional, tag = "7")]
    pub(super) exit: Option<ExitRecord>,
    /// What others have done to its files.
    #[prost(message, repeated, tag = "8")]
    pub(super) changes: Vec<ChangeRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ChangeRecord {
    #[prost(int64, tag = "1")]
    pub(super) at: i64,
    #[prost(string, tag = "2")]
    pub(super) path: String,
    /// None: the file was removed.
    #[prost(string, optional, tag = "3")]
    pub(super) content: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExitRecord {
    #[prost(int64, tag = "1")]
    pub(super) at: i64,
    #[prost(int32, tag = "2")]
    pub(super) code: i32,
    #[prost(string, tag = "3")]
    pub(super) reason: String,
    #[prost(string, tag = "4")]
    pub(super) message: String,
}

/// A handle on the process's journal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    writer: Sender<Order>,
}

enum Order {
    Write(Box<Record>),
    Flush(oneshot::Sender<()>),
}

/// What a journal held when it was opened, per node, in the order of first appearance.
#[derive(Debug, Default)]
pub struct Recovered {
    records: HashMap<String, Vec<Record>>,
}

impl Recovered {
    /// The records of one node.
    pub(super) fn take(&mut self, node: &str) -> Vec<Record> {
        self.records.remove(node).unwrap_or_default()
    }
}

impl Journal {
    /// Opens or creates the journal in a directory, which it creates and locks: a second kubelet on it is refused with
    /// [`io::ErrorKind::ResourceBusy`].
    pub fn open(directory: &Path) -> io::Result<(Self, Recovered)> {
        fs::create_dir_all(directory)?;
        let lock = lock(directory)?;
        let path = directory.join("runtime.journal");
        compact(&path)?;
        let mut recovered = Recovered::default();
        for record in read(&path)? {
            recovered.records.entry(record.node.clone()).or_default().push(record);
        }
        let file = OpenOptions::new().append(true).open(&path)?;
        let (writer, orders) = channel();
        let thread = std::thread::Builder::new().name("journal".to_owned());
        thread.spawn(move || {
            let _held_while_writing = lock;
            if let Err(error) = write_behind(file, &path, &orders) {
                tracing::error!(%error, path = %path.display(), "the journal cannot be written; containers will not survive this process");
            }
        })?;
        Ok((Self { writer }, recovered))
    }

    pub(super) fn write(&self, record: Record) {
        // The writer is gone only after an error that it has reported.
        let _ = self.writer.send(Order::Write(Box::new(record)));
    }

    /// Returns when everything written so far is with the operating system.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.writer.send(Order::Flush(done)).is_ok() {
            let _ = flushed.await;
        }
    }
}

fn lock(directory: &Path) -> io::Result<Flock<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(directory.join("lock"))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        let problem = format!("{} is in use by another kubelet; choose another --root-dir", directory.display());
        io::Error::new(io::ErrorKind::ResourceBusy, problem)
    })
}

fn write_behind(mut file: File, path: &Path, orders: &Receiver<Order>) -> io::Result<()> {
    let mut size = file.metadata()?.len();
    let mut threshold = next_threshold(size);
    let mut buffer = Vec::new();
    while let Ok(first) = orders.recv() {
        let mut flushed = Vec::new();
        for order in std::iter::once(first).chain(orders.try_iter().take(1_000)) {
            match order {
                Order::Write(record) => record.encode_length_delimited(&mut buffer).expect("a Vec grows as needed"),
                Order::Flush(done) => flushed.push(done),
            }
        }
        file.write_all(&buffer)?;
        size += buffer.len() as u64;
        buffer.clear();
        for done in flushed {
            let _ = done.send(());
        }
        if size > threshold {
            compact(path)?;
            file = OpenOptions::new().append(true).open(path)?;
            size = file.metadata()?.len();
            threshold = next_threshold(size);
        }
    }
    Ok(())
}

fn next_threshold(size: u64) -> u64 {
    const SMALLEST: u64 = 16 << 20;
    SMALLEST.max(size.saturating_mul(4))
}

/// Rewrites the file with only what is live. The new file replaces the old one in one step. Of the records, which may be many, only one is in
/// memory at a time, and none is decoded.
fn compact(path: &Path) -> io::Result<()> {
    let fresh: PathBuf = path.with_extension("new");
    let mut out = BufWriter::new(File::create(&fresh)?);
    match File::open(path) {
        Ok(old) => {
            let mut bytes = Vec::new();
            for (at, length) in live(&old)? {
                bytes.resize(length, 0);
                old.read_exact_at(&mut bytes, at)?;
                out.write_all(&bytes)?;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    out.flush()?;
    fs::rename(&fresh, path)
}

/// Whose record it is: what a [`Record`] begins with. The rest is skipped.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct Head {
    #[prost(string, tag = "1")]
    node: String,
    #[prost(string, tag = "2")]
    id: String,
}

/// Where the last record of each thing that is still there lies, and its length; in the order in which the things appeared first, since a
/// container is nothing without its sandbox.
fn live(file: &File) -> io::Result<Vec<(u64, usize)>> {
    let (mut file, mut bytes, mut at) = (BufReader::new(file), Vec::new(), 0);
    let mut order: Vec<Option<(u64, usize)>> = Vec::new();
    let mut places: HashMap<Head, usize> = HashMap::new();
    while next_record(&mut file, &mut bytes)? {
        let Ok(head) = Head::decode_length_delimited(bytes.as_slice()) else { break };
        let here = (at, bytes.len());
        at += bytes.len() as u64;
        let is_removal = head.encode_length_delimited_to_vec().len() == bytes.len();
        match (places.get(&head).copied(), is_removal) {
            (Some(place), false) => order[place] = Some(here),
            (Some(place), true) => {
                order[place] = None;
                places.remove(&head);
            }
            (None, false) => {
                places.insert(head, order.len());
                order.push(Some(here));
            }
            (None, true) => {}
        }
    }
    Ok(order.into_iter().flatten().collect())
}

/// Reads the bytes of the next record, its length before it. False: there is none, or it was cut short.
fn next_record(file: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<bool> {
    bytes.clear();
    // The last byte of a length is the first one without the highest bit.
    while bytes.last().is_none_or(|last| last & 0x80 != 0) {
        if file.by_ref().take(1).read_to_end(bytes)? == 0 {
            return Ok(false);
        }
    }
    let Ok(length) = prost::decode_length_delimiter(bytes.as_slice()) else { return Ok(false) };
    Ok(file.take(length as u64).read_to_end(bytes)? == length)
}

/// All records of a file, decoded.
fn read(path: &Path) -> io::Result<Vec<Record>> {
    let (mut file, mut bytes, mut records) = (BufReader::new(File::open(path)?), Vec::new(), Vec::new());
    while next_record(&mut file, &mut bytes)? {
        let Ok(record) = Record::decode_length_delimited(bytes.as_slice()) else { break };
        records.push(record);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(node: &str, id: &str, size: u64) -> Record {
        Record {
            node: node.into(),
            id: id.into(),
            thing: Some(Thing::Image(Box::new(cri::Image { size, ..Default::default() }))),
        }
    }

    fn gone(node: &str, id: &str) -> Record {
        Record { node: node.into(), id: id.into(), thing: None }
    }

    #[tokio::test]
    async fn the_last_record_of_each_thing_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let (journal, recovered) = Journal::open(directory.path()).unwrap();
        assert!(recovered.records.is_empty());
        for record in [
            image("a", "x", 1),
            image("b", "x", 2),
            image("a", "y", 3),
            image("a", "x", 4),
            gone("a", "y"),
            gone("a", "never"),
        ] {
            journal.write(record);
        }
        journal.flush().await;
        let bytes = fs::read(directory.path().join("runtime.journal")).unwrap();
        let live = |bytes: &[u8]| {
            let path = directory.path().join("copy");
            fs::write(&path, bytes).unwrap();
            compact(&path).unwrap();
            read(&path).unwrap()
        };
        assert_eq!(live(&bytes), [image("a", "x", 4), image("b", "x", 2)]);
        assert_eq!(
            live(&bytes[..bytes.len() - 1]),
            [image("a", "x", 4), image("b", "x", 2)],
            "a torn end costs one record at most"
        );
        let last = image("a", "x", 4).encode_length_delimited_to_vec().len()
            + [gone("a", "y"), gone("a", "never")]
                .map(|gone| gone.encode_length_delimited_to_vec().len())
                .iter()
                .sum::<usize>();
        assert_eq!(
            live(&bytes[..bytes.len() - last + 3]),
            [image("a", "x", 1), image("b", "x", 2), image("a", "y", 3)],
            "what was there before a record that was cut short stays"
        );
    }

    #[tokio::test]
    async fn one_directory_serves_one_kubelet() {
        let directory = tempfile::tempdir().unwrap();
        let (_journal, _) = Journal::open(directory.path()).unwrap();
        let refused = Journal::open(directory.path()).unwrap_err().to_string();
        assert!(refused.contains("in use by another kubelet"), "{refused}");
    }
}
