//! Waiting for one object to be in a state.

use super::{Change, Follow, Next, Object, ObjectApi, select};
use anyhow::Result;

/// Returns once `met` says so. It is asked about the object as it is now and after each change; `None` means that there is none.
///
/// Level-triggered: a state that is there already counts, and one that was missed on the way does not matter. Ends early with an error of
/// `met` or of the server.
pub(crate) async fn until(
    api: &dyn ObjectApi,
    namespace: &str,
    name: &str,
    mut met: impl FnMut(Option<&Object>) -> Result<bool>,
) -> Result<()> {
    let (items, mut follow) = Follow::start(api, namespace, select(name)).await?;
    let mut object = items.into_iter().next();
    while !met(object.as_ref())? {
        object = match follow.next().await? {
            Next::Changed(Change::Added(object) | Change::Modified(object)) => Some(object),
            Next::Changed(Change::Deleted(_)) => None,
            Next::Changed(Change::Bookmark(_)) => continue,
            Next::Anew(items) => items.into_iter().next(),
        };
    }
    Ok(())
}
