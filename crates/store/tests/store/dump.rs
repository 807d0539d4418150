//! The whole state in and out: nothing is left out, nothing is changed on the way, and what is not whole is not taken.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{logs::LogLevel, ports::infrastructure::OutputCursor};
use store::{
    Error, Location,
    dump::{DumpError, NOT_CARRIED, Report, backup, carried_tables, copy, examine, restore},
    logs::{Line, Log, Read},
    seal::Sealer,
};

use crate::bed::{Bed, KEY, OTHER_KEY, Place, open};

crate::bed::promises!(
    a_backup_brings_back_every_row_and_file,
    a_backup_while_eight_write_is_of_one_moment,
    a_restore_that_was_killed_keeps_the_platform_from_starting_until_it_is_done_again,
    what_is_there_is_only_replaced_when_asked_for,
    a_backup_of_an_older_schema_is_brought_to_the_newest,
    every_table_is_carried_or_has_a_reason,
);

const NAMES: [&str; 3] = ["sqlite", "postgresql", "mariadb"];

fn quiet() -> impl FnMut(&str, u64) + Send {
    |_: &str, _: u64| {}
}

fn sealer(key: &str) -> Sealer {
    Sealer::new(key).unwrap()
}

fn line(text: &str) -> Line {
    Line {
        sequence: 0,
        at_ns: 1,
        phase: "run",
        level: LogLevel::Info,
        origin: String::new(),
        message: text.to_owned(),
    }
}

/// Rows in every table, with the values that are hard to carry.
async fn fill(bed: &Bed) {
    for (number, many) in [0, 1, 15, 16, 17, 1200].into_iter().enumerate() {
        let service = bed.service(&format!("s{number}")).await;
        let mut lines: Vec<Line> = (0..many)
            .map(|at| line(&format!("{at} 日本 \u{10ffff} e\u{301}")))
            .collect();
        let (from, to) = (OutputCursor::default(), OutputCursor::default());
        let instance = "i";
        let read = Some(Read { instance, from, to }).filter(|_| number == 1);
        bed.store
            .append_lines(Log::Run(service.id), &mut lines, read)
            .await
            .unwrap();
        let deployment = bed.deployment(&service, &[("A", "secret"), ("B", "")]).await;
        bed.store
            .append_lines(Log::Build(deployment), &mut [line("")], None)
            .await
            .unwrap();
    }
    let deployment = "(SELECT MIN(id) FROM deployments)";
    let organization = "(SELECT MIN(id) FROM organizations)";
    let bytes = if bed.place.is_postgres() {
        "'\\x00ff80'"
    } else {
        "x'00ff80'"
    };
    for sql in [
        format!("INSERT INTO deployment_steps VALUES ({deployment}, '', -9223372036854775808, 'a''b\\', 0, -0.1, '')"),
        format!("INSERT INTO deployment_steps VALUES ({deployment}, '1', 9223372036854775807, '', 1, 1e308, NULL)"),
        format!("INSERT INTO deployment_steps VALUES ({deployment}, 'a ', 3, '\r\n\t', 1, 4.9e-324, NULL)"),
        format!("INSERT INTO deployment_steps VALUES ({deployment}, 'a', 3, 'É', 1, NULL, NULL)"),
        format!("INSERT INTO deployment_phases VALUES ({deployment}, 'build', 'done', 1, NULL, 3)"),
        format!("INSERT INTO uploads VALUES ('{UPLOAD}', (SELECT MIN(id) FROM services), 3, 1)"),
        format!("INSERT INTO uploads VALUES ('{GONE}', (SELECT MIN(id) FROM services), 3, 1)"),
        format!("INSERT INTO idempotency_keys VALUES ({organization}, 'a', 'd', 202, {bytes}, 1)"),
        format!("INSERT INTO idempotency_keys VALUES ({organization}, 'b', 'd', NULL, NULL, 1)"),
        format!(
            "INSERT INTO jobs (id, organization_id, name, subject, serial_key, status, owner, attempt, lease_until_ms, run_after_ms, reason, created_at_ms, finished_at_ms) \
             VALUES ('j', {organization}, 'deploy', 's', 's', 'running', 'me', 3, 9, 0, NULL, 1, NULL)"
        ),
        "INSERT INTO schedules VALUES ('cleanup', 3600000, 7)".to_owned(),
        "INSERT INTO saga_journal VALUES ('j', 'build', 1, 'begun', NULL, 1)".to_owned(),
        "INSERT INTO installation VALUES ('name', 'cafe')".to_owned(),
        format!("INSERT INTO api_tokens VALUES ('t', {organization}, 'n', 'h', 1)"),
        "INSERT INTO env_vars SELECT id, 'A', 'secret', deploy_key_sealed, 1 FROM services WHERE 1 = 0".to_owned(),
        format!("INSERT INTO env_vars VALUES ((SELECT MIN(id) FROM services), 'A', 'secret', {bytes}, 1)"),
    ] {
        // MariaDB reads a backslash as an escape; what is meant is the same text on all three.
        let sql = if bed.location.product() == "MariaDB" {
            sql.replace('\\', "\\\\")
        } else {
            sql
        };
        bed.run(&sql).await;
    }
}

const UPLOAD: &str = "upl_0190a1b2c3d47e5f8a9b0c1d2e3f4a5b";
const GONE: &str = "upl_0190a1b2c3d47e5f8a9b0c1d2e3f4a5c";

fn digests(report: &Report) -> BTreeMap<&str, (u64, &str)> {
    let tables = report.tables.iter();
    tables
        .map(|one| (one.name.as_str(), (one.rows, one.sha256.as_str())))
        .collect()
}

async fn into_file(from: &Location, uploads: &std::path::Path) -> Result<(std::fs::File, Report), DumpError> {
    backup(from, &sealer(KEY), uploads, tempfile::tempfile().unwrap(), &mut quiet()).await
}

async fn out_of_file(file: &mut std::fs::File, to: &Location, replace: bool) -> Result<Report, DumpError> {
    let folder = tempfile::tempdir().unwrap();
    restore(file, to, &sealer(KEY), folder.path(), replace, &mut quiet()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_moves_from_each_database_to_each() {
    for from in NAMES {
        let Some(place) = Place::make(from).await else { continue };
        let bed = Bed::on(Arc::new(place)).await;
        fill(&bed).await;
        for to in NAMES {
            let Some(target) = Place::make(to).await else { continue };
            let moved = copy(&bed.location, &target.location(), &mut quiet()).await.unwrap();
            assert!(
                moved.tables.iter().all(|table| table.rows > 0),
                "{from} has a row in every table: {moved:?}"
            );
            // What the program did not compute: the database's own words for what is hard.
            let asked = |place: &Place| {
                let text = match place.location().product() {
                    "MariaDB" => "CONCAT(position, '/', name, '/', COALESCE(error, 'none'), '/', seconds = 4.9e-324)",
                    "PostgreSQL" => {
                        "CONCAT(position, '/', name, '/', COALESCE(error, 'none'), '/', CAST(seconds = 4.9e-324 AS INTEGER))"
                    }
                    _ => {
                        "position || '/' || name || '/' || COALESCE(error, 'none') || '/' || COALESCE(seconds = 4.9e-324, '')"
                    }
                };
                format!("SELECT {text} FROM deployment_steps WHERE seconds IS NOT NULL ORDER BY step_id")
            };
            let (there, here) = (target.run(&asked(&target)).await, bed.run(&asked(&bed.place)).await);
            assert_eq!(there, here, "{from} to {to}");
            assert_eq!(there[0], "-9223372036854775808/a'b\\//0");
            let back = Place::make("sqlite").await.unwrap();
            let again = copy(&target.location(), &back.location(), &mut quiet()).await.unwrap();
            assert_eq!(digests(&again), digests(&moved), "{from} to {to}");
            let store = open(&target.location(), KEY).await.unwrap();
            let service = &bed
                .store
                .services(bed.organization, bed.project, "", "", 10)
                .await
                .unwrap()[0];
            assert_eq!(store.service(bed.organization, service.id).await.unwrap(), *service);
            store.close().await;
            target.drop().await;
        }
        bed.store.close().await;
        if let Some(place) = Arc::into_inner(bed.place) {
            place.drop().await;
        }
    }
}

async fn a_backup_brings_back_every_row_and_file(bed: Bed) {
    fill(&bed).await;
    let (uploads, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(uploads.path().join(UPLOAD), vec![7; 700_000]).unwrap();
    let (mut file, made) = into_file(&bed.location, uploads.path()).await.unwrap();
    assert_eq!(
        (made.uploads, made.absent_uploads.as_slice()),
        (1, [GONE.to_owned()].as_slice())
    );
    let other = Place::make("sqlite").await.unwrap();
    let header = examine(&mut file, &other.location(), &sealer(KEY), &mut quiet())
        .await
        .unwrap();
    assert_eq!(
        (header.product.as_str(), header.installation.as_str()),
        (bed.location.product(), "cafe")
    );
    let put = restore(
        &mut file,
        &other.location(),
        &sealer(KEY),
        restored.path(),
        false,
        &mut quiet(),
    )
    .await
    .unwrap();
    assert_eq!(digests(&put), digests(&made));
    assert_eq!(std::fs::read(restored.path().join(UPLOAD)).unwrap(), vec![7; 700_000]);
    assert_eq!(
        std::fs::read_dir(restored.path()).unwrap().count(),
        1,
        "no part is left"
    );
    // And back to where it came from, in the place of what is there.
    let back = out_of_file(&mut file, &bed.location, true).await.unwrap();
    assert_eq!(digests(&back), digests(&made));
    let store = open(&other.location(), KEY).await.unwrap();
    let deployments = store.services(bed.organization, bed.project, "", "", 10).await.unwrap();
    let deployment = store.deployments(deployments[0].id, i64::MAX, 1).await.unwrap();
    let opened = store.deployment_environment(deployment[0].id).await.unwrap();
    assert_eq!(opened.len(), 2, "what was sealed opens");
}

async fn a_backup_while_eight_write_is_of_one_moment(bed: Bed) {
    let over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for number in 0..8 {
        let service = bed.service(&format!("s{number}")).await;
        let (store, over) = (bed.store.clone(), Arc::clone(&over));
        writers.push(tokio::spawn(async move {
            let mut at_ns = 0;
            let mut from = OutputCursor::default();
            while !over.load(Ordering::Relaxed) {
                at_ns += 3;
                let to = OutputCursor {
                    at_ns,
                    lines_at_that_time: 0,
                };
                let mut lines = vec![line("a"), line("b"), line("c")];
                let read = Read {
                    instance: &service.id.to_string(),
                    from,
                    to,
                };
                store
                    .append_lines(Log::Run(service.id), &mut lines, Some(read))
                    .await
                    .unwrap();
                from = to;
            }
            (service.id, at_ns)
        }));
    }
    let mut files = Vec::new();
    for _ in 0..5 {
        let mut slowly = |_: &str, _: u64| std::thread::sleep(Duration::from_millis(20));
        let out = tempfile::tempfile().unwrap();
        let (file, made) = backup(&bed.location, &sealer(KEY), bed.own(), out, &mut slowly)
            .await
            .unwrap();
        files.push((file, made));
    }
    over.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap().1;
    }
    let rows = |made: &Report| made.tables.iter().find(|one| one.name == "service_logs").unwrap().rows;
    assert!(
        rows(&files[0].1) < u64::try_from(written).unwrap(),
        "it was written meanwhile"
    );
    for (mut file, _) in files {
        let other = Place::make("sqlite").await.unwrap();
        out_of_file(&mut file, &other.location(), false).await.unwrap();
        let torn = other
            .run(
                "SELECT s.id FROM services s LEFT JOIN output_cursors c ON c.service_id = s.id WHERE COALESCE(c.at_ns, 0) <> \
                 (SELECT COUNT(*) FROM service_logs l WHERE l.service_id = s.id)",
            )
            .await;
        assert!(
            torn.is_empty(),
            "a cursor without its lines, or lines without their cursor: {torn:?}"
        );
    }
}

async fn a_restore_that_was_killed_keeps_the_platform_from_starting_until_it_is_done_again(bed: Bed) {
    let source = Bed::on(Arc::new(Place::make("sqlite").await.unwrap())).await;
    fill(&source).await;
    let (file, _) = into_file(&source.location, source.directory()).await.unwrap();
    let (mut calls, other, folder) = (0, Place::make("sqlite").await.unwrap(), tempfile::tempdir().unwrap());
    let mut count = |_: &str, _: u64| calls += 1;
    let mut whole = file.try_clone().unwrap();
    restore(
        &mut whole,
        &other.location(),
        &sealer(KEY),
        folder.path(),
        false,
        &mut count,
    )
    .await
    .unwrap();
    bed.store.close().await;
    // At the first rows, in the middle, and when all of it is there and is read again.
    for lives in [0, calls / 3, calls - 1] {
        let (to, folder) = (bed.location.clone(), tempfile::tempdir().unwrap());
        let mut file = file.try_clone().unwrap();
        let killed = tokio::spawn(async move {
            let mut left = lives;
            let mut kill = move |_: &str, _: u64| {
                assert!(left > 0, "killed on purpose");
                left -= 1;
            };
            restore(&mut file, &to, &sealer(KEY), folder.path(), true, &mut kill)
                .await
                .map(drop)
        });
        assert!(killed.await.unwrap_err().is_panic());
        assert!(matches!(open(&bed.location, KEY).await.err(), Some(Error::Unfinished)));
        let refused = into_file(&bed.location, bed.own()).await.err();
        assert!(matches!(refused, Some(DumpError::Store(Error::Unfinished))));
    }
    // The part that is there is nobody's: it need not be asked for again.
    out_of_file(&mut file.try_clone().unwrap(), &bed.location, false)
        .await
        .unwrap();
    open(&bed.location, KEY).await.unwrap().close().await;
}

async fn what_is_there_is_only_replaced_when_asked_for(bed: Bed) {
    let source = Bed::on(Arc::new(Place::make("sqlite").await.unwrap())).await;
    let service = source.service("kept").await;
    let own = bed.service("own").await;
    let (mut file, _) = into_file(&source.location, source.directory()).await.unwrap();
    let refused = out_of_file(&mut file, &bed.location, false).await.unwrap_err();
    assert!(matches!(refused, DumpError::NotEmpty(_)), "{refused}");
    let refused = copy(&source.location, &bed.location, &mut quiet()).await.unwrap_err();
    assert!(matches!(refused, DumpError::NotEmpty(_)), "{refused}");
    assert_eq!(bed.store.service(bed.organization, own.id).await.unwrap(), own);
    bed.store.close().await;
    out_of_file(&mut file, &bed.location, true).await.unwrap();
    let store = open(&bed.location, KEY).await.unwrap();
    assert_eq!(store.service(source.organization, service.id).await.unwrap(), service);
    assert!(store.service(bed.organization, own.id).await.is_err());
    store.close().await;
}

async fn a_backup_of_an_older_schema_is_brought_to_the_newest(bed: Bed) {
    let service = bed.service("web").await;
    let newest = bed.store.migrate(None).await.unwrap();
    for older in 1..newest {
        bed.store.migrate(Some(older)).await.unwrap();
        let (mut file, made) = into_file(&bed.location, bed.own()).await.unwrap();
        assert_eq!(made.migration, older);
        bed.store.migrate(None).await.unwrap();
        let other = Place::make("sqlite").await.unwrap();
        out_of_file(&mut file, &other.location(), false).await.unwrap();
        let store = open(&other.location(), KEY).await.unwrap();
        assert_eq!(store.service(bed.organization, service.id).await.unwrap(), service);
    }
}

async fn every_table_is_carried_or_has_a_reason(bed: Bed) {
    let sql = match bed.location.product() {
        "SQLite" => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        "PostgreSQL" => "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = 'public'",
        _ => "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
    };
    let carried = carried_tables().await.unwrap();
    assert!(!carried.is_empty());
    for table in bed.run(sql).await {
        let left = NOT_CARRIED.iter().any(|(name, _)| *name == table);
        assert!(carried.contains(&table) != left, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_a_cut_and_a_foreign_file_are_refused_before_anything_is_written() {
    let bed = Bed::on(Arc::new(Place::make("sqlite").await.unwrap())).await;
    bed.service("web").await;
    let (mut file, _) = into_file(&bed.location, bed.directory()).await.unwrap();
    let mut whole = Vec::new();
    std::io::Seek::rewind(&mut file).unwrap();
    std::io::Read::read_to_end(&mut file, &mut whole).unwrap();
    let other = Place::make("sqlite").await.unwrap();
    let mut broken = vec![Vec::new(), b"SQLite format 3\0".to_vec(), vec![0; 5000]];
    for at in (0..whole.len()).step_by(7).chain(whole.len() - 40..whole.len()) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        broken.push(flipped);
        broken.push(whole[..at].to_vec());
    }
    broken.push([whole.as_slice(), b"more"].concat());
    for bytes in broken {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let examined = examine(&mut file, &other.location(), &sealer(KEY), &mut quiet())
            .await
            .unwrap_err();
        assert!(matches!(examined, DumpError::Damaged(_)), "{examined}");
        let refused = out_of_file(&mut file, &other.location(), false).await.unwrap_err();
        assert!(matches!(refused, DumpError::Damaged(_)), "{refused}");
    }
    let refused = examine(&mut file, &other.location(), &sealer(OTHER_KEY), &mut quiet()).await;
    assert!(matches!(refused, Err(DumpError::OtherKey)));
    let store = open(&other.location(), KEY).await.unwrap();
    assert_eq!(store.count_tokens().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_postgresql_cannot_hold_is_named() {
    let bed = Bed::on(Arc::new(Place::make("sqlite").await.unwrap())).await;
    let service = bed.service("web").await;
    bed.run("UPDATE services SET source = 'a' || char(0) || 'b'").await;
    let named = format!("services.source of the row {}", service.id);
    let (mut file, made) = into_file(&bed.location, bed.directory()).await.unwrap();
    if let Some(place) = Place::make("postgresql").await {
        let refused = examine(&mut file, &place.location(), &sealer(KEY), &mut quiet())
            .await
            .unwrap_err();
        assert!(refused.to_string().starts_with(&named), "{refused}");
        let refused = copy(&bed.location, &place.location(), &mut quiet()).await.unwrap_err();
        assert!(refused.to_string().starts_with(&named), "{refused}");
        place.drop().await;
    }
    for holds in ["sqlite", "mariadb"] {
        let Some(place) = Place::make(holds).await else {
            continue;
        };
        let moved = copy(&bed.location, &place.location(), &mut quiet()).await.unwrap();
        assert_eq!(digests(&moved), digests(&made));
        place.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_backup_of_nothing() {
    for database in NAMES {
        let Some(place) = Place::make(database).await else {
            continue;
        };
        let refused = into_file(&place.location(), std::path::Path::new("/nowhere"))
            .await
            .err();
        assert!(
            matches!(refused, Some(DumpError::NoState(_))),
            "{database}: {refused:?}"
        );
        place.drop().await;
    }
}
