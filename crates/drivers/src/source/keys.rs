//! Key pairs for `ssh`.

use std::{fs, path::Path, time::Duration};

use domain::{SecretText, ports::source::SourceError};

use super::{
    local,
    program::{Program, ProgramError, ignore},
    scratch::Scratch,
};

const COMMENT_CHARACTERS: usize = 200;

/// A new Ed25519 key pair: the private half, and the public line that ends with `comment`.
pub(super) async fn generate(scratch: &Path, comment: &str) -> Result<(SecretText, String), SourceError> {
    let fits = |b: u8| b.is_ascii_graphic() || b == b' ';
    if comment.is_empty()
        || comment.len() > COMMENT_CHARACTERS
        || comment.starts_with('-')
        || !comment.bytes().all(fits)
    {
        return Err(SourceError::Refused(format!(
            "the comment of a key is 1 to {COMMENT_CHARACTERS} visible ASCII characters and does not begin with a dash"
        )));
    }
    let directory = Scratch::new(scratch).map_err(local)?;
    let file = directory.path().join("key");
    let finished = Program::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(&file)
        .env("HOME", directory.path())
        .deadline(Duration::from_secs(20))
        .run(ignore)
        .await
        .map_err(|error| match error {
            ProgramError::Missing(_) => {
                local("`ssh-keygen` is not installed: it comes with the package `openssh-client`")
            }
            other => local(other),
        })?;
    if !finished.status.success() {
        return Err(local(format!("`ssh-keygen` ended with {}", finished.status)));
    }
    let private = fs::read_to_string(&file).map_err(local)?;
    let public = fs::read_to_string(file.with_extension("pub")).map_err(local)?;
    Ok((SecretText::new(private), public.trim_end().to_owned()))
}
