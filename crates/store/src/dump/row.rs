//! A row as bytes, the same whichever database it is of: what a file holds, and what digests are made of.

use ring::digest::{Context, SHA256};

use super::{CarriedTable, DumpError, schema::Table};
use crate::sql::{Kind, Value};

/// A row: a value for each column.
pub(crate) type Values = Vec<Value>;

const NOTHING: u8 = 0;
const INTEGER: u8 = 1;
const FLOAT: u8 = 2;
const TEXT: u8 = 3;
const BYTES: u8 = 4;

fn counted(tag: u8, bytes: &[u8], into: &mut Vec<u8>) {
    into.push(tag);
    // No database of these gives more than 4 GiB in one value.
    into.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend_from_slice(bytes);
}

/// Appends a row.
pub(crate) fn encode(row: &[Value], into: &mut Vec<u8>) {
    for value in row {
        match value {
            Value::Integer(Some(value)) => {
                into.push(INTEGER);
                into.extend(value.to_be_bytes());
            }
            Value::Float(Some(value)) => {
                into.push(FLOAT);
                into.extend(value.to_bits().to_be_bytes());
            }
            Value::Text(Some(value)) => counted(TEXT, value.as_bytes(), into),
            Value::Bytes(Some(value)) => counted(BYTES, value, into),
            Value::Integer(None) | Value::Float(None) | Value::Text(None) | Value::Bytes(None) => into.push(NOTHING),
        }
    }
}

/// About how many bytes a row takes.
pub(crate) fn size(row: &[Value]) -> usize {
    let of = |value: &Value| match value {
        Value::Text(Some(value)) => value.len(),
        Value::Bytes(Some(value)) => value.len(),
        _ => 8,
    };
    row.iter().map(of).sum()
}

fn take<'b>(bytes: &mut &'b [u8], many: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(many)?;
    *bytes = rest;
    Some(taken)
}

fn eight(bytes: &mut &[u8]) -> Option<[u8; 8]> {
    take(bytes, 8)?.try_into().ok()
}

fn many<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = u32::from_be_bytes(take(bytes, 4)?.try_into().ok()?);
    take(bytes, usize::try_from(length).ok()?)
}

fn value(kind: Kind, bytes: &mut &[u8]) -> Option<Value> {
    let tag = take(bytes, 1)?[0];
    Some(match (kind, tag) {
        (Kind::Integer, NOTHING) => Value::Integer(None),
        (Kind::Float, NOTHING) => Value::Float(None),
        (Kind::Text, NOTHING) => Value::Text(None),
        (Kind::Bytes, NOTHING) => Value::Bytes(None),
        (Kind::Integer, INTEGER) => Value::Integer(Some(i64::from_be_bytes(eight(bytes)?))),
        (Kind::Float, FLOAT) => Value::Float(Some(f64::from_bits(u64::from_be_bytes(eight(bytes)?)))),
        (Kind::Text, TEXT) => Value::Text(Some(String::from_utf8(many(bytes)?.to_vec()).ok()?)),
        (Kind::Bytes, BYTES) => Value::Bytes(Some(many(bytes)?.to_vec())),
        _ => return None,
    })
}

/// Reads the rows that a frame holds.
pub(crate) fn decode(table: &Table, mut bytes: &[u8]) -> Result<Vec<Values>, DumpError> {
    let wrong = || DumpError::Damaged(format!("the file holds a row of {} that cannot be read", table.name));
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let row: Option<Values> = table
            .columns
            .iter()
            .map(|column| value(column.kind, &mut bytes))
            .collect();
        rows.push(row.ok_or_else(wrong)?);
    }
    Ok(rows)
}

/// What a row is called in messages.
pub(crate) fn key(table: &Table, row: &[Value]) -> String {
    let parts = table.key.iter().map(|&at| match row.get(at) {
        Some(Value::Integer(Some(value))) => value.to_string(),
        Some(Value::Text(Some(value))) => value.clone(),
        _ => "?".to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Refuses a text with a NUL, which PostgreSQL cannot hold.
pub(crate) fn without_nul(table: &Table, row: &[Value]) -> Result<(), DumpError> {
    for (column, value) in table.columns.iter().zip(row) {
        if matches!(value, Value::Text(Some(text)) if text.contains('\0')) {
            return Err(DumpError::Value {
                table: table.name.clone(),
                column: column.name.clone(),
                key: key(table, row),
                problem: "holds a text with a NUL character, which PostgreSQL cannot keep. Change it where it is, or \
                          choose SQLite or MariaDB",
            });
        }
    }
    Ok(())
}

/// Counts rows and digests them.
pub(crate) struct Tally {
    rows: u64,
    context: Context,
    bytes: Vec<u8>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            rows: 0,
            context: Context::new(&SHA256),
            bytes: Vec::new(),
        }
    }

    /// Takes note of a row; its bytes.
    pub(crate) fn add(&mut self, row: &[Value]) -> &[u8] {
        self.bytes.clear();
        encode(row, &mut self.bytes);
        self.context.update(&self.bytes);
        self.rows += 1;
        &self.bytes
    }

    pub(crate) fn of(self, table: &Table) -> CarriedTable {
        CarriedTable {
            name: table.name.clone(),
            rows: self.rows,
            sha256: hex(self.context.finish().as_ref()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::schema::Column;

    fn table() -> Table {
        let column = |(name, kind): (&str, Kind)| Column {
            name: name.to_owned(),
            kind,
        };
        let columns = [
            ("i", Kind::Integer),
            ("f", Kind::Float),
            ("t", Kind::Text),
            ("b", Kind::Bytes),
        ];
        Table {
            name: "t".to_owned(),
            columns: columns.map(column).into(),
            key: vec![0],
        }
    }

    #[test]
    fn every_value_comes_back_as_it_was() {
        let row = |i, f, t: Option<&str>, b: Option<&[u8]>| {
            vec![
                Value::Integer(i),
                Value::Float(f),
                Value::Text(t.map(str::to_owned)),
                Value::Bytes(b.map(<[u8]>::to_vec)),
            ]
        };
        let rows = vec![
            row(Some(i64::MIN), Some(f64::MIN_POSITIVE), Some(""), Some(b"")),
            row(
                Some(i64::MAX),
                Some(-0.0),
                Some("\0 \u{10ffff} 日本"),
                Some(&[0, 255, 128]),
            ),
            row(None, None, None, None),
        ];
        let mut bytes = Vec::new();
        rows.iter().for_each(|row| encode(row, &mut bytes));
        assert_eq!(decode(&table(), &bytes).unwrap(), rows);
        for cut in 1..bytes.len() {
            // Cut anywhere, it is refused, or only whole rows come back.
            if let Ok(read) = decode(&table(), &bytes[..cut]) {
                assert_eq!(read, rows[..read.len()]);
            }
        }
        assert!(decode(&table(), &[TEXT, 0, 0, 0, 0]).is_err(), "a text is no integer");
        assert!(
            decode(&table(), &[0, 0, TEXT, 255, 255, 255, 255]).is_err(),
            "nothing is reserved for what is not there"
        );
    }

    #[test]
    fn nothing_and_empty_have_different_digests() {
        let digest = |text: Option<&str>| {
            let mut tally = Tally::new();
            tally.add(&[Value::Text(text.map(str::to_owned))]);
            tally.of(&table()).sha256
        };
        assert_ne!(digest(None), digest(Some("")));
    }
}
