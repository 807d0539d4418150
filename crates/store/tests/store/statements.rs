//! Every statement of the crate, as its sources have it: each database takes it, and finds its rows by an index.

use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, SqlSafeStr as _, SqliteConnection,
};

use crate::bed::Bed;

crate::bed::promises!(every_statement_is_understood, no_statement_reads_a_whole_table);

/// What reads a whole table by its nature: `file NAME`.
const WHOLE: [&str; 11] = [
    "projects ALL",
    "services ALL",
    "services UPLOADS",
    "organizations COUNT_TOKENS",
    // Rare: an image that is nobody's own goes.
    "deployments OF_IMAGE",
    // A few rows.
    "schedules DUE",
    "leases ALL",
    "leases LET_ALL_GO",
    "processes ALL",
    "processes FORGET",
    "processes FORGET_ALL",
];

/// `file NAME` and the text of every constant that is a statement.
fn statements() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_none_or(|end| end != "rs") || file == "migrations" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text.split("const ").skip(1) {
            let Some((name, rest)) = part.split_once(": &str =") else {
                continue;
            };
            let Some(rest) = rest.trim_start().strip_prefix('"') else {
                continue;
            };
            let literal = &rest[..rest.find('"').unwrap()];
            let sql: Vec<&str> = literal.split("\\\n").map(str::trim_start).collect();
            let sql = sql.concat();
            if ["SELECT", "INSERT", "UPDATE", "DELETE"]
                .iter()
                .any(|verb| sql.starts_with(verb))
            {
                found.push((format!("{file} {name}"), sql));
            }
        }
    }
    assert!(found.len() > 80, "the sources were read: {}", found.len());
    found
}

async fn every_statement_is_understood(bed: Bed) {
    let url = bed.place.url();
    for (name, sql) in statements() {
        let refused = match bed.location.product() {
            "SQLite" => {
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map(drop)
            }
            "PostgreSQL" => {
                let mut connection = PgConnection::connect(&url).await.unwrap();
                let mut parts = sql.split('?');
                let mut numbered = parts.next().unwrap().to_owned();
                for (index, part) in parts.enumerate() {
                    numbered += &format!("${}{part}", index + 1);
                }
                connection
                    .prepare(AssertSqlSafe(numbered).into_sql_str())
                    .await
                    .map(drop)
            }
            _ => {
                let mut connection = MySqlConnection::connect(&url).await.unwrap();
                connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map(drop)
            }
        };
        assert!(refused.is_ok(), "{name}: {refused:?}");
    }
}

/// A value that fits where a `?` stands: by the column that it is compared with or set to.
fn value(before: &str, table: &str) -> String {
    let before = before.trim_end();
    if before.ends_with("LIMIT") || before.ends_with("OFFSET") {
        return "50".to_owned();
    }
    if before.ends_with("COALESCE(") {
        return "NULL".to_owned();
    }
    if before.ends_with("LOWER(") || before.ends_with('(') {
        return "''".to_owned();
    }
    let words: Vec<&str> = before.split_whitespace().collect();
    let column = words
        .iter()
        .rev()
        .find(|word| word.chars().any(char::is_alphabetic))
        .unwrap();
    let column = column.trim_matches(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
    let (alias, column) = column.rsplit_once('.').unwrap_or(("", column));
    let table = if alias == "d" { "deployments" } else { table };
    let numbers = [
        "number",
        "deployment_count",
        "sequence",
        "version",
        "attempt",
        "port",
        "cached",
        "seconds",
        "removing",
        "at_ns",
        "lines_at_that_time",
        "deadline_seconds",
        "size_bytes",
        "position",
        "stuck",
        "failures",
        "priority",
        "beat",
    ];
    match (column, table) {
        ("id", "jobs") | ("job_id", _) => "'job_00700'".to_owned(),
        ("id", "deployments") | ("deployment_id", _) => "'dep_00700'".to_owned(),
        ("id", "services") | ("service_id", _) => "'svc_00700'".to_owned(),
        ("id", "projects") | ("project_id", _) => "'prj_00070'".to_owned(),
        ("id", "organizations") | ("organization_id", _) => "'org_0'".to_owned(),
        ("status", "idempotency_keys") => "200".to_owned(),
        ("lease_until_ms" | "run_after_ms", _) => "5000".to_owned(),
        (column, _) if column.ends_with("_ms") => "10".to_owned(),
        (column, _) if numbers.contains(&column) => "7".to_owned(),
        _ => "'x'".to_owned(),
    }
}

fn filled(sql: &str) -> String {
    let table = ["FROM ", "UPDATE "]
        .iter()
        .find_map(|verb| sql.split_once(verb))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .unwrap_or_default();
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let next = value(&text, table);
        text += &next;
        text += part;
    }
    text
}

async fn fill(bed: &Bed, table: &str, columns: &str, rows: usize, row: impl Fn(usize) -> String) {
    let all: Vec<String> = (0..rows).map(|number| format!("({})", row(number))).collect();
    for part in all.chunks(1000) {
        bed.run(&format!("INSERT INTO {table} ({columns}) VALUES {}", part.join(", ")))
            .await;
    }
}

/// Rows enough that no planner thinks of reading all of them.
async fn fill_all(bed: &Bed) {
    fill(bed, "organizations", "id, name, created_at_ms", 3000, |n| {
        format!("'org_{n}', 'o{n}', 100")
    })
    .await;
    fill(
        bed,
        "api_tokens",
        "id, organization_id, name, hash, created_at_ms",
        3000,
        |n| format!("'tok_{n}', 'org_{}', 't', 'h{n}', 100", n % 100),
    )
    .await;
    fill(bed, "projects", "id, organization_id, name, created_at_ms", 3000, |n| {
        format!("'prj_{n:05}', 'org_{}', 'p{n}', 100", n % 10)
    })
    .await;
    fill(
        bed,
        "services",
        "id, organization_id, project_id, name, host, source, settings, created_at_ms",
        4000,
        |n| {
            let project = n % 200;
            format!(
                "'svc_{n:05}', 'org_{}', 'prj_{project:05}', 's{n}', 'h{n}', '', '', 100",
                project % 10
            )
        },
    )
    .await;
    fill(
        bed,
        "env_vars",
        "service_id, name, kind, sealed_value, updated_at_ms",
        6000,
        |n| format!("'svc_{:05}', 'V{n}', 'static', '', 100", n % 1000),
    )
    .await;
    fill(bed, "uploads", "id, service_id, size_bytes, created_at_ms", 3000, |n| {
        format!("'upl_{n}', 'svc_{:05}', 1, 100", n % 1000)
    })
    .await;
    let columns = "id, service_id, number, status, cause, revision, settings, sealed_environment, created_at_ms";
    fill(bed, "deployments", columns, 8000, |n| {
        let status = if n % 200 == 0 { "building" } else { "live" };
        format!(
            "'dep_{n:05}', 'svc_{:05}', {n}, '{status}', 'manual', '', '', '', 100",
            n % 1000
        )
    })
    .await;
    fill(
        bed,
        "deployment_phases",
        "deployment_id, phase, status, started_at_ms, deadline_seconds",
        8000,
        |n| {
            format!(
                "'dep_{n:05}', 'drain', '{}', 100, 1",
                if n % 300 == 0 { "running" } else { "done" }
            )
        },
    )
    .await;
    fill(
        bed,
        "deployment_steps",
        "deployment_id, step_id, position, name, cached",
        8000,
        |n| format!("'dep_{:05}', 's{n}', 1, 'n', 0", n % 2000),
    )
    .await;
    for (table, key, prefix) in [
        ("deployment_logs", "deployment_id", "dep"),
        ("service_logs", "service_id", "svc"),
    ] {
        fill(
            bed,
            table,
            &format!("{key}, sequence, at_ns, phase, level, origin, message"),
            12_000,
            |n| format!("'{prefix}_{:05}', {n}, 1, 'run', 'info', 'o', 'm'", n % 1000),
        )
        .await;
    }
    fill(
        bed,
        "output_cursors",
        "instance, service_id, at_ns, lines_at_that_time",
        3000,
        |n| format!("'i{n}', 'svc_{:05}', 1, 1", n % 1000),
    )
    .await;
    let columns = "id, organization_id, name, subject, serial_key, status, lease_until_ms, run_after_ms, created_at_ms, \
        finished_at_ms";
    fill(bed, "jobs", columns, 12_000, |n| {
        let status = match n % 200 {
            0 => "waiting",
            1 => "running",
            _ => "done",
        };
        let key = n % 1000;
        format!(
            "'job_{n:05}', 'org_{}', 'deploy', 'sub{n}', 'key{key}', '{status}', 0, {n}, 100, {n}",
            n % 10
        )
    })
    .await;
    fill(bed, "saga_journal", "job_id, step, position, state, at_ms", 8000, |n| {
        format!("'job_{:05}', 's{n}', 1, 'done', 100", n % 2000)
    })
    .await;
    fill(
        bed,
        "idempotency_keys",
        "organization_id, name, request_digest, created_at_ms",
        5000,
        |n| format!("'org_{}', 'k{n}', 'd', {n}", n % 10),
    )
    .await;
    fill(bed, "schedules", "name, every_ms, next_at_ms", 3000, |n| {
        format!("'n{n}', 1, {n}")
    })
    .await;
    fill(bed, "leases", "name, owner, beat", 3000, |n| {
        format!("'n{n}', 'o{n}', 1")
    })
    .await;
    fill(bed, "orphans", "kind, name, since_ms", 3000, |n| {
        format!("'k{}', 'n{n}', 1", n % 100)
    })
    .await;
    fill(
        bed,
        "processes",
        "id, role, host, version, started_at_ms, seen_at_ms",
        3000,
        |n| format!("'p{n}', 'worker', 'h', '1', 1, {n}"),
    )
    .await;
    fill(bed, "installation", "name, value", 3000, |n| format!("'n{n}', 'v'")).await;
    match bed.location.product() {
        "MariaDB" => {
            for table in bed
                .run("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
                .await
            {
                bed.run(&format!("ANALYZE TABLE {table}")).await;
            }
        }
        _ => drop(bed.run("ANALYZE").await),
    }
}

async fn no_statement_reads_a_whole_table(bed: Bed) {
    fill_all(&bed).await;
    let mut whole = Vec::new();
    for (name, sql) in statements() {
        if WHOLE.contains(&name.as_str())
            || sql.starts_with("INSERT")
            || !sql.contains(" FROM ") && !sql.contains("UPDATE ")
        {
            continue;
        }
        let sql = filled(&sql);
        let (plan, bad) = match bed.location.product() {
            "SQLite" => (bed.place.column(&format!("EXPLAIN QUERY PLAN {sql}"), 3).await, "SCAN "),
            "PostgreSQL" => (bed.run(&format!("EXPLAIN {sql}")).await, "Seq Scan"),
            _ => (
                bed.run(&format!("EXPLAIN FORMAT=JSON {sql}")).await,
                "\"access_type\": \"ALL\"",
            ),
        };
        // What a statement has made itself is read whole.
        let of_a_table = |line: &String| match bed.location.product() {
            "MariaDB" => line
                .split("\"table_name\": \"")
                .skip(1)
                .any(|table| !table.starts_with('<') && table.split("\"table\":").next().unwrap().contains(bad)),
            _ => line.contains(bad) && !line.contains("SCAN turn") && !line.contains("SCAN CONSTANT ROW"),
        };
        if plan.iter().any(of_a_table) {
            whole.push(format!("{name}: {sql}\n{}", plan.join("\n")));
        }
    }
    assert!(whole.is_empty(), "{}", whole.join("\n\n"));
}
