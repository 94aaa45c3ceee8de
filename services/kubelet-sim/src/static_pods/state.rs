//! What is to be done about static pods and their mirrors, decided without I/O.
//!
//! ```text
//!   file appears          file goes, or changes          nothing of it is left
//!  ───────────> running ──────────────────────> ending ──────────────────────> gone, or the changed one runs
//! ```
//!
//! A changed file is another pod of the same name; it starts when the one before has ended, as in Kubernetes. The mirror is only a picture:
//! deleting it stops nothing, and it is made again.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::core::v1::{Pod, PodStatus};
use api::meta::v1::OwnerReference;
use controller::Key;
use jiff::Timestamp;

use super::{HASH, MIRROR, SEEN};

/// All that is known.
#[derive(Default)]
pub(super) struct State {
    /// What the files say.
    wanted: BTreeMap<Key, Pod>,
    /// What the workers were told.
    running: BTreeMap<Key, Running>,
    /// The mirrors that the apiserver has.
    mirrors: BTreeMap<Key, Arc<Pod>>,
    /// Numbers the versions, in place of the apiserver's revisions.
    version: u64,
}

struct Running {
    pod: Arc<Pod>,
    status: Option<PodStatus>,
}

/// What the workers are to be told.
#[derive(Debug, PartialEq)]
pub(super) enum Tell {
    /// A new version: of a new pod, or of one that is to end.
    Version(Arc<Pod>),
    /// Nothing is left of it.
    Gone(Arc<Pod>),
}

/// What the apiserver is to be asked for.
#[derive(Debug, PartialEq)]
pub(super) enum Write {
    /// Make this mirror.
    Create(Box<Pod>),
    /// Delete this mirror: it shows what is no more.
    Delete(Arc<Pod>),
    /// Write this status.
    Status(Box<Pod>),
}

impl State {
    /// The files say this now.
    pub(super) fn files_say(&mut self, pods: Vec<Pod>, now: Timestamp) -> Vec<Tell> {
        self.wanted = pods.into_iter().map(|pod| (Key::of(&pod), pod)).collect();
        let keys: Vec<Key> = self.wanted.keys().chain(self.running.keys()).cloned().collect();
        keys.into_iter().filter_map(|key| self.settle(&key, now)).collect()
    }

    /// Nothing is left of this very pod.
    pub(super) fn ended(&mut self, pod: &Pod, now: Timestamp) -> Vec<Tell> {
        let key = Key::of(pod);
        match self.running.get(&key) {
            Some(running) if running.pod.metadata.uid == pod.metadata.uid => {}
            _ => return Vec::new(),
        }
        let Some(ended) = self.running.remove(&key) else { return Vec::new() };
        let gone = Tell::Gone(ended.pod);
        std::iter::once(gone).chain(self.settle(&key, now)).collect()
    }

    /// Brings what runs under a name one step nearer to what the files say.
    fn settle(&mut self, key: &Key, now: Timestamp) -> Option<Tell> {
        let wanted = self.wanted.get(key);
        match self.running.get_mut(key) {
            Some(running) => {
                let same = wanted.is_some_and(|wanted| wanted.metadata.uid == running.pod.metadata.uid);
                if same || running.pod.metadata.deletion_timestamp.is_some() {
                    return None;
                }
                self.version += 1;
                let mut ending = Pod::clone(&running.pod);
                ending.metadata.resource_version = self.version.to_string();
                ending.metadata.deletion_timestamp = Some(now.into());
                ending.metadata.deletion_grace_period_seconds = ending.spec.termination_grace_period_seconds;
                running.pod = Arc::new(ending);
                Some(Tell::Version(Arc::clone(&running.pod)))
            }
            None => {
                self.version += 1;
                let mut pod = wanted?.clone();
                pod.metadata.resource_version = self.version.to_string();
                pod.metadata.annotations.insert(SEEN.to_owned(), now.to_string());
                let pod = Arc::new(pod);
                self.running.insert(key.clone(), Running { pod: Arc::clone(&pod), status: None });
                Some(Tell::Version(pod))
            }
        }
    }

    /// The pods that should have a worker.
    pub(super) fn pods(&self) -> Vec<Arc<Pod>> {
        self.running.values().map(|running| Arc::clone(&running.pod)).collect()
    }

    /// A worker reports the status of its pod.
    pub(super) fn report(&mut self, pod: &Pod) {
        if let Some(running) = self.running.get_mut(&Key::of(pod))
            && running.pod.metadata.uid == pod.metadata.uid
        {
            running.status = Some(pod.status.clone());
        }
    }

    /// The apiserver has this mirror, or this version of it.
    pub(super) fn mirrored(&mut self, mirror: Arc<Pod>) {
        let newer = |known: &Arc<Pod>| revision(known) > revision(&mirror);
        if !self.mirrors.get(&Key::of(&*mirror)).is_some_and(newer) {
            self.mirrors.insert(Key::of(&*mirror), mirror);
        }
    }

    /// The apiserver has this mirror no more.
    pub(super) fn unmirrored(&mut self, mirror: &Pod) {
        let key = Key::of(mirror);
        if self.mirrors.get(&key).is_some_and(|known| known.metadata.uid == mirror.metadata.uid) {
            self.mirrors.remove(&key);
        }
    }

    /// What to write so that the mirrors show the pods. `node`: name and uid of the node, once it is registered.
    pub(super) fn writes(&self, node: Option<(&str, &str)>) -> Vec<Write> {
        let mut writes = Vec::new();
        for (key, mirror) in &self.mirrors {
            let running = self.running.get(key);
            let shows = running.is_some_and(|running| is_mirror_of(mirror, &running.pod));
            if !shows || mirror.metadata.deletion_timestamp.is_some() {
                writes.push(Write::Delete(Arc::clone(mirror)));
            } else if let Some(status) = running.and_then(|running| running.status.as_ref())
                && *status != mirror.status
            {
                let mut pod = Pod::clone(mirror);
                pod.status = status.clone();
                writes.push(Write::Status(Box::new(pod)));
            }
        }
        if let Some((name, uid)) = node {
            let unseen = self.running.iter().filter(|(key, running)| {
                // What is ending is not shown anew.
                !self.mirrors.contains_key(*key) && running.pod.metadata.deletion_timestamp.is_none()
            });
            writes.extend(unseen.map(|(_, running)| Write::Create(Box::new(mirror_of(&running.pod, name, uid)))));
        }
        writes
    }
}

fn is_mirror_of(mirror: &Pod, pod: &Pod) -> bool {
    mirror.metadata.annotations.get(MIRROR) == pod.metadata.annotations.get(HASH)
}

fn mirror_of(pod: &Pod, node: &str, uid: &str) -> Pod {
    let mut mirror = pod.clone();
    mirror.status = PodStatus::default();
    let meta = &mut mirror.metadata;
    let hash = meta.annotations.get(HASH).cloned().unwrap_or_default();
    meta.annotations.insert(MIRROR.to_owned(), hash);
    (meta.uid, meta.resource_version) = (String::new(), String::new());
    meta.owner_references = vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: node.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        ..OwnerReference::default()
    }];
    mirror
}

fn revision(pod: &Pod) -> u64 {
    pod.metadata.resource_version.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, uid: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = name.to_owned();
        pod.metadata.uid = uid.to_owned();
        pod.metadata.annotations.insert(HASH.to_owned(), uid.to_owned());
        pod.spec.termination_grace_period_seconds = Some(7);
        pod
    }

    fn shown(told: &[Tell]) -> Vec<String> {
        let one = |tell: &Tell| match tell {
            Tell::Version(pod) if pod.metadata.deletion_timestamp.is_some() => format!("end {}", pod.metadata.uid),
            Tell::Version(pod) => format!("run {}", pod.metadata.uid),
            Tell::Gone(pod) => format!("gone {}", pod.metadata.uid),
        };
        told.iter().map(one).collect()
    }

    fn written(writes: &[Write]) -> Vec<String> {
        let one = |write: &Write| match write {
            Write::Create(pod) => format!("create {} for {}", pod.metadata.name, pod.metadata.annotations[MIRROR]),
            Write::Delete(pod) => format!("delete {}", pod.metadata.name),
            Write::Status(pod) => format!("{} is {}", pod.metadata.name, pod.status.phase),
        };
        writes.iter().map(one).collect()
    }

    const NODE: Option<(&str, &str)> = Some(("n", "uid-of-n"));

    /// What the apiserver makes of a create.
    fn stored(writes: &[Write], revision: u64) -> Arc<Pod> {
        let Some(Write::Create(pod)) = writes.first() else { panic!("{writes:?}") };
        let mut pod = Pod::clone(pod);
        pod.metadata.resource_version = revision.to_string();
        pod.metadata.uid = format!("mirror-{revision}");
        Arc::new(pod)
    }

    #[test]
    fn a_changed_file_is_another_pod_that_waits_for_the_one_before() {
        let (mut state, now) = (State::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(shown(&state.files_say(vec![pod("a", "1"), pod("b", "2")], now)), ["run 1", "run 2"]);
        assert!(state.files_say(vec![pod("a", "1"), pod("b", "2")], now).is_empty(), "nothing new");
        let told = state.files_say(vec![pod("a", "3")], now);
        assert_eq!(shown(&told), ["end 1", "end 2"]);
        let Tell::Version(ending) = &told[0] else { panic!() };
        assert_eq!(ending.metadata.deletion_grace_period_seconds, Some(7));
        assert!(state.files_say(vec![pod("a", "3")], now).is_empty(), "they are ending already");
        assert_eq!(shown(&state.ended(&pod("a", "1"), now)), ["gone 1", "run 3"]);
        assert_eq!(shown(&state.ended(&pod("b", "2"), now)), ["gone 2"]);
        assert!(state.ended(&pod("a", "1"), now).is_empty(), "told twice");
        assert_eq!(state.pods().len(), 1);
    }

    #[test]
    fn a_file_that_comes_back_in_time_is_run_again_afterwards() {
        let (mut state, now) = (State::default(), Timestamp::UNIX_EPOCH);
        state.files_say(vec![pod("a", "1")], now);
        assert_eq!(shown(&state.files_say(vec![], now)), ["end 1"]);
        assert!(state.files_say(vec![pod("a", "1")], now).is_empty());
        assert_eq!(shown(&state.ended(&pod("a", "1"), now)), ["gone 1", "run 1"]);
    }

    #[test]
    fn a_mirror_shows_its_pod_and_comes_back_when_it_is_deleted() {
        let (mut state, now) = (State::default(), Timestamp::UNIX_EPOCH);
        state.files_say(vec![pod("a", "1")], now);
        assert!(state.writes(None).is_empty(), "the node has to be registered first");
        let writes = state.writes(NODE);
        assert_eq!(written(&writes), ["create a for 1"]);
        let Write::Create(created) = &writes[0] else { panic!() };
        let owner = &created.metadata.owner_references[0];
        assert_eq!((owner.kind.as_str(), owner.uid.as_str(), owner.controller), ("Node", "uid-of-n", Some(true)));

        state.mirrored(stored(&writes, 5));
        assert!(state.writes(NODE).is_empty());
        let mut reported = pod("a", "1");
        reported.status.phase = "Running".to_owned();
        state.report(&reported);
        assert_eq!(written(&state.writes(NODE)), ["a is Running"]);

        // Somebody deletes the mirror: first it is marked, then the kubelet lets it go, then it is made anew, with its status.
        let mut marked = Pod::clone(&stored(&writes, 6));
        marked.metadata.uid = "mirror-5".to_owned();
        marked.metadata.deletion_timestamp = Some(now.into());
        state.mirrored(Arc::new(marked.clone()));
        assert_eq!(written(&state.writes(NODE)), ["delete a"]);
        state.unmirrored(&marked);
        let again = state.writes(NODE);
        assert_eq!(written(&again), ["create a for 1"]);
        state.mirrored(stored(&again, 8));
        assert_eq!(written(&state.writes(NODE)), ["a is Running"]);
    }

    #[test]
    fn a_mirror_of_what_is_no_more_is_deleted() {
        let (mut state, now) = (State::default(), Timestamp::UNIX_EPOCH);
        state.files_say(vec![pod("a", "1")], now);
        state.mirrored(stored(&state.writes(NODE), 5));
        state.files_say(vec![pod("a", "2")], now);
        assert!(state.writes(NODE).is_empty(), "it is shown until it has ended");
        state.ended(&pod("a", "1"), now);
        assert_eq!(written(&state.writes(NODE)), ["delete a"], "it shows the file as it was before");
        let old = stored(&[Write::Create(Box::new(pod("a", "1")))], 4);
        state.mirrored(old);
        assert_eq!(written(&state.writes(NODE)), ["delete a"], "an older version is no news");
    }
}
