//! From one database to another, without a file between.

use super::{
    DumpError, OnProgress, Report,
    row::Tally,
    source::{Pages, Snapshot},
    target::Target,
};
use crate::Location;

/// Copies the state into an empty database, reads it there again, and compares each table: the rows' number and a digest
/// of every value. The database that is read stays as it is. Nobody may work on either meanwhile.
///
/// # Errors
/// When the other one is not empty, cannot hold a value, or a database fails. What was begun there is begun anew by the
/// next call; no platform starts on it before.
pub async fn copy(from: &Location, to: &Location, progress: OnProgress<'_>) -> Result<Report, DumpError> {
    let mut source = Snapshot::open(from).await?;
    let target = Target::open(to, false).await?;
    target.begin(source.migration).await?;
    let (mut copied, mut total) = (Vec::new(), 0);
    for table in &source.tables {
        let mut tally = Tally::new();
        let mut pages = Pages::of(table);
        loop {
            let rows = pages.next(&mut source.transaction).await?;
            if rows.is_empty() {
                break;
            }
            total += rows.len() as u64;
            for row in &rows {
                tally.add(row);
            }
            target.insert(table, rows).await?;
            progress(&table.name, total);
        }
        copied.push(tally.of(table));
    }
    target.verify(&source.tables, &copied, progress).await?;
    target.finish().await?;
    let migration = source.migration;
    source.close().await;
    Ok(Report {
        migration,
        tables: copied,
        uploads: 0,
        absent_uploads: Vec::new(),
    })
}
