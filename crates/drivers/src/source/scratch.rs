//! A private directory that is gone when nobody needs it.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
    time::Duration,
};

use tempfile::TempDir;

/// A directory that only we can read. Dropped, it is removed, also when a program that was killed a moment ago still
/// writes into it.
#[derive(Debug)]
pub(super) struct Scratch(Option<TempDir>);

impl Scratch {
    /// A new one below `root`, which is made when it is not there.
    pub(super) fn new(root: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        let directory = tempfile::Builder::new().prefix("source-").tempdir_in(root)?;
        Ok(Self(Some(directory)))
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        self.0
            .as_ref()
            .expect("the directory is taken away only when dropped")
            .path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(directory) = self.0.take() else { return };
        let path = directory.keep();
        if gone(&path) {
            return;
        }
        std::thread::spawn(move || {
            for _ in 0..50 {
                std::thread::sleep(Duration::from_millis(50));
                if gone(&path) {
                    return;
                }
            }
            tracing::warn!(path = %path.display(), "a temporary directory could not be removed");
        });
    }
}

fn gone(path: &Path) -> bool {
    match fs::remove_dir_all(path) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}
