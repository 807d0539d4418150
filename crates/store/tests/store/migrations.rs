//! The schema goes up, down to nothing, and up again; of a newer program it is left alone.

use sqlx::{Row, SqlitePool};
use store::Error;

use crate::bed::{Bed, KEY, open, slug};

async fn tables(bed: &Bed) -> Vec<String> {
    let pool = raw(bed).await;
    let rows = sqlx::query("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
        .fetch_all(&pool)
        .await
        .unwrap();
    pool.close().await;
    rows.iter().map(|row| row.get("name")).collect()
}

async fn raw(bed: &Bed) -> SqlitePool {
    SqlitePool::connect(&format!("sqlite:{}", bed.directory.path().join("state.db").display()))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn going_down_leaves_nothing_and_going_up_again_works() {
    let bed = Bed::new().await;
    let service = bed.service("web").await;
    bed.deployment(&service, &[]).await;
    let full = tables(&bed).await;
    let newest = bed.store.migrate(None).await.unwrap();
    for target in (0..newest).rev() {
        assert_eq!(bed.store.migrate(Some(target)).await.unwrap(), target);
    }
    assert_eq!(tables(&bed).await, ["schema_migrations"]);
    assert_eq!(bed.store.migrate(None).await.unwrap(), newest);
    assert_eq!(tables(&bed).await, full);
    bed.store.close().await;
    let store = open(bed.directory.path(), KEY).await.unwrap();
    let organization = store.ensure_organization("default").await.unwrap();
    store.create_project(organization, &slug("shop")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_opened_again_keeps_what_it_has() {
    let bed = Bed::new().await;
    let service = bed.service("web").await;
    bed.store.close().await;
    let store = open(bed.directory.path(), KEY).await.unwrap();
    assert_eq!(store.service(bed.organization, service.id).await.unwrap(), service);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_program_is_not_opened() {
    let bed = Bed::new().await;
    let pool = raw(&bed).await;
    sqlx::query("INSERT INTO schema_migrations (number, applied_at_ms) VALUES (999, 0)")
        .execute(&pool)
        .await
        .unwrap();
    let refused = open(bed.directory.path(), KEY).await;
    assert!(matches!(refused.err(), Some(Error::TooNew { found: 999, .. })));
}
