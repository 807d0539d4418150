//! Into a file.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    path::Path,
};

use super::{
    DumpError, OnProgress, Report,
    file::{Frame, Header, Writer},
    row::Tally,
    source::{Pages, Snapshot},
    upload_file,
};
use crate::{Location, now_ms, seal::Sealer, sql::Value};

/// About how many bytes of rows one frame has.
const FRAME: usize = 256 * 1024;

/// Writes the state as it is at this moment, also while platforms write to it, and the files of its uploads.
/// Returns `out` behind the last byte.
///
/// # Errors
/// When there is no state, the database fails, or `out` cannot be written.
pub async fn backup<W: Write + Send>(
    from: &Location,
    sealer: &Sealer,
    uploads: &Path,
    out: W,
    progress: OnProgress<'_>,
) -> Result<(W, Report), DumpError> {
    let mut source = Snapshot::open(from).await?;
    let mut writer = Writer::new(out)?;
    writer.json(
        Frame::Header,
        &Header {
            migration: source.migration,
            made_at_ms: now_ms(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            product: from.product().to_owned(),
            installation: source.installation.clone(),
            key_check: sealer.check_value()?,
        },
    )?;
    let (mut carried, mut total, mut known) = (Vec::new(), 0, Vec::new());
    for table in &source.tables {
        writer.json(Frame::Table, table)?;
        let mut tally = Tally::new();
        let mut pages = Pages::of(table);
        let mut frame = Vec::new();
        loop {
            let rows = pages.next(&mut source.transaction).await?;
            if rows.is_empty() {
                break;
            }
            total += rows.len() as u64;
            for row in rows {
                frame.extend_from_slice(tally.add(&row));
                if frame.len() >= FRAME {
                    writer.frame(Frame::Rows, &frame)?;
                    frame.clear();
                }
                if let ("uploads", Some(Value::Text(Some(id)))) = (table.name.as_str(), row.first()) {
                    known.push(id.clone());
                }
            }
            progress(&table.name, total);
        }
        if !frame.is_empty() {
            writer.frame(Frame::Rows, &frame)?;
        }
        let end = tally.of(table);
        writer.json(Frame::TableEnd, &end)?;
        carried.push(end);
    }
    let migration = source.migration;
    source.close().await;
    let (mut kept, mut absent) = (0, Vec::new());
    for id in known {
        if upload(&mut writer, uploads, &id)? {
            kept += 1;
        } else {
            absent.push(id);
        }
    }
    let report = Report {
        migration,
        tables: carried,
        uploads: kept,
        absent_uploads: absent,
    };
    Ok((writer.finish()?, report))
}

/// Writes an upload's file; false when it is gone already, as one that was built is.
fn upload<W: Write>(writer: &mut Writer<W>, uploads: &Path, id: &str) -> Result<bool, DumpError> {
    let Ok(parsed) = id.parse() else { return Ok(false) };
    let path = upload_file(uploads, &parsed);
    let unread = || format!("the upload {} cannot be read", path.display());
    let mut file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(DumpError::file(unread())(error)),
    };
    writer.json(Frame::Upload, &id)?;
    let mut some = vec![0; FRAME];
    let mut total: u64 = 0;
    loop {
        let read = file.read(&mut some).map_err(DumpError::file(unread()))?;
        if read == 0 {
            break;
        }
        total += read as u64;
        writer.frame(Frame::Data, &some[..read])?;
    }
    writer.json(Frame::UploadEnd, &total)?;
    Ok(true)
}
