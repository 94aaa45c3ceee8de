//! Many equal writes, carefully: one, then two, then four at a time, as long as all succeed.
//!
//! If the first pod of five hundred is refused (a quota, a broken template), the other 499 are not tried.

use futures::future::join_all;

/// Performs `count` writes; returns how many succeeded, and the first failure. After a failure no further batch is begun.
pub(super) async fn slow_start<E, F>(count: usize, write: impl Fn() -> F) -> (usize, Option<E>)
where
    F: Future<Output = Result<(), E>>,
{
    let (mut done, mut left, mut batch) = (0, count, 1);
    while left > 0 {
        let size = batch.min(left);
        let mut failure = None;
        for result in join_all((0..size).map(|_| Box::pin(write()))).await {
            match result {
                Ok(()) => done += 1,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if failure.is_some() {
            return (done, failure);
        }
        left -= size;
        batch *= 2;
    }
    (done, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn batches_double_until_one_fails() {
        let table = [
            (10, 100, (10, None), 10),
            (10, 0, (0, Some("full")), 1),
            (10, 5, (5, Some("full")), 7),
            (0, 0, (0, None), 0),
        ];
        for (count, room, expected, tried) in table {
            let calls = AtomicUsize::new(0);
            let result = slow_start(count, || {
                let fits = calls.fetch_add(1, Ordering::Relaxed) < room;
                async move { if fits { Ok(()) } else { Err("full") } }
            })
            .await;
            assert_eq!(result, expected);
            assert_eq!(calls.into_inner(), tried, "of {count}, with room for {room}");
        }
    }
}
