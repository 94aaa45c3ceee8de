//! `exec -it` as a person has it: under a terminal of its own.

use crate::PATIENCE;
use nix::pty::{Winsize, openpty};
use nix::sys::termios::tcgetattr;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;
use testkit::cluster::Cluster;

/// What comes out of a terminal.
struct Screen {
    pieces: Receiver<Vec<u8>>,
    seen: String,
}

impl Screen {
    fn of(mut master: File) -> Self {
        let (tell, pieces) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Linux ends the output of a terminal that nobody has open any more with an error.
            while let Ok(length @ 1..) = master.read(&mut buffer) {
                if tell.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { pieces, seen: String::new() }
    }

    /// Waits until `text` is shown; forgets what stood before its end.
    fn until(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => self.seen.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("{text:?} is not shown; there is {:?}", self.seen),
            }
        }
    }
}

/// Types into a shell, and ends it with an exit code. One that is `real` has a terminal at its side as well.
pub(crate) async fn a_shell_works_and_leaves_the_terminal_as_it_was(cluster: &Cluster, pod: &str, real: bool) {
    let size = Winsize { ws_row: 33, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(Some(&size), None).expect("a terminal");
    let (mut keys, slave) = (File::from(terminal.master), File::from(terminal.slave));
    let before = tcgetattr(&slave).expect("a terminal has a mode");
    let tpctl = cluster.command(&["exec", "-it", pod, "--", "sh"]);
    let tpctl = tpctl.as_std();
    let stdio = || Stdio::from(slave.try_clone().expect("a file can be opened twice"));
    // It becomes the terminal of the session, so that changes of its size are told.
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(tpctl.get_program()).args(tpctl.get_args());
    command.envs(tpctl.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = command.stdin(stdio()).stdout(stdio()).stderr(stdio()).spawn().expect("setsid starts tpctl");
    let mut screen = Screen::of(keys.try_clone().expect("a file can be opened twice"));
    let work = move || {
        screen.until("# ");
        keys.write_all(b"echo $((6*7))-shown\r").expect("keys are typed");
        screen.until("42-shown");
        if real {
            the_other_side_is_a_terminal(&mut keys, &mut screen, &slave);
        }
        keys.write_all(b"exit 4\r").expect("keys are typed");
        screen.until("command terminated with exit code 4");
        let ended = child.wait().expect("it ends");
        assert_eq!(ended.code(), Some(4));
        let after = tcgetattr(&slave).expect("a terminal has a mode");
        assert_eq!(after, before, "the terminal is as it was");
    };
    tokio::task::spawn_blocking(work).await.expect("the shell works");
}

/// Its size is known and follows ours, and its keys end what runs in the foreground. What is typed is shown, too: quotes make it
/// differ from what is awaited.
fn the_other_side_is_a_terminal(keys: &mut File, screen: &mut Screen, slave: &File) {
    let mut type_in = |line: &str| keys.write_all(line.as_bytes()).expect("keys are typed");
    type_in("stty size\r");
    screen.until("33 101");
    type_in("sh -c 'trap \"stty size; exit 5\" WINCH; echo wait\"\"ing; while :; do sleep 0.1; done'\r");
    screen.until("waiting");
    let stdin = Stdio::from(slave.try_clone().expect("a file can be opened twice"));
    let resized = Command::new("stty").args(["rows", "40", "cols", "120"]).stdin(stdin).status();
    assert!(resized.expect("stty can be started").success());
    screen.until("40 120");
    type_in("echo told-$?\r");
    screen.until("told-5");
    type_in("sh -c 'echo sleep\"\"ing; exec sleep 3600'\r");
    screen.until("sleeping");
    type_in("\x03");
    type_in("echo interrupted-$?\r");
    screen.until("interrupted-130");
}
