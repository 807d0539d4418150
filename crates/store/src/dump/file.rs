//! The file: a line that says what it is, a gzip stream of frames, and a SHA-256 digest of everything before it.
//!
//! A frame is a letter, the number of its bytes (32 bits, big-endian), and the bytes. They come in this order: `H`, the
//! header; for each table `T` (its columns), any number of `R` (rows), `E` (how many, and their digest); for each upload
//! `U` (its id), any number of `D` (bytes), `V` (how many); and `Z` at the end.

use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::DumpError;

/// What the file begins with, before the number of its form.
const NAME: &str = "click-deploy backup ";
const FORM: &str = "1\n";
/// The most bytes of a frame: a larger value than that is not written by the platform.
const LARGEST: u32 = 64 * 1024 * 1024;

/// What a backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The newest migration of the database that was read.
    pub migration: i64,
    /// When it was made: milliseconds since 1970.
    pub made_at_ms: i64,
    /// The version of the program that made it.
    pub program: String,
    /// The database that was read, by its product's name.
    pub product: String,
    /// The installation's name.
    pub installation: String,
    /// Says whether `ENCRYPTION_KEY` is the one that sealed the secrets in it.
    pub key_check: String,
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    Header = b'H' as isize,
    Table = b'T' as isize,
    Rows = b'R' as isize,
    TableEnd = b'E' as isize,
    Upload = b'U' as isize,
    Data = b'D' as isize,
    UploadEnd = b'V' as isize,
    End = b'Z' as isize,
}

impl Frame {
    const ALL: [Self; 8] = [
        Self::Header,
        Self::Table,
        Self::Rows,
        Self::TableEnd,
        Self::Upload,
        Self::Data,
        Self::UploadEnd,
        Self::End,
    ];

    fn letter(self) -> u8 {
        self as u8
    }
}

fn changed() -> DumpError {
    DumpError::Damaged("the backup is cut short, or was changed after it was made: its digest is another".to_owned())
}

fn unreadable(_: impl std::fmt::Display) -> DumpError {
    DumpError::Damaged("the backup holds what this program cannot read".to_owned())
}

/// Digests what is written through it.
struct Digesting<W> {
    inner: W,
    context: Context,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.context.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Writes frames.
pub(crate) struct Writer<W: Write>(GzEncoder<Digesting<BufWriter<W>>>);

fn unwritable(cause: std::io::Error) -> DumpError {
    DumpError::file("the backup cannot be written")(cause)
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Result<Self, DumpError> {
        let mut out = Digesting {
            inner: BufWriter::with_capacity(256 * 1024, out),
            context: Context::new(&SHA256),
        };
        out.write_all(format!("{NAME}{FORM}").as_bytes()).map_err(unwritable)?;
        Ok(Self(GzEncoder::new(out, Compression::fast())))
    }

    pub(crate) fn frame(&mut self, frame: Frame, bytes: &[u8]) -> Result<(), DumpError> {
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= LARGEST);
        let length = length.ok_or_else(|| DumpError::Damaged(format!("a row has more than {LARGEST} bytes")))?;
        let mut head = [frame.letter(), 0, 0, 0, 0];
        head[1..].copy_from_slice(&length.to_be_bytes());
        self.0
            .write_all(&head)
            .and_then(|()| self.0.write_all(bytes))
            .map_err(unwritable)
    }

    pub(crate) fn json(&mut self, frame: Frame, value: &impl Serialize) -> Result<(), DumpError> {
        let bytes = serde_json::to_vec(value).map_err(unreadable)?;
        self.frame(frame, &bytes)
    }

    /// Ends the file with its digest.
    pub(crate) fn finish(mut self) -> Result<W, DumpError> {
        self.frame(Frame::End, &[])?;
        let Digesting { mut inner, context } = self.0.finish().map_err(unwritable)?;
        inner.write_all(context.finish().as_ref()).map_err(unwritable)?;
        inner.into_inner().map_err(|error| unwritable(error.into_error()))
    }
}

/// Reads frames.
pub(crate) struct Reader<'f> {
    frames: GzDecoder<BufReader<std::io::Take<&'f mut std::fs::File>>>,
    bytes: Vec<u8>,
}

impl<'f> Reader<'f> {
    /// Reads the whole file once for its digest, and stands before the first frame then.
    pub(crate) fn checked(file: &'f mut std::fs::File) -> Result<Self, DumpError> {
        let unread = |cause| DumpError::file("the backup cannot be read")(cause);
        let length = file.seek(SeekFrom::End(0)).map_err(unread)?;
        file.rewind().map_err(unread)?;
        let mut name = Vec::new();
        let first = (NAME.len() + FORM.len()) as u64;
        (&mut *file).take(first).read_to_end(&mut name).map_err(unread)?;
        let Some(form) = name.strip_prefix(NAME.as_bytes()) else {
            return Err(DumpError::Damaged(
                "the file is no backup of Click-to-Deploy".to_owned(),
            ));
        };
        let body = length
            .checked_sub(first + SHA256_OUTPUT_LEN as u64)
            .ok_or_else(changed)?;
        if form != FORM.as_bytes() {
            return Err(DumpError::Damaged(
                "the backup has a form that this program does not know: use the program that made it, or a newer one"
                    .to_owned(),
            ));
        }
        let mut context = Context::new(&SHA256);
        context.update(&name);
        let mut some = vec![0; 256 * 1024];
        let mut rest = (&mut *file).take(body);
        loop {
            let read = rest.read(&mut some).map_err(unread)?;
            if read == 0 {
                break;
            }
            context.update(&some[..read]);
        }
        let mut digest = Vec::new();
        (&mut *file)
            .take(SHA256_OUTPUT_LEN as u64)
            .read_to_end(&mut digest)
            .map_err(unread)?;
        if digest != context.finish().as_ref() {
            return Err(changed());
        }
        file.seek(SeekFrom::Start(first)).map_err(unread)?;
        Ok(Self {
            frames: GzDecoder::new(BufReader::with_capacity(256 * 1024, file.take(body))),
            bytes: Vec::new(),
        })
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> Result<(Frame, &[u8]), DumpError> {
        let mut head = [0; 5];
        self.frames.read_exact(&mut head).map_err(unreadable)?;
        let frame = Frame::ALL.into_iter().find(|frame| frame.letter() == head[0]);
        let frame = frame.ok_or_else(|| unreadable("letter"))?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        if length > LARGEST {
            return Err(unreadable("length"));
        }
        self.bytes.clear();
        let read = self
            .frames
            .by_ref()
            .take(u64::from(length))
            .read_to_end(&mut self.bytes)
            .map_err(unreadable)?;
        if read as u64 != u64::from(length) {
            return Err(unreadable("end"));
        }
        Ok((frame, &self.bytes))
    }

    /// The next frame, which has to be this one.
    pub(crate) fn json<T: DeserializeOwned>(&mut self, wanted: Frame) -> Result<T, DumpError> {
        let (frame, bytes) = self.next()?;
        if frame != wanted {
            return Err(unreadable("order"));
        }
        parsed(bytes)
    }
}

/// What a frame says.
pub(crate) fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DumpError> {
    serde_json::from_slice(bytes).map_err(unreadable)
}

/// A frame that does not come here.
pub(crate) fn misplaced() -> DumpError {
    unreadable("order")
}
