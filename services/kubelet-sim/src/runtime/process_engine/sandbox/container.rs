//! A container in its sandbox process: started, attached to, ended.

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use futures::future::join_all;
use jiff::Timestamp;
use nix::fcntl::OFlag;
use nix::unistd::{Pid, pipe2};
use tokio::sync::{oneshot, watch};

use super::super::confinement::Cgroup;
use super::super::records::{self, ENDED, SPEC};
use super::super::spec::{ContainerSpec, PidMode};
use super::Sandbox;
use super::child::{Job, Place};
use super::output::{Output, nonblocking};
use super::process::{Process, Processes};
use super::wire::{Ended, Started, Terms};
use crate::runtime::LogStream;
use crate::runtime::log_files::last_lines;

/// What a termination message may be long, in bytes; and how much of the log stands in for one.
const MESSAGE_BYTES: usize = 4_096;
const MESSAGE_LOG_BYTES: usize = 2_048;
const MESSAGE_LOG_LINES: u64 = 80;

/// A container whose first process runs.
pub(super) struct Container {
    pub(super) spec: ContainerSpec,
    pub(super) started: Started,
    pub(super) output: Rc<Output>,
    cgroup: Cgroup,
    folder: PathBuf,
    /// Our side of its standard input, while that is open.
    stdin: RefCell<Option<OwnedFd>>,
    terminal: Option<OwnedFd>,
    /// The exit code, once there is one.
    pub(super) exit: watch::Sender<Option<i32>>,
}

impl Container {
    pub(super) fn pid(&self) -> Pid {
        Pid::from_raw(self.started.pid)
    }

    /// The descriptors that an attached client uses.
    pub(super) fn attach(&self, wanted: Terms) -> io::Result<Vec<OwnedFd>> {
        let mut descriptors = Vec::new();
        if wanted.stdin {
            let input = self.terminal.as_ref().map(AsFd::as_fd).map(|fd| fd.try_clone_to_owned());
            let stdin = self.stdin.borrow();
            let input = input.or_else(|| stdin.as_ref().map(|fd| fd.as_fd().try_clone_to_owned()));
            match input {
                Some(input) => descriptors.push(input?),
                // Its input is closed: writing finds nobody.
                None => descriptors.push(pipe2(OFlag::O_CLOEXEC)?.1),
            }
        } else if let Some(terminal) = &self.terminal {
            // For its size.
            descriptors.push(terminal.try_clone()?);
        }
        descriptors.extend(self.output.attach(wanted)?);
        Ok(descriptors)
    }

    /// The client's input has ended, or the client has gone: so has the container's, if it gets only one.
    pub(super) fn detach_stdin(&self) {
        if self.spec.stdin_once {
            self.stdin.borrow_mut().take();
        }
    }
}

impl Sandbox {
    /// Starts a container. The error, which is also recorded, is why its command could not be run.
    pub(super) async fn start(self: &Rc<Self>, id: &str, folder: &Path) -> Result<Started, String> {
        match self.launch(id, folder).await {
            Ok(started) => Ok(started),
            Err(why) => {
                let message = format!(
                    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
                     unable to start container process: error during container init: {why}: unknown"
                );
                let ended = Ended {
                    id: id.to_owned(),
                    started_at: 0,
                    at: now(),
                    code: 128,
                    reason: "StartError".to_owned(),
                    message: message.clone(),
                };
                // The engine, which hears the same, writes it down if this cannot.
                let _ = records::write(&folder.join(ENDED), &ended);
                Err(message)
            }
        }
    }

    async fn launch(self: &Rc<Self>, id: &str, folder: &Path) -> Result<Started, String> {
        let spec: ContainerSpec = records::read(&folder.join(SPEC)).map_err(|why| format!("{SPEC}: {why}"))?;
        let output = Output::open(spec.log.as_deref()).map_err(|why| format!("cannot open the log file: {why}"))?;
        let cgroup = spec.confinement.prepare(id).map_err(|why| format!("cannot make a control group: {why}"))?;
        let run = self.run(&spec, folder, &cgroup).await;
        let (process, pipes) = match run {
            Ok(run) => run,
            Err(why) => {
                let _ = cgroup.remove();
                return Err(why);
            }
        };
        let at = now();
        let started = Started { id: id.to_owned(), pid: process.pid.as_raw(), at, account: process.account };
        let container = Rc::new(Container {
            spec,
            started: started.clone(),
            output: Rc::new(output),
            cgroup,
            folder: folder.to_owned(),
            stdin: RefCell::new(pipes.stdin),
            terminal: process.terminal,
            exit: watch::Sender::new(None),
        });
        self.containers.borrow_mut().insert(id.to_owned(), Rc::clone(&container));
        let output = [(pipes.stdout, LogStream::Stdout), (pipes.stderr, LogStream::Stderr)];
        tokio::task::spawn_local(Rc::clone(self).follow(container, process.exit, output));
        Ok(started)
    }

    async fn run(&self, spec: &ContainerSpec, folder: &Path, cgroup: &Cgroup) -> Result<(Process, Streams), String> {
        let (streams, stdio) =
            Streams::new(spec.stdin && !spec.tty, !spec.tty).map_err(|why| format!("pipe: {why}"))?;
        let place = Place::New { folder, shm: &self.shm, machine: &self.machine };
        let job = |parent| Job { spec, argv: &spec.argv, tty: spec.tty, stdio, place, parent };
        let processes = match spec.pid {
            PidMode::Container => Processes::New,
            PidMode::Pod => self.namespace(self.init.unwrap_or_else(Pid::this), "pid")?,
            PidMode::Node => self.namespace(Pid::this(), "pid")?,
        };
        let map_users = |pid| spec.confinement.map_users(pid);
        let process = self.children.start(processes, job, |pid| cgroup.add(pid), map_users).await?;
        Ok((process, streams))
    }

    fn namespace(&self, pid: Pid, which: &str) -> Result<Processes, String> {
        Ok(Processes::Joined(namespace(pid, which)?))
    }

    /// Waits for a container's end, and records it when all that it printed is written.
    async fn follow(
        self: Rc<Self>,
        container: Rc<Container>,
        exit: oneshot::Receiver<i32>,
        streams: [(Option<OwnedFd>, LogStream); 2],
    ) {
        let (ended, seen) = watch::channel(false);
        let terminal = container.terminal.as_ref().and_then(|terminal| terminal.try_clone().ok());
        let sources = streams.into_iter().chain([(terminal, LogStream::Stdout)]);
        let pumps = sources
            .filter_map(|(source, stream)| Some(Rc::clone(&container.output).pump(source?, stream, seen.clone())));
        let pumps = join_all(pumps.map(tokio::task::spawn_local).collect::<Vec<_>>());
        // A child that nobody waits for any more cannot be: it is waited for until it ends.
        let code = exit.await.unwrap_or(137);
        let at = now();
        let oom = container.cgroup.oom_kills() > 0 && code == 137;
        // With its other processes, which have not gone with the first if it shares its process namespace. A group that stays is
        // removed by the engine, or its successor.
        let _ = container.cgroup.remove();
        ended.send_replace(true);
        pumps.await;
        let record = Ended {
            id: container.started.id.clone(),
            started_at: container.started.at,
            at,
            code,
            reason: match code {
                _ if oom => "OOMKilled",
                0 => "Completed",
                _ => "Error",
            }
            .to_owned(),
            message: container.message(code).await,
        };
        // The engine, which hears the same, writes it down if this cannot.
        let _ = records::write(&container.folder.join(ENDED), &record);
        self.containers.borrow_mut().remove(&record.id);
        container.output.end();
        container.exit.send_replace(Some(code));
        // Nobody may be watching.
        let _ = self.ended.send(record);
        self.quiet.notify_waiters();
    }

    /// Runs a command in a container.
    pub(super) async fn exec(
        &self,
        container: &Container,
        argv: &[String],
        wanted: Terms,
    ) -> Result<(Process, Vec<OwnedFd>), String> {
        let pid = container.pid();
        let spec = &container.spec;
        let (streams, stdio) =
            Streams::new(wanted.stdin && !wanted.tty, !wanted.tty).map_err(|why| format!("pipe: {why}"))?;
        let users = if spec.confinement.user_namespace() { Some(namespace(pid, "user")?) } else { None };
        let place = Place::Joined { mounts: namespace(pid, "mnt")?, users };
        let job = |parent| Job { spec, argv, tty: wanted.tty, stdio, place, parent };
        let processes = self.namespace(pid, "pid")?;
        let process = self.children.start(processes, job, |pid| container.cgroup.add(pid), |_| Ok(())).await?;
        let mut descriptors = Vec::new();
        if let Some(terminal) = &process.terminal {
            descriptors.push(terminal.try_clone().map_err(|why| format!("dup: {why}"))?);
        }
        let wanted = [(streams.stdin, wanted.stdin), (streams.stdout, wanted.stdout), (streams.stderr, wanted.stderr)];
        // What nobody wants to read is closed.
        descriptors.extend(wanted.into_iter().filter(|(_, wanted)| *wanted).filter_map(|(stream, _)| stream));
        Ok((process, descriptors))
    }
}

impl Container {
    /// What its termination message file says, or what stands in for that.
    async fn message(&self, code: i32) -> String {
        let Some(file) = &self.spec.termination_log else { return String::new() };
        let written = fs::File::open(file).and_then(|file| {
            let mut text = Vec::new();
            file.take(MESSAGE_BYTES as u64).read_to_end(&mut text)?;
            Ok(text)
        });
        let written = String::from_utf8_lossy(&written.unwrap_or_default()).into_owned();
        match &self.spec.log {
            Some(log) if written.is_empty() && code != 0 && self.spec.fallback_to_logs => {
                last_lines(log, MESSAGE_LOG_LINES, MESSAGE_LOG_BYTES).await.unwrap_or_default()
            }
            _ => written,
        }
    }
}

/// Our ends of a process's pipes.
struct Streams {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl Streams {
    /// With the process's ends, which lead nowhere where no pipe is wanted.
    fn new(stdin: bool, output: bool) -> io::Result<(Self, [OwnedFd; 3])> {
        let null = || io::Result::Ok(OpenOptions::new().read(true).write(true).open("/dev/null")?.into());
        let pipe = |wanted: bool| -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
            Ok(if wanted {
                pipe2(OFlag::O_CLOEXEC).map(|(read, write)| (Some(read), Some(write)))?
            } else {
                (None, None)
            })
        };
        let or_null = |end: Option<OwnedFd>| end.map_or_else(null, Ok);
        let (input, stdin) = pipe(stdin)?;
        let (stdout, printed) = pipe(output)?;
        let (stderr, complained) = pipe(output)?;
        for ours in [&stdin, &stdout, &stderr].into_iter().flatten() {
            nonblocking(ours)?;
        }
        Ok((Self { stdin, stdout, stderr }, [or_null(input)?, or_null(printed)?, or_null(complained)?]))
    }
}

fn namespace(pid: Pid, which: &str) -> Result<OwnedFd, String> {
    let path = format!("/proc/{pid}/ns/{which}");
    Ok(fs::File::open(&path).map_err(|why| format!("{path}: {why}"))?.into())
}

fn now() -> i64 {
    // Nanoseconds overflow in the year 2262.
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}
