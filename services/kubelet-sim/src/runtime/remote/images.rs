//! CRI's `ImageService`, call for call.

use async_trait::async_trait;

use super::RemoteRuntime;
use super::connection::REQUEST;
use crate::cri;
use crate::runtime::{ImageService, Result};

#[async_trait]
impl ImageService for RemoteRuntime {
    async fn list_images(&self) -> Result<Vec<cri::Image>> {
        let request = cri::ListImagesRequest { filter: None };
        Ok(self.socket.within(REQUEST, self.images.clone().list_images(request)).await?.images)
    }

    async fn image_status(&self, image: cri::ImageSpec) -> Result<Option<cri::Image>> {
        let request = cri::ImageStatusRequest { image: Some(image), verbose: false };
        Ok(self.socket.within(REQUEST, self.images.clone().image_status(request)).await?.image)
    }

    async fn pull_image(&self, request: cri::PullImageRequest) -> Result<String> {
        // However slow the registry is; the runtime gives up where nothing comes any more.
        Ok(self.socket.taken(self.images.clone().pull_image(request).await)?.image_ref)
    }

    async fn remove_image(&self, image: cri::ImageSpec) -> Result<()> {
        let request = cri::RemoveImageRequest { image: Some(image) };
        self.socket.within(REQUEST, self.images.clone().remove_image(request)).await?;
        Ok(())
    }

    async fn image_fs_info(&self) -> Result<cri::ImageFsInfoResponse> {
        self.socket.within(REQUEST, self.images.clone().image_fs_info(cri::ImageFsInfoRequest {})).await
    }
}
