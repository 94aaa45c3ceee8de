//! Reading a log file: from the end without reading everything, and on as it grows.
//!
//! A task reads and hands over lines through a bounded channel, so a slow reader delays only itself. It waits for the kernel's word
//! (inotify) that the file has grown or another one has taken its name; it never asks again and again.

use std::fs::Metadata;
use std::io::{self, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use futures::StreamExt;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::decode;
use crate::runtime::{Lines, LogLine, LogOptions, Result, RuntimeError};

/// How much is read at a time.
const BLOCK: usize = 64 * 1_024;

/// How many lines wait for a reader.
const READ_AHEAD: usize = 64;

/// The lines of the log file at `path`. With [`LogOptions::follow`] until `ended` resolves and all is told that was written before;
/// a file that was rotated away is read to its end first. Records that are none are skipped.
///
/// # Errors
/// `NotFound` when there is no such file.
pub async fn read(
    path: PathBuf,
    options: LogOptions,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Result<Lines> {
    // Watched from before the first look, so that no change is missed.
    let changes = if options.follow { Some(Changes::of(&path).map_err(|why| failed(&path, &why))?) } else { None };
    let mut file = File::open(&path).await.map_err(|why| failed(&path, &why))?;
    if let Some(lines) = options.tail {
        let start = start_of_tail(&mut file, lines).await.map_err(|why| failed(&path, &why))?;
        file.seek(SeekFrom::Start(start)).await.map_err(|why| failed(&path, &why))?;
    }
    let (lines, told) = mpsc::channel(READ_AHEAD);
    let mut reader = Reader { path, file, rest: BytesMut::new(), options, lines };
    tokio::spawn(async move {
        let read = reader.run(changes, ended).await;
        if let Err(Stop::Failed(why)) = read {
            let error = failed(&reader.path, &why);
            // Nobody reads any more: then nobody wants to know.
            let _ = reader.lines.send(Err(error)).await;
        }
    });
    Ok(ReceiverStream::new(told).boxed())
}

/// The text of the last lines of a file: at most `lines` of them, and at most `bytes`, counted from the end.
pub async fn last_lines(path: &Path, lines: u64, bytes: usize) -> Result<String> {
    let options = LogOptions { tail: Some(lines), ..LogOptions::default() };
    let mut told = read(path.to_owned(), options, std::future::ready(())).await?;
    let mut text = Vec::new();
    while let Some(line) = told.next().await {
        text.extend_from_slice(&line?.content);
    }
    let start = text.len().saturating_sub(bytes);
    Ok(String::from_utf8_lossy(&text[start..]).into_owned())
}

fn failed(path: &Path, why: &io::Error) -> RuntimeError {
    let message = format!("failed to read log file {:?}: {why}", path.display().to_string());
    if why.kind() == io::ErrorKind::NotFound {
        RuntimeError::not_found(message)
    } else {
        RuntimeError::unknown(message)
    }
}

/// Why reading stops before the end.
enum Stop {
    /// The file cannot be read.
    Failed(io::Error),
    /// Nobody listens any more.
    NotWanted,
}

impl From<io::Error> for Stop {
    fn from(why: io::Error) -> Self {
        Self::Failed(why)
    }
}

struct Reader {
    path: PathBuf,
    file: File,
    /// The begin of a record whose end has not been read.
    rest: BytesMut,
    options: LogOptions,
    lines: mpsc::Sender<Result<LogLine>>,
}

impl Reader {
    async fn run(
        &mut self,
        changes: Option<Changes>,
        ended: impl Future<Output = ()> + Send,
    ) -> std::result::Result<(), Stop> {
        let Some(changes) = changes else { return self.rest_of_file().await };
        let mut ended = std::pin::pin!(ended);
        loop {
            self.rest_of_file().await?;
            if self.next_file().await? {
                continue;
            }
            let unwanted = self.lines.clone();
            tokio::select! {
                biased;
                () = unwanted.closed() => return Err(Stop::NotWanted),
                changed = changes.wait() => changed?,
                () = &mut ended => {
                    self.rest_of_file().await?;
                    while self.next_file().await? {
                        self.rest_of_file().await?;
                    }
                    return Ok(());
                }
            }
        }
    }

    async fn rest_of_file(&mut self) -> std::result::Result<(), Stop> {
        loop {
            self.rest.reserve(BLOCK);
            if self.file.read_buf(&mut self.rest).await? == 0 {
                return Ok(());
            }
            while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let record = self.rest.split_to(end + 1);
                let Some(line) = decode(&record[..end]) else { continue };
                if self.options.since.is_some_and(|since| line.time < since) {
                    continue;
                }
                self.lines.send(Ok(line)).await.map_err(|_| Stop::NotWanted)?;
            }
        }
    }

    /// Goes on with the file that has the name now, if it is another one. What was written to the old one is read before.
    async fn next_file(&mut self) -> std::result::Result<bool, Stop> {
        let next = match File::open(&self.path).await {
            Ok(next) => next,
            // Renamed, and the new one is not there yet.
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(why) => return Err(why.into()),
        };
        if same(&self.file.metadata().await?, &next.metadata().await?) {
            return Ok(false);
        }
        self.rest_of_file().await?;
        self.file = next;
        self.rest.clear();
        Ok(true)
    }
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Where the last `lines` records begin, found from the end backwards.
async fn start_of_tail(file: &mut File, lines: u64) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok(end);
    }
    let mut wanted = lines;
    let mut block = vec![0; BLOCK];
    let mut at = end;
    while at > 0 {
        let length = at.min(BLOCK as u64);
        at -= length;
        let block = &mut block[..usize::try_from(length).unwrap_or(BLOCK)];
        file.seek(SeekFrom::Start(at)).await?;
        file.read_exact(block).await?;
        for (index, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = at + index as u64 + 1;
            // The newline at the very end ends the last line; it does not begin one.
            if after == end {
                continue;
            }
            wanted = wanted.saturating_sub(1);
            if wanted == 0 {
                return Ok(after);
            }
        }
    }
    Ok(0)
}

/// The kernel's word about a file and the folder it is in. Its descriptor is read like a pipe's; what it says does not matter, as the reader
/// looks for itself.
struct Changes(pipe::Receiver);

impl Changes {
    fn of(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        // The folder tells of changes of all files in it: of the one that has the name, whichever that is.
        let folder = path.parent().unwrap_or(Path::new("."));
        inotify.add_watch(folder, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO)?;
        Ok(Self(pipe::Receiver::from_owned_fd_unchecked(inotify.as_fd().try_clone_to_owned()?)?))
    }

    /// Returns when something may have changed since the last call.
    async fn wait(&self) -> io::Result<()> {
        self.0.readable().await?;
        let mut told = [0; 4_096];
        // Until there is nothing more.
        while self.0.try_read(&mut told).is_ok() {}
        Ok(())
    }
}
