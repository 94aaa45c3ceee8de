//! Long waits: what is waited for is shown after a second, and they end in time.

use crate::progress::Progress;
use anyhow::{Result, bail};
use std::future::Future;
use std::io::IsTerminal;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::watch;

/// A wait shorter than this needs no words.
const SILENCE: Duration = Duration::from_secs(1);

/// How often the words on a terminal change at most.
const REFRESH: Duration = Duration::from_millis(100);
/// How often a line is written where there is no terminal.
const REPORT: Duration = Duration::from_secs(2);

/// What is being waited for, to be told anew as it changes.
pub(crate) type Status = watch::Sender<String>;

/// Runs `work`, which tells its status, and shows that if it takes long.
pub(crate) async fn with_progress<T, F: Future<Output = T>>(work: impl FnOnce(Status) -> F) -> T {
    let (tell, mut status) = watch::channel(String::new());
    let mut work = pin!(work(tell));
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(SILENCE) => {}
    }
    let pause = if std::io::stderr().is_terminal() { REFRESH } else { REPORT };
    let progress = Progress::start(status.borrow_and_update().clone());
    loop {
        let changed = async {
            let next = tokio::time::Instant::now() + pause;
            // Without a sender there is nothing more to say.
            if status.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep_until(next).await;
        };
        tokio::select! {
            done = &mut work => return done,
            () = changed => progress.say(status.borrow_and_update().clone()),
        }
    }
}

/// Runs `work` for this long at most; `None`: as long as it takes.
///
/// # Errors
/// kubectl's words for a wait that was in vain, about `what` ("pods/web").
pub(crate) async fn within<T>(
    timeout: Option<Duration>,
    what: impl FnOnce() -> String,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(timeout) = timeout else { return work.await };
    match tokio::time::timeout(timeout, work).await {
        Ok(done) => done,
        Err(_) => bail!("timed out waiting for the condition on {}", what()),
    }
}
