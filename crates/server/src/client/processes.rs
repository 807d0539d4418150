//! `processes`: which processes of the platform there are, for operators.

use api::wire::Process;

use super::{
    Session,
    error::ClientError,
    output::{Cell, Tint},
    services::age,
};

/// A process that was not seen for so many seconds was probably killed.
const SILENT_SECONDS: i64 = 30;

/// `processes`
pub(crate) async fn run(session: &Session) -> Result<(), ClientError> {
    let output = session.output;
    let processes = session.api.processes().await?;
    if output.json {
        return output.json_line(&processes.items);
    }
    if processes.items.is_empty() {
        output.note("the processes are shown to the operator's organization, the first one");
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = processes.items.iter().map(row).collect();
    output.table(
        &["PROCESS", "ROLE", "HOST", "VERSION", "AGE", "SEEN", "DOES FOR ALL"],
        &rows,
    )
}

fn row(process: &Process) -> Vec<Cell> {
    let silent = process
        .seen_at
        .parse::<jiff::Timestamp>()
        .is_ok_and(|seen| jiff::Timestamp::now().as_second() - seen.as_second() > SILENT_SECONDS);
    let seen = format!("{} ago", age(&process.seen_at));
    vec![
        process.id.as_str().into(),
        process.role.as_str().into(),
        process.host.as_str().into(),
        process.version.as_str().into(),
        age(&process.started_at).into(),
        Cell::tinted(if silent { Tint::Bad } else { Tint::Good }, seen),
        process.leads.join(", ").into(),
    ]
}
