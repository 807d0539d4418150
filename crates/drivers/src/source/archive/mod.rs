//! Unpacking what a user uploaded. Nothing in an archive is believed: not its names, not its sizes, not its order.

mod place;
mod tape;
mod zipped;

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::Path,
    time::{Duration, Instant},
};

use domain::{
    logs::clean_line,
    ports::source::{SourceError, SourceLimits},
};
use flate2::read::MultiGzDecoder;

use super::{
    blocking::{self, Gate, Gated},
    local,
};
use place::Place;

/// Unpacks `archive` into `directory`, which is empty.
pub(super) async fn unpack(archive: &Path, directory: &Path, limits: SourceLimits) -> Result<(), SourceError> {
    let (archive, directory) = (archive.to_owned(), directory.to_owned());
    let deadline = Instant::now() + Duration::from_secs(limits.seconds);
    blocking::run(deadline, limits.seconds, move |gate| {
        unpack_here(&archive, &directory, limits, gate)
    })
    .await
}

fn unpack_here(archive: &Path, directory: &Path, limits: SourceLimits, gate: &Gate) -> Result<(), SourceError> {
    let mut file = File::open(archive).map_err(local)?;
    let start = start_of(&mut file).map_err(local)?;
    file.rewind().map_err(local)?;
    let mut place = Place::new(directory, limits, gate.clone())?;
    let gated = |file| Gated {
        inner: file,
        gate: gate.clone(),
    };
    match Format::of(&start)? {
        Format::Zip => zipped::unpack(gated(file), &mut place)?,
        Format::Tar => tape::unpack(BufReader::new(gated(file)), &mut place)?,
        Format::Gzip => {
            let unzipped = Gated {
                inner: MultiGzDecoder::new(BufReader::new(file)),
                gate: gate.clone(),
            };
            let mut unzipped = BufReader::with_capacity(64 * 1024, unzipped);
            let inner = start_of(&mut unzipped).map_err(|error| damaged(&error, gate))?;
            if Format::of(&inner)? != Format::Tar {
                return Err(SourceError::Refused(
                    "the gzip file does not hold a tar archive".to_owned(),
                ));
            }
            tape::unpack(inner.as_slice().chain(unzipped), &mut place)?;
        }
    }
    place.finish()
}

/// The error for an archive that cannot be read to its end; or the gate's, when that is why.
fn damaged(error: &dyn std::error::Error, gate: &Gate) -> SourceError {
    match gate.check() {
        Err(stopped) => stopped,
        Ok(()) => {
            let why: String = clean_line(&error.to_string()).chars().take(200).collect();
            SourceError::Refused(format!("the archive is damaged: {why}"))
        }
    }
}

fn start_of(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(512);
    reader.take(512).read_to_end(&mut start)?;
    Ok(start)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Tar,
    Gzip,
    Zip,
}

impl Format {
    /// The format of what begins so.
    fn of(start: &[u8]) -> Result<Self, SourceError> {
        let refused = |text: &str| Err(SourceError::Refused(text.to_owned()));
        if start.is_empty() {
            return refused("the archive is empty");
        }
        if start.starts_with(b"\x1f\x8b") {
            return Ok(Self::Gzip);
        }
        if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
            return Ok(Self::Zip);
        }
        if tape::begins(start) {
            return Ok(Self::Tar);
        }
        for (magic, name) in [
            (b"\xfd7zXZ".as_slice(), "an xz"),
            (b"\x28\xb5\x2f\xfd", "a Zstandard"),
            (b"BZh", "a bzip2"),
            (b"7z\xbc\xaf", "a 7z"),
            (b"Rar!", "a RAR"),
        ] {
            if start.starts_with(magic) {
                return refused(&format!("this is {name} file; an archive is tar, tar.gz or zip"));
            }
        }
        refused("this is no archive; an archive is tar, tar.gz or zip")
    }
}
