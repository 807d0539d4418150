//! The program that provides base images is started for those that are missing.
#![cfg(feature = "docker")]

mod docker_common;

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use docker_common::Bed;
use domain::ports::{planning::BaseImages, source::SourceObserver};
use drivers::planning::BaseImageProgram;

struct Nobody;

impl SourceObserver for Nobody {
    fn line(&self, _: &str) {}
}

/// What each start of the program was told, a line for each.
fn starts(folder: &Path) -> Vec<String> {
    let told = fs::read_to_string(folder.join("starts")).unwrap_or_default();
    told.lines().map(str::to_owned).collect()
}

fn program(folder: &Path) -> std::path::PathBuf {
    let program = folder.join("provide");
    let script = format!("#!/bin/sh\necho \"$@\" >>'{}/starts'\n", folder.display());
    fs::write(&program, script).expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
    program
}

#[tokio::test]
async fn the_program_is_started_for_missing_images_only() {
    let Some(bed) = Bed::new().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let images = BaseImageProgram::new(Some(program(folder.path())), &bed.host).expect("an engine");
    let there = bed.shell.reference.clone();
    let ensure = async |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        images.ensure(&names, &Nobody).await.expect("the program succeeds");
        starts(folder.path())
    };
    assert_eq!(ensure(&[&there, "scratch"]).await, [] as [String; 0]);
    assert_eq!(ensure(&[]).await, [] as [String; 0]);
    assert_eq!(
        ensure(&[&there, "nobody.example/none:1"]).await,
        ["nobody.example/none:1"]
    );
}

#[tokio::test]
async fn without_an_engine_the_program_is_asked_for_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = format!("unix://{}/engine.sock", folder.path().display());
    let images = BaseImageProgram::new(Some(program(folder.path())), &nowhere).expect("an address");
    let names = ["busybox".to_owned(), "node:24-slim".to_owned()];
    images.ensure(&names, &Nobody).await.expect("the program succeeds");
    assert_eq!(starts(folder.path()), ["busybox node:24-slim"]);
}
