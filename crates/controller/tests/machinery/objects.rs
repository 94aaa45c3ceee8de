//! The objects of one kind behind scripted apiservers: names, revisions and compare-and-swap, and no other rule.

use api::rpc::{CreateRequest, GetRequest, PatchRequest, UpdateRequest};
use api::{Error, Resource};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use testkit::scripted::{ScriptedApiserver, ScriptedCall};

/// Shared by all clones.
#[derive(Debug, Clone)]
pub(crate) struct Objects<K> {
    shared: Arc<Mutex<Shared<K>>>,
}

#[derive(Debug)]
struct Shared<K> {
    by_name: BTreeMap<(String, String), K>,
    revision: u64,
    /// Methods in the order in which they were called.
    calls: Vec<String>,
}

/// What happens to a call.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// It is carried out and answered.
    Served,
    /// It is carried out, and the answer is never sent.
    Unanswered,
    /// It is refused and not carried out.
    Refused(Error),
}

impl<K: Resource> Objects<K> {
    pub(crate) fn new() -> Self {
        Objects { shared: Arc::new(Mutex::new(Shared { by_name: BTreeMap::new(), revision: 0, calls: Vec::new() })) }
    }

    /// Answers all calls to a server, each as `fate` decides.
    pub(crate) fn serve(
        &self,
        mut server: ScriptedApiserver,
        mut fate: impl FnMut(&ScriptedCall) -> Fate + Send + 'static,
    ) {
        let objects = self.clone();
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            loop {
                let call = server.call().await;
                objects.shared.lock().calls.push(call.method().to_owned());
                match fate(&call) {
                    Fate::Refused(error) => call.refuse(&error),
                    Fate::Unanswered => {
                        let _ = objects.carry_out(&call);
                        unanswered.push(call);
                    }
                    Fate::Served => match objects.carry_out(&call) {
                        Ok(object) => call.answer(&object),
                        Err(error) => call.refuse(&error),
                    },
                }
            }
        });
    }

    /// All of them, in the order of their names.
    pub(crate) fn list(&self) -> Vec<K> {
        self.shared.lock().by_name.values().cloned().collect()
    }

    /// The one that there is.
    pub(crate) fn only(&self) -> K {
        let mut all = self.list();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// Stores an object, whatever there was.
    pub(crate) fn put(&self, object: K) -> K {
        self.shared.lock().put(object)
    }

    /// Removes all of them.
    pub(crate) fn clear(&self) {
        self.shared.lock().by_name.clear();
    }

    /// The methods called since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().calls)
    }

    fn carry_out(&self, call: &ScriptedCall) -> Result<K, Error> {
        let mut shared = self.shared.lock();
        match call.method() {
            "Get" => {
                let request: GetRequest = call.request();
                shared.get(&request.namespace, &request.name)
            }
            "Create" => {
                let CreateRequest { namespace, mut object, .. } = call.request::<CreateRequest<K>>();
                object.metadata_mut().namespace = namespace;
                let meta = object.metadata();
                match shared.get(&meta.namespace, &meta.name) {
                    Ok(_) => Err(Error::already_exists(K::INFO.group, K::INFO.plural, &meta.name)),
                    Err(_) => Ok(shared.put(object)),
                }
            }
            "Update" => {
                let UpdateRequest { object, .. } = call.request::<UpdateRequest<K>>();
                let meta = object.metadata();
                let stored = shared.get(&meta.namespace, &meta.name)?;
                if !meta.resource_version.is_empty() && meta.resource_version != stored.metadata().resource_version {
                    return Err(Error::modified(K::INFO.group, K::INFO.plural, &meta.name));
                }
                Ok(shared.put(object))
            }
            "Patch" => {
                let request: PatchRequest = call.request();
                let stored = shared.get(&request.namespace, &request.name)?;
                let mut json = serde_json::to_value(&stored).unwrap();
                let patch: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&request.patch).unwrap();
                for (member, value) in patch {
                    json[member] = value;
                }
                Ok(shared.put(serde_json::from_value(json).unwrap()))
            }
            other => panic!("nobody here knows {other}"),
        }
    }
}

impl<K: Resource> Shared<K> {
    fn get(&self, namespace: &str, name: &str) -> Result<K, Error> {
        let found = self.by_name.get(&(namespace.to_owned(), name.to_owned())).cloned();
        found.ok_or_else(|| Error::not_found(K::INFO.group, K::INFO.plural, name))
    }

    fn put(&mut self, mut object: K) -> K {
        self.revision += 1;
        object.metadata_mut().resource_version = self.revision.to_string();
        let meta = object.metadata();
        self.by_name.insert((meta.namespace.clone(), meta.name.clone()), object.clone());
        object
    }
}
