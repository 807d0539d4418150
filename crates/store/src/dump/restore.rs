//! Out of a file.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::{
    CarriedTable, DumpError, OnProgress, Report,
    file::{Frame, Header, Reader, misplaced, parsed},
    row::{Tally, Values, decode},
    schema::{Table, tables},
    target::Target,
    upload_file,
};
use crate::{Error, Location, migrations::known, seal::Sealer};

/// What is done with what a file holds, piece by piece.
trait Take {
    async fn rows(&mut self, table: &Table, rows: Vec<Values>) -> Result<(), DumpError>;
    fn upload(&mut self, id: &domain::UploadId) -> Result<(), DumpError>;
    fn data(&mut self, bytes: &[u8]) -> Result<(), DumpError>;
    fn upload_end(&mut self) -> Result<(), DumpError>;
}

/// Reads a whole file without writing anything: its digest, who it is for, and whether all of it can be taken.
///
/// # Errors
/// When it is not a whole and unchanged backup, was made under another key or by a newer program, or holds what the
/// database cannot.
pub async fn examine(
    file: &mut fs::File,
    to: &Location,
    sealer: &Sealer,
    progress: OnProgress<'_>,
) -> Result<Header, DumpError> {
    struct Look<'l>(&'l Location);
    impl Take for Look<'_> {
        async fn rows(&mut self, table: &Table, rows: Vec<Values>) -> Result<(), DumpError> {
            Target::can_hold(self.0, table, &rows)
        }
        fn upload(&mut self, _: &domain::UploadId) -> Result<(), DumpError> {
            Ok(())
        }
        fn data(&mut self, _: &[u8]) -> Result<(), DumpError> {
            Ok(())
        }
        fn upload_end(&mut self) -> Result<(), DumpError> {
            Ok(())
        }
    }
    let mut reader = Reader::checked(file)?;
    let (header, tables) = begin(&mut reader, sealer).await?;
    read(&mut reader, &tables, &mut Look(to), progress).await?;
    Ok(header)
}

/// Puts a backup that was examined into an empty database, or in the place of what the database holds. Reads it there
/// again, and compares each table. Nobody may work on the database meanwhile.
///
/// # Errors
/// When the database is not empty and nothing is to be replaced, or fails. What was begun is begun anew by the next call;
/// no platform starts on the database before.
pub async fn restore(
    file: &mut fs::File,
    to: &Location,
    sealer: &Sealer,
    uploads: &Path,
    replace: bool,
    progress: OnProgress<'_>,
) -> Result<Report, DumpError> {
    let target = Target::open(to, replace).await?;
    let mut reader = Reader::checked(file)?;
    let (header, tables) = begin(&mut reader, sealer).await?;
    target.begin(header.migration).await?;
    let mut put = Put {
        target: &target,
        uploads,
        part: None,
        kept: 0,
    };
    let carried = read(&mut reader, &tables, &mut put, progress).await?;
    let kept = put.kept;
    target.verify(&tables, &carried, progress).await?;
    target.finish().await?;
    Ok(Report {
        migration: header.migration,
        tables: carried,
        uploads: kept,
        absent_uploads: Vec::new(),
    })
}

/// The header, and the tables that have to follow.
async fn begin(reader: &mut Reader<'_>, sealer: &Sealer) -> Result<(Header, Vec<Table>), DumpError> {
    let header: Header = reader.json(Frame::Header)?;
    if header.migration > known() {
        return Err(Error::TooNew {
            found: header.migration,
            known: known(),
        }
        .into());
    }
    if header.migration < 1 {
        return Err(misplaced());
    }
    if header.key_check != sealer.check_value()? {
        return Err(DumpError::OtherKey);
    }
    let tables = tables(header.migration).await?;
    Ok((header, tables))
}

async fn read(
    reader: &mut Reader<'_>,
    tables: &[Table],
    take: &mut impl Take,
    progress: OnProgress<'_>,
) -> Result<Vec<CarriedTable>, DumpError> {
    let (mut carried, mut total) = (Vec::new(), 0);
    for table in tables {
        // Names in statements are those of our own schema, and the file has to have the same.
        if reader.json::<Table>(Frame::Table)? != *table {
            return Err(misplaced());
        }
        let mut tally = Tally::new();
        loop {
            match reader.next()? {
                (Frame::Rows, bytes) => {
                    let rows = decode(table, bytes)?;
                    total += rows.len() as u64;
                    for row in &rows {
                        tally.add(row);
                    }
                    take.rows(table, rows).await?;
                    progress(&table.name, total);
                }
                (Frame::TableEnd, bytes) => {
                    let end = tally.of(table);
                    if parsed::<CarriedTable>(bytes)? != end {
                        return Err(misplaced());
                    }
                    carried.push(end);
                    break;
                }
                _ => return Err(misplaced()),
            }
        }
    }
    let mut length = None;
    loop {
        match (reader.next()?, length) {
            ((Frame::Upload, bytes), None) => {
                let id: String = parsed(bytes)?;
                take.upload(&id.parse().map_err(|_| misplaced())?)?;
                length = Some(0);
            }
            ((Frame::Data, bytes), Some(before)) => {
                take.data(bytes)?;
                length = Some(before + bytes.len() as u64);
            }
            ((Frame::UploadEnd, bytes), Some(all)) if parsed::<u64>(bytes)? == all => {
                take.upload_end()?;
                length = None;
            }
            ((Frame::End, _), None) => return Ok(carried),
            _ => return Err(misplaced()),
        }
    }
}

/// Writes it all.
struct Put<'p> {
    target: &'p Target,
    uploads: &'p Path,
    part: Option<(fs::File, std::path::PathBuf)>,
    kept: u64,
}

fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> DumpError {
    DumpError::file(format!("the upload {} cannot be written", path.display()))
}

impl Take for Put<'_> {
    async fn rows(&mut self, table: &Table, rows: Vec<Values>) -> Result<(), DumpError> {
        self.target.insert(table, rows).await
    }

    fn upload(&mut self, id: &domain::UploadId) -> Result<(), DumpError> {
        let path = upload_file(self.uploads, id);
        let mut folder = fs::DirBuilder::new();
        folder
            .recursive(true)
            .mode(0o700)
            .create(self.uploads)
            .map_err(unwritable(&path))?;
        let part = path.with_extension("part");
        let mut options = fs::OpenOptions::new();
        let options = options.create(true).truncate(true).write(true).mode(0o600);
        let file = options.open(&part).map_err(unwritable(&path))?;
        self.part = Some((file, path));
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), DumpError> {
        let Some((file, path)) = &mut self.part else {
            return Ok(());
        };
        file.write_all(bytes).map_err(unwritable(path))
    }

    fn upload_end(&mut self) -> Result<(), DumpError> {
        let Some((file, path)) = self.part.take() else {
            return Ok(());
        };
        file.sync_all()
            .and_then(|()| fs::rename(path.with_extension("part"), &path))
            .map_err(unwritable(&path))?;
        self.kept += 1;
        Ok(())
    }
}
