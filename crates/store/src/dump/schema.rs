//! Which tables there are. The schema of a migration is made in memory and looked at: the three databases have the same
//! tables and columns.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sqlx::{ConnectOptions as _, Row as _, sqlite::SqliteConnectOptions};

use super::DumpError;
use crate::{Error, migrations, sql::Kind};

/// Tables that are not carried, each with the reason.
pub const NOT_CARRIED: [(&str, &str); 5] = [
    ("schema_migrations", "the database that is written has its own"),
    ("leases", "whoever held one works on the database that was read"),
    ("processes", "they run on the database that was read"),
    (
        "orphans",
        "what nobody owns is found anew, and has its grace time again",
    ),
    ("notices", "whoever is woken looks into the state anyway"),
];

const TABLES: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name";
const COLUMNS: &str = "SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid";
const PARENTS: &str = "SELECT DISTINCT \"table\" AS parent FROM pragma_foreign_key_list(?)";

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// The places of the key's columns, first to last.
    pub(crate) key: Vec<usize>,
}

impl Table {
    /// The names of all columns, as SQL has them.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        names.join(", ")
    }
}

fn corrupt(text: String) -> Error {
    Error::corrupt("schema")(std::io::Error::other(text))
}

fn kind(declared: &str) -> Option<Kind> {
    match declared {
        "INTEGER" | "BIGINT" => Some(Kind::Integer),
        "DOUBLE PRECISION" => Some(Kind::Float),
        "TEXT" => Some(Kind::Text),
        "BLOB" => Some(Kind::Bytes),
        _ => None,
    }
}

/// The names of the tables that are carried at the newest migration.
///
/// # Errors
/// When the schema has a column, or a circle of references, that this does not know.
pub async fn carried_tables() -> Result<Vec<String>, DumpError> {
    let tables = tables(migrations::known()).await?;
    Ok(tables.into_iter().map(|table| table.name).collect())
}

/// The tables at a migration that are carried: what is referred to stands before what refers to it.
pub(crate) async fn tables(migration: i64) -> Result<Vec<Table>, DumpError> {
    let mut connection = SqliteConnectOptions::new().in_memory(true).connect().await?;
    Box::pin(migrations::on_sqlite(&mut connection, migration)).await?;
    let mut waiting = Vec::new();
    for row in sqlx::query(TABLES).fetch_all(&mut connection).await? {
        let name: String = row.get("name");
        if NOT_CARRIED.iter().any(|(left, _)| *left == name) {
            continue;
        }
        let mut columns = Vec::new();
        let mut key = Vec::new();
        for (at, row) in sqlx::query(COLUMNS)
            .bind(&name)
            .fetch_all(&mut connection)
            .await?
            .iter()
            .enumerate()
        {
            let (column, declared): (String, String) = (row.get("name"), row.get("type"));
            let kind = kind(&declared).ok_or_else(|| corrupt(format!("{name}.{column} is a {declared}")))?;
            columns.push(Column { name: column, kind });
            if row.get::<i64, _>("pk") > 0 {
                key.push((row.get::<i64, _>("pk"), at));
            }
        }
        key.sort_unstable();
        if key.is_empty() {
            return Err(corrupt(format!("{name} has no key")).into());
        }
        let key = key.into_iter().map(|(_, at)| at).collect();
        let parents = sqlx::query(PARENTS).bind(&name).fetch_all(&mut connection).await?;
        let parents: BTreeSet<String> = parents
            .iter()
            .map(|row| row.get("parent"))
            .filter(|one| *one != name)
            .collect();
        waiting.push((Table { name, columns, key }, parents));
    }
    ordered(waiting)
}

fn ordered(mut waiting: Vec<(Table, BTreeSet<String>)>) -> Result<Vec<Table>, DumpError> {
    let mut tables: Vec<Table> = Vec::new();
    while !waiting.is_empty() {
        let is_there = |parent: &String| tables.iter().any(|table| table.name == *parent);
        let ready = waiting.iter().position(|(_, parents)| parents.iter().all(is_there));
        let at = ready.ok_or_else(|| corrupt("tables refer to each other in a circle".to_owned()))?;
        tables.push(waiting.remove(at).0);
    }
    Ok(tables)
}
