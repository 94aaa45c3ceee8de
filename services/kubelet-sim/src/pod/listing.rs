//! What a runtime has, asked for rather than told: at the start, and when events may have been missed.

use std::collections::HashMap;

use super::NodeContext;
use crate::cri;
use crate::lifecycle::Observed;
use crate::runtime::Result;

/// A pod that the runtime has, by the name it was made under.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) metadata: cri::PodSandboxMetadata,
    pub(super) observed: Observed,
}

/// All pods of the runtime, by uid.
pub(super) async fn list(context: &NodeContext) -> Result<HashMap<String, Listed>> {
    let runtime = context.runtime.containers.as_ref();
    let mut pods: HashMap<String, Listed> = HashMap::new();
    for sandbox in runtime.list_pod_sandbox(None).await? {
        let Some((metadata, status, containers, at)) = describe(context, &sandbox.id).await? else { continue };
        let listed = pods.entry(metadata.uid.clone()).or_default();
        listed.metadata = metadata;
        listed.observed.take(status, containers, at);
    }
    Ok(pods)
}

type Described = (cri::PodSandboxMetadata, cri::PodSandboxStatus, Vec<cri::ContainerStatus>, i64);

/// One sandbox with its containers; `None`: it is gone by now.
async fn describe(context: &NodeContext, id: &str) -> Result<Option<Described>> {
    let runtime = context.runtime.containers.as_ref();
    let answer = match runtime.pod_sandbox_status(id).await {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    let (status, listed_at) = (answer.status.unwrap_or_default(), answer.timestamp);
    let mut containers = answer.containers_statuses;
    if containers.is_empty() {
        // Not every runtime answers the containers with their sandbox.
        let filter = cri::ContainerFilter { pod_sandbox_id: id.to_owned(), ..Default::default() };
        for container in runtime.list_containers(Some(filter)).await? {
            match runtime.container_status(&container.id).await {
                Err(error) if error.is_not_found() => {}
                other => containers.push(other?),
            }
        }
    }
    let metadata = status.metadata.clone().unwrap_or_default();
    context.volumes.complete(&metadata.uid, &mut containers);
    Ok(Some((metadata, status, containers, listed_at)))
}

/// One pod of the runtime.
pub(super) async fn list_pod(context: &NodeContext, uid: &str) -> Result<Observed> {
    let runtime = context.runtime.containers.as_ref();
    let mut observed = Observed::default();
    for sandbox in runtime.list_pod_sandbox(None).await? {
        if sandbox.metadata.is_some_and(|metadata| metadata.uid == uid)
            && let Some((_, status, containers, at)) = describe(context, &sandbox.id).await?
        {
            observed.take(status, containers, at);
        }
    }
    Ok(observed)
}
