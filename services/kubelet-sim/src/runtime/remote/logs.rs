//! What containers printed: the runtime writes log files where the kubelet tells it to, the kubelet reads them.

use std::path::PathBuf;

use async_trait::async_trait;

use super::RemoteRuntime;
use crate::runtime::{ContainerLogs, Lines, LogOptions, Result, RuntimeService, log_files};

#[async_trait]
impl ContainerLogs for RemoteRuntime {
    async fn logs(&self, container_id: &str, options: LogOptions) -> Result<Lines> {
        let path = PathBuf::from(self.container_status(container_id).await?.log_path);
        let (runtime, id) = (self.clone(), container_id.to_owned());
        log_files::read(path, options, async move {
            runtime.ended(&id).await;
        })
        .await
    }
}
