//! Who changes something names what they saw; nothing that somebody else wrote is overwritten.

use std::sync::Arc;

use store::{Error, idempotency::Known};

use crate::bed::{Bed, slug};

crate::bed::promises!(
    of_400_changes_at_once_none_is_lost,
    a_change_of_what_was_changed_meanwhile_is_refused,
    a_name_is_taken_once_where_it_is_looked_for,
    what_is_made_once_is_made_once_however_many_ask,
    a_repeated_request_hears_what_the_first_one_heard_and_a_different_one_does_not,
);

async fn of_400_changes_at_once_none_is_lost(bed: Bed) {
    let bed = Arc::new(bed);
    let service = bed.service("web").await;
    let first = service.version;
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let (bed, id) = (Arc::clone(&bed), service.id);
            tokio::spawn(async move {
                let store = if worker % 2 == 0 {
                    bed.store.clone()
                } else {
                    bed.another().await
                };
                for _ in 0..50 {
                    loop {
                        let mut seen = store.service(bed.organization, id).await.unwrap();
                        seen.settings.drain_timeout_seconds += 1;
                        match store.update_service(&seen).await {
                            Ok(()) => break,
                            Err(Error::Stale { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let last = bed.store.service(bed.organization, service.id).await.unwrap();
    assert_eq!(last.version, first + 400);
    assert_eq!(
        last.settings.drain_timeout_seconds,
        service.settings.drain_timeout_seconds + 400
    );
}

async fn a_change_of_what_was_changed_meanwhile_is_refused(bed: Bed) {
    let project = bed.store.project(bed.organization, bed.project).await.unwrap();
    bed.store
        .rename_project(project.id, &slug("first"), project.version)
        .await
        .unwrap();
    let late = bed
        .store
        .rename_project(project.id, &slug("second"), project.version)
        .await;
    assert!(matches!(late, Err(Error::Stale { .. })));
    assert_eq!(
        bed.store.project(bed.organization, bed.project).await.unwrap().name,
        slug("first")
    );

    let seen = bed.service("web").await;
    bed.store.update_service(&seen).await.unwrap();
    assert!(matches!(
        bed.store.update_service(&seen).await,
        Err(Error::Stale { .. })
    ));
}

async fn a_name_is_taken_once_where_it_is_looked_for(bed: Bed) {
    bed.service("web").await;
    let other = bed.service("other").await;
    let renamed = store::services::Service {
        name: slug("web"),
        ..other
    };
    assert!(matches!(
        bed.store.update_service(&renamed).await,
        Err(Error::Taken { .. })
    ));
    let again = bed.store.create_project(bed.organization, &slug("shop")).await;
    assert!(matches!(again, Err(Error::Taken { .. })));
    let stranger = bed.store.ensure_organization("stranger").await.unwrap();
    bed.store.create_project(stranger, &slug("shop")).await.unwrap();
}

async fn what_is_made_once_is_made_once_however_many_ask(bed: Bed) {
    let bed = Arc::new(bed);
    let asked: Vec<_> = (0..16)
        .map(|number| {
            let bed = Arc::clone(&bed);
            tokio::spawn(async move {
                let organization = bed.store.ensure_organization("new").await.unwrap();
                let value = bed
                    .store
                    .installation_value("name", || number.to_string())
                    .await
                    .unwrap();
                let key = bed
                    .store
                    .take_idempotency_key(bed.organization, "key", "digest")
                    .await
                    .unwrap();
                (organization, value, key)
            })
        })
        .collect();
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await.unwrap());
    }
    assert!(
        answers
            .iter()
            .all(|(organization, value, _)| *organization == answers[0].0 && *value == answers[0].1)
    );
    assert_eq!(answers.iter().filter(|(.., key)| *key == Known::New).count(), 1);
    assert!(
        answers
            .iter()
            .all(|(.., key)| matches!(key, Known::New | Known::UnderWay))
    );
}

async fn a_repeated_request_hears_what_the_first_one_heard_and_a_different_one_does_not(bed: Bed) {
    let (store, organization) = (&bed.store, bed.organization);
    assert_eq!(
        store.take_idempotency_key(organization, "key", "a").await.unwrap(),
        Known::New
    );
    store
        .answer_idempotency_key(organization, "key", Some((201, b"{}")))
        .await
        .unwrap();
    let answered = Known::Answered {
        status: 201,
        body: b"{}".to_vec(),
    };
    assert_eq!(
        store.take_idempotency_key(organization, "key", "a").await.unwrap(),
        answered
    );
    assert_eq!(
        store.take_idempotency_key(organization, "key", "b").await.unwrap(),
        Known::Other
    );
    let stranger = store.ensure_organization("stranger").await.unwrap();
    assert_eq!(
        store.take_idempotency_key(stranger, "key", "a").await.unwrap(),
        Known::New
    );
    assert_eq!(
        store.take_idempotency_key(organization, "failed", "a").await.unwrap(),
        Known::New
    );
    store
        .answer_idempotency_key(organization, "failed", None)
        .await
        .unwrap();
    assert_eq!(
        store.take_idempotency_key(organization, "failed", "a").await.unwrap(),
        Known::New
    );
}
