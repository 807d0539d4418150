//! What belongs to another organization is missing, and what is secret is shown to nobody.

use domain::{environment::VariableKind, names::VariableKey};
use engine::{
    Error,
    manage::{DeploymentRequest, ServiceChange, VariableChange},
};

use crate::bed::{Bed, git, quick, slug};

fn is_missing<T>(end: Result<T, Error>) -> bool {
    matches!(end, Err(Error::Store(store::Error::Missing { .. })))
}

#[tokio::test(flavor = "multi_thread")]
async fn to_a_stranger_everything_is_missing() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let deployment = service.current.unwrap();
    let job = bed.jobs().await[0].id;
    let stranger = bed.store.ensure_organization("stranger").await.unwrap();
    let (engine, project, version) = (&bed.engine, bed.project.id, Some(1));
    let key = VariableKey::parse("A").unwrap();
    let variable = VariableChange {
        key: key.clone(),
        value: String::new(),
        kind: None,
    };
    assert!(is_missing(engine.project(stranger, project).await));
    assert!(is_missing(
        engine.rename_project(stranger, project, &slug("mine"), version).await
    ));
    assert!(is_missing(engine.remove_project(stranger, project).await));
    assert!(is_missing(
        engine
            .create_service(stranger, project, &slug("mine"), &git(), &quick())
            .await
    ));
    assert!(is_missing(engine.services(stranger, project, "", "", 10).await));
    assert!(is_missing(engine.service(stranger, service.id).await));
    assert!(is_missing(
        engine
            .change_service(stranger, service.id, ServiceChange::default(), version)
            .await
    ));
    assert!(is_missing(engine.make_deploy_key(stranger, service.id).await));
    assert!(is_missing(engine.instances(stranger, service.id).await));
    assert!(is_missing(engine.stop_service(stranger, service.id).await));
    assert!(is_missing(engine.start_service(stranger, service.id).await));
    assert!(is_missing(engine.restart_service(stranger, service.id).await));
    assert!(is_missing(engine.remove_service(stranger, service.id).await));
    assert!(is_missing(engine.variables(stranger, service.id).await));
    assert!(is_missing(
        engine.change_variables(stranger, service.id, vec![variable], &[]).await
    ));
    assert!(is_missing(
        engine
            .import_variables(stranger, service.id, "A=1", VariableKind::Static)
            .await
    ));
    assert!(is_missing(engine.pending(stranger, service.id).await));
    assert!(is_missing(
        engine.deploy(stranger, service.id, &DeploymentRequest::default()).await
    ));
    assert!(is_missing(engine.service_for_upload(stranger, service.id).await));
    assert!(is_missing(engine.roll_back(stranger, service.id, deployment).await));
    assert!(is_missing(engine.retry(stranger, deployment).await));
    assert!(is_missing(engine.cancel(stranger, deployment).await));
    assert!(is_missing(engine.deployment(stranger, deployment).await));
    assert!(is_missing(engine.deployments(stranger, service.id, i64::MAX, 10).await));
    assert!(is_missing(engine.build_log(stranger, deployment).await));
    assert!(is_missing(engine.run_log(stranger, service.id).await));
    assert!(is_missing(engine.job(stranger, job).await));
    assert_eq!(engine.projects(stranger, "", "", 10).await.unwrap(), []);
    assert_eq!(engine.jobs(stranger, "", "", "", 10).await.unwrap(), []);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_another_service_is_missing() {
    let bed = Bed::new().await;
    let (one, other) = (bed.live("one", &quick()).await, bed.live("other", &quick()).await);
    let theirs = other.current.unwrap();
    assert!(is_missing(bed.engine.roll_back(bed.organization, one.id, theirs).await));
    let request = DeploymentRequest {
        image_of: Some(theirs),
        ..DeploymentRequest::default()
    };
    assert!(is_missing(bed.engine.deploy(bed.organization, one.id, &request).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_reaches_the_application_and_nobody_else() {
    const SECRET: &str = "correct-horse-battery-staple";
    let bed = Bed::new().await;
    let service = bed.create("web", &git(), &quick()).await;
    let variable = VariableChange {
        key: VariableKey::parse("PASSWORD").unwrap(),
        value: SECRET.to_owned(),
        kind: Some(VariableKind::Secret),
    };
    bed.engine
        .change_variables(bed.organization, service.id, vec![variable], &[])
        .await
        .unwrap();
    let deployment = bed.deploy(service.id).await;
    let running = bed.world.alive().running;
    assert_eq!(bed.world.environment_of(&running[0]).unwrap()["PASSWORD"], SECRET);

    let engine = &bed.engine;
    let log = engine.build_log(bed.organization, deployment.id).await.unwrap();
    let shown = [
        format!("{:?}", engine.variables(bed.organization, service.id).await.unwrap()),
        format!(
            "{:?}",
            engine.deployment(bed.organization, deployment.id).await.unwrap()
        ),
        format!("{:?}", engine.service(bed.organization, service.id).await.unwrap()),
        format!("{:?}", engine.pending(bed.organization, service.id).await.unwrap()),
        format!("{:?}", engine.lines(log, 0, &Default::default(), 1000).await.unwrap()),
        format!("{:?}", bed.jobs().await),
        format!("{:?}", engine.instances(bed.organization, service.id).await.unwrap()),
    ];
    for text in shown {
        assert!(!text.contains(SECRET), "{text}");
    }
    for file in std::fs::read_dir(bed.directory()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                !bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()),
                "{path:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platforms_own_variables_win_and_every_byte_of_the_users_arrives() {
    let bed = Bed::new().await;
    let service = bed.create("web", &git(), &quick()).await;
    let value = "quotes ' \" dollars $HOME $$ hash # back \\ slash\nline\ttab {\"json\": true} grün 日本 ";
    let set = |key: &str, value: &str| VariableChange {
        key: VariableKey::parse(key).unwrap(),
        value: value.to_owned(),
        kind: None,
    };
    let changes = vec![set("TRICKY", value), set("EMPTY", "")];
    bed.engine
        .change_variables(bed.organization, service.id, changes, &[])
        .await
        .unwrap();
    let refused = bed
        .engine
        .change_variables(bed.organization, service.id, vec![set("CLICK_DEPLOY_URL", "mine")], &[])
        .await;
    assert!(matches!(refused, Err(Error::Invalid(_))));
    bed.deploy(service.id).await;
    let running = bed.world.alive().running;
    let environment = bed.world.environment_of(&running[0]).unwrap();
    assert_eq!(environment["TRICKY"], value);
    assert_eq!(environment["EMPTY"], "");
    assert_eq!(environment["CLICK_DEPLOY_URL"], format!("http://{}", service.host));
    assert_eq!(environment["PORT"], "8080");
    let ours = ["PORT", "TRICKY", "EMPTY"];
    assert!(
        environment
            .keys()
            .all(|key| key.starts_with("CLICK_DEPLOY_") || ours.contains(&key.as_str()))
    );
}
