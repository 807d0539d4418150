//! The schema goes up, down to nothing, and up again; of a newer program it is left alone. It is the same on each database.

use std::collections::BTreeSet;

use store::Error;

use crate::bed::{Bed, KEY, Place, open, slug};

crate::bed::promises!(
    going_down_leaves_nothing_and_going_up_again_works,
    a_database_that_is_opened_again_keeps_what_it_has,
    a_database_of_a_newer_program_is_not_opened,
    each_step_down_and_up_again_keeps_the_rows_of_the_tables_that_stay,
    processes_that_start_at_once_do_not_stand_in_each_others_way,
);
crate::bed::promises!(on mariadb: a_migration_that_was_killed_after_any_statement_goes_on);

/// Every column as `table.column`.
async fn columns(bed: &Bed) -> BTreeSet<String> {
    let sql = match bed.location.product() {
        "SQLite" => {
            "SELECT m.name || '.' || p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        }
        "PostgreSQL" => {
            "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'"
        }
        _ => {
            "SELECT CONCAT(table_name, '.', column_name) FROM information_schema.columns \
             WHERE table_schema = DATABASE()"
        }
    };
    bed.run(sql).await.into_iter().collect()
}

async fn going_down_leaves_nothing_and_going_up_again_works(bed: Bed) {
    let service = bed.service("web").await;
    bed.deployment(&service, &[]).await;
    let full = columns(&bed).await;
    let newest = bed.store.migrate(None).await.unwrap();
    for target in (0..newest).rev() {
        assert_eq!(bed.store.migrate(Some(target)).await.unwrap(), target);
    }
    let left = BTreeSet::from(["number", "applied_at_ms"].map(|column| format!("schema_migrations.{column}")));
    assert_eq!(columns(&bed).await, left);
    assert_eq!(bed.store.migrate(None).await.unwrap(), newest);
    assert_eq!(columns(&bed).await, full);
    bed.store.close().await;
    let store = open(&bed.location, KEY).await.unwrap();
    let organization = store.ensure_organization("default").await.unwrap();
    store.create_project(organization, &slug("shop")).await.unwrap();
}

async fn each_step_down_and_up_again_keeps_the_rows_of_the_tables_that_stay(bed: Bed) {
    let service = bed.service("web").await;
    let deployment = bed.deployment(&service, &[("A", "1")]).await;
    let newest = bed.store.migrate(None).await.unwrap();
    for target in (1..newest).rev() {
        bed.store.migrate(Some(target)).await.unwrap();
        bed.store.migrate(None).await.unwrap();
        assert_eq!(bed.store.service(bed.organization, service.id).await.unwrap(), service);
        assert_eq!(bed.store.deployment_environment(deployment).await.unwrap().len(), 1);
    }
}

async fn a_database_that_is_opened_again_keeps_what_it_has(bed: Bed) {
    let service = bed.service("web").await;
    bed.store.close().await;
    let store = open(&bed.location, KEY).await.unwrap();
    assert_eq!(store.service(bed.organization, service.id).await.unwrap(), service);
}

async fn a_database_of_a_newer_program_is_not_opened(bed: Bed) {
    bed.run("INSERT INTO schema_migrations (number, applied_at_ms) VALUES (999, 0)")
        .await;
    let refused = open(&bed.location, KEY).await;
    assert!(matches!(refused.err(), Some(Error::TooNew { found: 999, .. })));
}

async fn processes_that_start_at_once_do_not_stand_in_each_others_way(bed: Bed) {
    bed.store.migrate(Some(0)).await.unwrap();
    bed.store.close().await;
    let starting: Vec<_> = (0..6)
        .map(|_| {
            let location = bed.location.clone();
            tokio::spawn(async move { open(&location, KEY).await.map(drop) })
        })
        .collect();
    for one in starting {
        one.await.unwrap().unwrap();
    }
    let number = if bed.place.is_postgres() {
        "number::text"
    } else {
        "CONCAT(number, '')"
    };
    let sql = match bed.location.product() {
        "SQLite" => "SELECT number || '' FROM schema_migrations ORDER BY number".to_owned(),
        _ => format!("SELECT {number} FROM schema_migrations ORDER BY number"),
    };
    assert_eq!(bed.run(&sql).await, ["1", "2", "3"]);
}

/// MariaDB keeps each statement of a migration for itself: wherever the process ended, the next one goes on.
async fn a_migration_that_was_killed_after_any_statement_goes_on(bed: Bed) {
    let full = columns(&bed).await;
    let files = |direction: &str| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/mariadb");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.to_string_lossy().ends_with(&format!(".{direction}.sql")))
            .collect();
        files.sort();
        files
    };
    let newest = bed.store.migrate(None).await.unwrap();
    for (index, file) in files("up").iter().enumerate() {
        let statements: Vec<String> = std::fs::read_to_string(file)
            .unwrap()
            .split(";\n")
            .map(|one| one.trim().to_owned())
            .filter(|one| !one.is_empty())
            .collect();
        // Killed early, in the middle, and before it could say that it is done.
        for done in [1, statements.len() / 2, statements.len()] {
            bed.store.migrate(Some(index as i64)).await.unwrap();
            for statement in &statements[..done] {
                bed.run(statement).await;
            }
            assert_eq!(bed.store.migrate(None).await.unwrap(), newest);
            assert_eq!(columns(&bed).await, full, "{} after {done} statements", file.display());
        }
    }
    for (index, file) in files("down").iter().enumerate().rev() {
        let text = std::fs::read_to_string(file).unwrap();
        let statements: Vec<&str> = text.split(";\n").map(str::trim).filter(|one| !one.is_empty()).collect();
        for done in [1, statements.len() / 2, statements.len()] {
            bed.store.migrate(Some(index as i64 + 1)).await.unwrap();
            for statement in &statements[..done] {
                bed.run(statement).await;
            }
            assert_eq!(bed.store.migrate(Some(index as i64)).await.unwrap(), index as i64);
            assert_eq!(bed.store.migrate(None).await.unwrap(), newest);
            assert_eq!(columns(&bed).await, full, "{} after {done} statements", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_databases_have_the_same_files_tables_and_columns() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let names = |database: &str| -> BTreeSet<String> {
        std::fs::read_dir(folder.join(database))
            .unwrap()
            .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    };
    let wanted = names("sqlite");
    assert_eq!(names("postgres"), wanted);
    assert_eq!(names("mariadb"), wanted);
    let mut seen = Vec::new();
    for database in ["sqlite", "postgresql", "mariadb"] {
        if let Some(place) = Place::make(database).await {
            let bed = Bed::on(place.into()).await;
            seen.push(columns(&bed).await);
        }
    }
    assert!(!seen[0].is_empty());
    assert!(seen.iter().all(|columns| *columns == seen[0]), "{seen:?}");
}
