//! Runs every pod as a service account: as the namespace's `default` one, if it names none.
//!
//! What Kubernetes does beyond that is absent, because nothing in a pod can use it here yet: no token is issued, so none is mounted; the
//! account need not exist, because no controller makes one per namespace; image pull secrets are not copied from it.

use api::core::v1::Pod;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin, is_about};
use crate::request::RequestContext;

const DEFAULT: &str = "default";
/// Marks a pod that mirrors one that a kubelet read from a file. Such pods use nothing of the API.
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) struct ServiceAccount;

#[async_trait]
impl Plugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn concerns(&self, _: &RequestContext, attributes: &Attributes<'_>) -> bool {
        is_about(attributes, "Pod", &[Operation::Create])
    }

    async fn admit(&self, _: &RequestContext, attributes: &mut Attributes<'_>) -> api::Result<()> {
        let Some(pod) = attributes.object.as_deref_mut().and_then(|object| object.downcast_mut::<Pod>()) else {
            return Ok(());
        };
        if pod.metadata.annotations.contains_key(MIRROR) {
            if pod.spec.service_account_name.is_empty() {
                return Ok(());
            }
            return Err(super::forbidden(attributes, "a mirror pod may not reference service accounts"));
        }
        if pod.spec.service_account_name.is_empty() {
            // The field's old name counts where the new one is not set.
            let old = &pod.spec.service_account;
            pod.spec.service_account_name = if old.is_empty() { DEFAULT.to_owned() } else { old.clone() };
        }
        pod.spec.service_account.clone_from(&pod.spec.service_account_name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::testing::{CREATE, pass};

    #[tokio::test]
    async fn a_pod_runs_as_the_account_it_names_or_as_default() {
        for (new, old, expected) in
            [("", "", "default"), ("robot", "", "robot"), ("", "robot", "robot"), ("a", "b", "a")]
        {
            let mut pod = Pod::default();
            (pod.spec.service_account_name, pod.spec.service_account) = (new.into(), old.into());
            pass(&ServiceAccount, &CREATE, Some(&mut pod), None).await.unwrap();
            assert_eq!(
                (pod.spec.service_account_name.as_str(), pod.spec.service_account.as_str()),
                (expected, expected)
            );
        }
    }

    #[tokio::test]
    async fn a_mirror_pod_uses_none() {
        let mut pod = Pod::default();
        pod.metadata.annotations.insert(MIRROR.into(), "hash".into());
        pass(&ServiceAccount, &CREATE, Some(&mut pod), None).await.unwrap();
        assert_eq!(pod.spec.service_account_name, "");
        pod.spec.service_account_name = "robot".into();
        let error = pass(&ServiceAccount, &CREATE, Some(&mut pod), None).await.unwrap_err();
        assert_eq!(error.reason, api::Reason::Forbidden);
    }
}
