//! Zip. Its list of entries is read one by one, never as a whole, and what an entry says about its size is not used.

use std::{
    fs::File,
    io::{BufReader, Read},
};

use domain::ports::source::SourceError;
use zip::{
    CompressionMethod,
    ZipReadOptions,
    read::Config,
    // The one part of the crate that reads entries one by one; `Cargo.lock` holds its version.
    unstable::read::ZipIterable,
};

use super::{
    super::blocking::Gated,
    damaged,
    place::{Place, refused},
};

const KIND: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
/// The longest target of a link that is read.
const TARGET_BYTES: u64 = 4096;

/// Unpacks the zip archive in `file`.
pub(super) fn unpack(file: Gated<File>, place: &mut Place) -> Result<(), SourceError> {
    let gate = place.gate.clone();
    let broken = |error: zip::result::ZipError| damaged(&error, &gate);
    let mut archive = ZipIterable::try_new(BufReader::new(file), Config::default()).map_err(broken)?;
    let entries = archive.files().map_err(broken)?;
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(broken)?;
        place.count()?;
        let raw = entry.name_raw().to_vec();
        let Some(path) = place.path_of(&raw)? else { continue };
        if entry.encrypted() {
            return Err(refused(&raw, "is encrypted"));
        }
        let mode = entry.unix_mode();
        let is_directory = raw.ends_with(b"/");
        let kind = match mode.map_or(0, |mode| mode & KIND) {
            0 if is_directory => DIRECTORY,
            0 => FILE,
            kind => kind,
        };
        match kind {
            DIRECTORY if is_directory => {
                place.directory(&path, mode)?;
                continue;
            }
            FILE | LINK if !is_directory => {}
            _ => return Err(refused(&raw, "is neither a file, a directory nor a link")),
        }
        if !matches!(
            entry.compression(),
            CompressionMethod::Stored | CompressionMethod::Deflated
        ) {
            return Err(refused(
                &raw,
                "is compressed in a way that is not supported: use deflate",
            ));
        }
        let mut content = entry
            .with_reader(entries.reader_mut(), ZipReadOptions::default())
            .map_err(broken)?;
        if kind == LINK {
            let mut target = Vec::new();
            (&mut content)
                .take(TARGET_BYTES + 1)
                .read_to_end(&mut target)
                .map_err(|error| damaged(&error, &gate))?;
            place.link(&path, &target)?;
        } else {
            place.file(&path, mode, &mut content)?;
        }
    }
    Ok(())
}
