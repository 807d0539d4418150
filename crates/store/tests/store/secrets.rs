//! What is sealed cannot be read in the file, nor with another key, nor in another row.

use domain::{SecretText, environment::VariableKind, names::VariableKey};
use store::{Error, variables::LIMIT};

use crate::bed::{Bed, OTHER_KEY, open};

crate::bed::promises!(
    another_key_opens_nothing_and_says_so,
    a_sealed_value_that_was_moved_to_another_row_does_not_open,
    variables_are_changed_all_or_none_and_there_is_a_limit,
    a_variable_that_is_set_again_without_a_kind_stays_secret,
);
crate::bed::promises!(on sqlite: secrets_come_back_as_they_were_and_no_byte_of_them_is_in_the_files);

const VARIABLE: &str = "correct-horse-battery-staple";
const PRIVATE_KEY: &str = "-----a private half of a key-----";

async fn with_secrets(bed: &Bed) -> (store::services::Service, domain::DeploymentId) {
    let service = bed.service("web").await;
    let key = VariableKey::parse("PASSWORD").unwrap();
    let set = [(key, VARIABLE.to_owned(), Some(VariableKind::Secret))];
    assert!(
        bed.store
            .change_variables(bed.organization, service.id, &set, &[])
            .await
            .unwrap()
    );
    bed.store
        .set_deploy_key(&service, &SecretText::new(PRIVATE_KEY), "ssh-ed25519 AAAA")
        .await
        .unwrap();
    let deployment = bed.deployment(&service, &[("PASSWORD", VARIABLE)]).await;
    (service, deployment)
}

async fn secrets_come_back_as_they_were_and_no_byte_of_them_is_in_the_files(bed: Bed) {
    let (service, deployment) = with_secrets(&bed).await;
    let variables = bed.store.variables(bed.organization, service.id).await.unwrap();
    assert_eq!(variables[0].value.expose(), VARIABLE);
    let environment = bed.store.deployment_environment(deployment).await.unwrap();
    assert_eq!(environment.values().next().unwrap().1, VARIABLE);
    assert_eq!(
        bed.store.deploy_key(&service).await.unwrap().unwrap().expose(),
        PRIVATE_KEY
    );
    let files = || {
        std::fs::read_dir(bed.directory())
            .unwrap()
            .map(|file| file.unwrap().path())
    };
    assert!(files().count() >= 2, "the database and its log");
    let look = || {
        for path in files() {
            let bytes = std::fs::read(&path).unwrap();
            for secret in [VARIABLE, PRIVATE_KEY] {
                assert!(
                    !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
                    "{path:?}"
                );
            }
        }
    };
    look();
    bed.store.close().await;
    look();
}

async fn another_key_opens_nothing_and_says_so(bed: Bed) {
    let (service, deployment) = with_secrets(&bed).await;
    let store = open(&bed.location, OTHER_KEY).await.unwrap();
    assert!(matches!(
        store.variables(bed.organization, service.id).await,
        Err(Error::Sealed)
    ));
    assert!(matches!(
        store.deployment_environment(deployment).await,
        Err(Error::Sealed)
    ));
    assert!(matches!(store.deploy_key(&service).await, Err(Error::Sealed)));
}

async fn a_sealed_value_that_was_moved_to_another_row_does_not_open(bed: Bed) {
    let (service, _) = with_secrets(&bed).await;
    let key = VariableKey::parse("HARMLESS").unwrap();
    let set = [(key, "harmless".to_owned(), Some(VariableKind::Static))];
    assert!(
        bed.store
            .change_variables(bed.organization, service.id, &set, &[])
            .await
            .unwrap()
    );
    // MariaDB copies no row of a table into another one of it but by way of a derived table.
    let moved = "UPDATE env_vars SET sealed_value = (SELECT sealed_value FROM \
        (SELECT sealed_value FROM env_vars WHERE name = 'PASSWORD') AS other) WHERE name = 'HARMLESS'";
    bed.run(moved).await;
    assert!(matches!(
        bed.store.variables(bed.organization, service.id).await,
        Err(Error::Sealed)
    ));
}

async fn variables_are_changed_all_or_none_and_there_is_a_limit(bed: Bed) {
    let service = bed.service("web").await;
    let variable = |number: i64| {
        let key = VariableKey::parse(&format!("KEY_{number}")).unwrap();
        (key, number.to_string(), None)
    };
    let all: Vec<_> = (0..LIMIT).map(variable).collect();
    let change = async |set: &[_], remove: &[VariableKey]| {
        bed.store
            .change_variables(bed.organization, service.id, set, remove)
            .await
            .unwrap()
    };
    let count = async || bed.store.variables(bed.organization, service.id).await.unwrap().len() as i64;
    assert!(change(&all, &[]).await);
    assert_eq!(count().await, LIMIT);
    let first = VariableKey::parse("KEY_0").unwrap();
    assert!(
        !change(&[variable(LIMIT), variable(LIMIT + 1)], std::slice::from_ref(&first)).await,
        "one too many"
    );
    assert_eq!(count().await, LIMIT, "and nothing was removed");
    assert!(change(&[variable(LIMIT)], &[first]).await, "one for another");
    assert!(change(&all[1..], &[]).await, "the same again");
    assert_eq!(count().await, LIMIT);
}

async fn a_variable_that_is_set_again_without_a_kind_stays_secret(bed: Bed) {
    let (service, _) = with_secrets(&bed).await;
    let key = VariableKey::parse("PASSWORD").unwrap();
    let set = [(key, "new".to_owned(), None)];
    bed.store
        .change_variables(bed.organization, service.id, &set, &[])
        .await
        .unwrap();
    let variables = bed.store.variables(bed.organization, service.id).await.unwrap();
    assert_eq!(
        (variables[0].kind, variables[0].value.expose()),
        (VariableKind::Secret, "new")
    );
    assert!(!format!("{variables:?}").contains("new"));
}
