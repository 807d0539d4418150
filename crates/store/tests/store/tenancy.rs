//! What belongs to another organization is missing, as if it were not there.

use domain::environment::VariableKind;
use domain::names::{HostName, VariableKey};
use store::Error;

use crate::bed::{Bed, slug, uploads};

crate::bed::promises!(
    to_a_stranger_everything_is_missing,
    the_variables_of_a_service_neither_open_nor_change_for_a_stranger,
    a_token_speaks_for_its_own_organization_alone,
);

fn is_missing<T: std::fmt::Debug>(end: Result<T, Error>) {
    assert!(matches!(end, Err(Error::Missing { .. })), "{end:?}");
}

async fn to_a_stranger_everything_is_missing(bed: Bed) {
    let service = bed.service("web").await;
    let deployment = bed.deployment(&service, &[]).await;
    let mut write = bed.store.write().await.unwrap();
    let job = write.enqueue(bed.organization, "work", "subject", "key").await.unwrap();
    write.commit().await.unwrap();
    let store = &bed.store;
    let stranger = store.ensure_organization("stranger").await.unwrap();
    is_missing(store.project(stranger, bed.project).await);
    is_missing(store.service(stranger, service.id).await);
    is_missing(store.deployment(stranger, deployment).await);
    is_missing(store.job(stranger, job).await);
    let host = HostName::parse("mine.example.com").unwrap();
    is_missing(
        store
            .create_service(
                stranger,
                bed.project,
                &slug("mine"),
                &host,
                &uploads(),
                &Default::default(),
            )
            .await,
    );
    assert_eq!(store.projects(stranger, "", "", 10).await.unwrap(), []);
    assert_eq!(store.services(stranger, bed.project, "", "", 10).await.unwrap(), []);
    assert_eq!(store.jobs(stranger, "~", 10).await.unwrap(), []);
}

async fn the_variables_of_a_service_neither_open_nor_change_for_a_stranger(bed: Bed) {
    let service = bed.service("web").await;
    let key = VariableKey::parse("PASSWORD").unwrap();
    let set = |value: &str| [(key.clone(), value.to_owned(), Some(VariableKind::Secret))];
    assert!(
        bed.store
            .change_variables(bed.organization, service.id, &set("mine"), &[])
            .await
            .unwrap()
    );
    let stranger = bed.store.ensure_organization("stranger").await.unwrap();
    is_missing(bed.store.variables(stranger, service.id).await);
    is_missing(
        bed.store
            .change_variables(stranger, service.id, &set("theirs"), &[])
            .await,
    );
    is_missing(
        bed.store
            .change_variables(stranger, service.id, &[], std::slice::from_ref(&key))
            .await,
    );
    let kept = bed.store.variables(bed.organization, service.id).await.unwrap();
    assert_eq!(kept[0].value.expose(), "mine");
}

async fn a_token_speaks_for_its_own_organization_alone(bed: Bed) {
    let stranger = bed.store.ensure_organization("stranger").await.unwrap();
    bed.store.add_token(bed.organization, "ours", "hash-1").await.unwrap();
    bed.store.add_token(stranger, "theirs", "hash-2").await.unwrap();
    assert!(matches!(
        bed.store.add_token(stranger, "stolen", "hash-1").await,
        Err(Error::Taken { .. })
    ));
    assert_eq!(
        bed.store.token_owner("hash-1").await.unwrap().unwrap().organization,
        bed.organization
    );
    assert_eq!(
        bed.store.token_owner("hash-2").await.unwrap().unwrap().organization,
        stranger
    );
    assert_eq!(bed.store.token_owner("hash-3").await.unwrap(), None);
}
