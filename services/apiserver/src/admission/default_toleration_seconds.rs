//! Gives every pod five minutes on a node that is not ready or not reachable, before it is evicted.
//!
//! A pod that says itself how long it stays (or that it stays for ever) is left alone:
//! <https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions>.

use api::core::v1::{Pod, Toleration};
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin, is_about};
use crate::request::RequestContext;

/// Kubernetes' default for both taints.
const SECONDS: i64 = 300;
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const NO_EXECUTE: &str = "NoExecute";

pub(super) struct DefaultTolerationSeconds;

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn concerns(&self, _: &RequestContext, attributes: &Attributes<'_>) -> bool {
        is_about(attributes, "Pod", &[Operation::Create, Operation::Update])
    }

    async fn admit(&self, _: &RequestContext, attributes: &mut Attributes<'_>) -> api::Result<()> {
        if let Some(pod) = attributes.object.as_deref_mut().and_then(|object| object.downcast_mut::<Pod>()) {
            add_tolerations(&mut pod.spec.tolerations);
        }
        Ok(())
    }
}

fn add_tolerations(tolerations: &mut Vec<Toleration>) {
    for taint in TAINTS {
        let tolerated = tolerations.iter().any(|toleration| {
            (toleration.key == taint || toleration.key.is_empty())
                && (toleration.effect == NO_EXECUTE || toleration.effect.is_empty())
        });
        if !tolerated {
            tolerations.push(Toleration {
                key: taint.to_owned(),
                operator: "Exists".to_owned(),
                effect: NO_EXECUTE.to_owned(),
                toleration_seconds: Some(SECONDS),
                ..Toleration::default()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::testing::{CREATE, pass};

    fn toleration(key: &str, effect: &str) -> Toleration {
        Toleration { key: key.into(), effect: effect.into(), operator: "Exists".into(), ..Toleration::default() }
    }

    #[tokio::test]
    async fn a_pod_stays_five_minutes_unless_it_says_otherwise() {
        let [not_ready, unreachable] = TAINTS;
        let table: [(&str, Vec<Toleration>, &[&str]); 5] = [
            ("none", vec![], &[not_ready, unreachable]),
            ("one of its own", vec![toleration(not_ready, NO_EXECUTE)], &[unreachable]),
            ("of any effect", vec![toleration(unreachable, "")], &[not_ready]),
            ("of everything", vec![toleration("", "")], &[]),
            ("of another effect", vec![toleration(not_ready, "NoSchedule")], &[not_ready, unreachable]),
        ];
        for (case, own, expected) in table {
            let mut pod = Pod::default();
            let count = own.len();
            pod.spec.tolerations = own;
            pass(&DefaultTolerationSeconds, &CREATE, Some(&mut pod), None).await.unwrap();
            let added = &pod.spec.tolerations[count..];
            assert_eq!(added.iter().map(|t| t.key.as_str()).collect::<Vec<_>>(), expected, "{case}");
            assert!(added.iter().all(|t| t.toleration_seconds == Some(300) && t.effect == NO_EXECUTE), "{case}");
        }
    }
}
