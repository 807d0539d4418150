//! Tar. Headers are read raw: extensions that change an entry's name or size are applied here, within limits, so that there
//! is one reading of an archive and a name of a gigabyte is never held.

use std::io::Read;

use domain::ports::source::SourceError;
use tar::{Archive, EntryType, Header};

use super::{
    damaged,
    place::{Place, refused},
};

/// The largest extension header that is read.
const EXTENSION_BYTES: u64 = 64 * 1024;

/// What extension headers said about the next entry.
#[derive(Default)]
struct Said {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

/// Whether a tar archive begins so: a header whose sum is right, or the empty block of an archive without entries.
pub(super) fn begins(start: &[u8]) -> bool {
    let Some(block) = start.get(..512) else { return false };
    if block.iter().all(|byte| *byte == 0) {
        return true;
    }
    let header = Header::from_byte_slice(block);
    let sum: u32 = block[..148]
        .iter()
        .chain(&block[156..])
        .map(|byte| u32::from(*byte))
        .sum();
    header.cksum().is_ok_and(|said| said == sum + 8 * u32::from(b' '))
}

/// Unpacks the tar archive that `reader` gives.
pub(super) fn unpack(reader: impl Read, place: &mut Place) -> Result<(), SourceError> {
    let mut archive = Archive::new(reader);
    let gate = place.gate.clone();
    let broken = |error: std::io::Error| damaged(&error, &gate);
    let mut said = Said::default();
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        place.count()?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::XGlobalHeader => continue,
            EntryType::XHeader => {
                let text = extension(&mut entry, &gate)?;
                read_pax(&text, &mut said)?;
                continue;
            }
            EntryType::GNULongName => {
                said.path = Some(trimmed(extension(&mut entry, &gate)?));
                continue;
            }
            EntryType::GNULongLink => {
                said.target = Some(trimmed(extension(&mut entry, &gate)?));
                continue;
            }
            _ => {}
        }
        let said = std::mem::take(&mut said);
        let raw = match said.path {
            Some(path) => path,
            None => entry.header().path_bytes().into_owned(),
        };
        if said.sparse || kind == EntryType::GNUSparse {
            return Err(refused(&raw, "is a sparse file"));
        }
        // Readers that disagree about a size see different archives.
        if said.size.is_some_and(|size| size != entry.size()) {
            return Err(refused(&raw, "has two different sizes"));
        }
        let Some(path) = place.path_of(&raw)? else { continue };
        let mode = entry.header().mode().ok();
        match kind {
            EntryType::Directory => place.directory(&path, mode)?,
            // The oldest archives mark a directory by its name only.
            EntryType::Regular if raw.ends_with(b"/") => place.directory(&path, mode)?,
            EntryType::Regular | EntryType::Continuous => {
                let size = entry.size();
                let mut content = Whole {
                    inner: &mut entry,
                    left: size,
                };
                place.file(&path, mode, &mut content)?;
            }
            EntryType::Symlink | EntryType::Link => {
                let target = match said.target {
                    Some(target) => target,
                    None => entry.header().link_name_bytes().unwrap_or_default().into_owned(),
                };
                if kind == EntryType::Symlink {
                    place.link(&path, &target)?;
                } else {
                    place.hard_link(&path, &target)?;
                }
            }
            EntryType::Block | EntryType::Char | EntryType::Fifo => {
                return Err(refused(&raw, "is a device or a pipe"));
            }
            _ => return Err(refused(&raw, "is neither a file, a directory nor a link")),
        }
    }
    Ok(())
}

/// A reader that minds when the archive ends within an entry.
struct Whole<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(length as u64);
        if length == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(length)
    }
}

fn extension(entry: &mut impl Read, gate: &super::Gate) -> Result<Vec<u8>, SourceError> {
    let mut text = Vec::new();
    entry
        .take(EXTENSION_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|error| damaged(&error, gate))?;
    if text.len() as u64 > EXTENSION_BYTES {
        return Err(SourceError::Refused(
            "the archive has an overlong name or header".to_owned(),
        ));
    }
    Ok(text)
}

/// GNU's long names end with a NUL.
fn trimmed(mut text: Vec<u8>) -> Vec<u8> {
    while text.last() == Some(&0) {
        text.pop();
    }
    text
}

/// Reads the records `length key=value\n` of a pax header.
fn read_pax(mut text: &[u8], said: &mut Said) -> Result<(), SourceError> {
    let bad = || SourceError::Refused("the archive is damaged: a pax header cannot be read".to_owned());
    while !text.is_empty() {
        let space = text.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
        let length: usize = std::str::from_utf8(&text[..space])
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(bad)?;
        let record = text.get(space + 1..length).ok_or_else(bad)?;
        let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
        let (key, value) = (&record[..equals], record[equals + 1..].to_vec());
        match key {
            b"path" => said.path = Some(value),
            b"linkpath" => said.target = Some(value),
            b"size" => {
                let size = std::str::from_utf8(&value).ok().and_then(|digits| digits.parse().ok());
                said.size = Some(size.ok_or_else(bad)?);
            }
            key if key.starts_with(b"GNU.sparse.") => said.sparse = true,
            _ => {}
        }
        text = &text[length..];
    }
    Ok(())
}
