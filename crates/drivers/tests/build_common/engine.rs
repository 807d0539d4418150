//! An engine to build in.

use std::io::Read;

use bollard::Docker;
use domain::ports::{
    builder::{BuildError, BuildRequest, Builder},
    image::StoredImage,
};
use drivers::build::{BuildKit, BuildLimits};
use futures_util::StreamExt;

use super::{Heard, counterpart};

pub(crate) const BASE: &str = "FROM debian:trixie-slim\n";

pub(crate) struct Bed {
    pub(crate) builder: BuildKit,
    pub(crate) docker: Docker,
}

impl Bed {
    pub(crate) fn new() -> Option<Self> {
        let host = counterpart("CLICK_DEPLOY_TEST_DOCKER_HOST", "docker")?;
        let docker = Docker::connect_with_socket(
            host.trim_start_matches("unix://"),
            120,
            &bollard::ClientVersion {
                major_version: 1,
                minor_version: 41,
            },
        )
        .unwrap();
        Some(Self {
            builder: BuildKit::embedded(&host, BuildLimits::none()),
            docker,
        })
    }

    /// Every file of the image's last layers, by path, and the image's configuration.
    pub(crate) async fn export(&self, name: &str) -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
        let mut archive = Vec::new();
        let mut stream = self.docker.export_image(name);
        while let Some(piece) = stream.next().await {
            archive.extend_from_slice(&piece.unwrap());
        }
        let mut files = Vec::new();
        let mut layers = tar::Archive::new(archive.as_slice());
        for entry in layers.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            if !path.ends_with("layer.tar") {
                continue;
            }
            let mut layer = Vec::new();
            entry.read_to_end(&mut layer).unwrap();
            for entry in tar::Archive::new(layer.as_slice()).entries().unwrap() {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                let mut text = Vec::new();
                entry.read_to_end(&mut text).unwrap();
                files.push((path, text));
            }
        }
        (files, archive)
    }

    pub(crate) async fn remove(&self, name: &str) {
        let _ = self
            .docker
            .remove_image(name, None::<bollard::query_parameters::RemoveImageOptions>, None)
            .await;
    }

    pub(crate) async fn build(&self, request: &BuildRequest) -> (Result<StoredImage, BuildError>, Heard) {
        let heard = Heard::default();
        let outcome = self.builder.build(request, &heard).await;
        (outcome, heard)
    }
}
