//! A deployment that is broken at any of its steps ends with a reason, leaves what was there before alone, and leaves
//! nothing behind.

use contract::world::{Failure, REFUSED_FILE, Step, archive};
use domain::{
    UploadId,
    deployment::DeploymentStatus,
    source::Source,
};
use futures_util::future::join_all;

use crate::bed::{Bed, REPOSITORY, git, quick, replicas};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Git,
    Upload,
    Image,
    EarlierImage,
}

/// A service with a live version, and a second one asked for while `step` refuses.
async fn breaks_at(from: From, step: Step, status: DeploymentStatus) {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    let before = bed.route(&service.host).await;
    let source = match from {
        From::Git | From::EarlierImage => git(),
        From::Upload => Source::Upload { root_directory: domain::names::InsidePath::parse("").unwrap() },
        From::Image => Source::Image { reference: "nginx:1".parse().unwrap() },
    };
    bed.world.add_image("nginx:1", contract::world::ORDINARY_PROGRAM, None);
    let change = engine::manage::services::ServiceChange { source: Some(source), ..Default::default() };
    bed.engine.change_service(bed.organization, service.id, change, None).await.unwrap();
    if matches!(step, Step::SetRoute | Step::ImageExists) {
        // Once: what undoes needs the route too, and an earlier image is looked for when it is asked for.
    } else {
        bed.world.fail_always(step, Failure::Refused);
    }
    if step == Step::SetRoute {
        bed.world.fail_next(step, Failure::Refused);
    }
    let id = match from {
        From::Git | From::Image => bed.ask(service.id).await,
        From::EarlierImage => {
            let request = engine::manage::deployments::DeploymentRequest { image_of: service.current, ..Default::default() };
            bed.kill_quietly_after(|| bed.ask_for(service.id, request)).await.deployment.id
        }
        From::Upload => {
            let upload = UploadId::mint();
            let file = bed.engine.upload_path(upload);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, archive(&[("index.html", "two")])).unwrap();
            bed.engine.deploy_upload(bed.organization, service.id, upload, 1).await.unwrap().deployment.id
        }
    };
    let deployment = bed.until_over(id).await;
    bed.world.mend(step);
    assert_eq!(deployment.status, status, "{from:?} {step:?}: {:?}", deployment.reason);
    if status == DeploymentStatus::Failed {
        assert_eq!(bed.service(service.id).await.current, service.current, "{step:?}");
        bed.until_quiet().await;
        assert_eq!(bed.route(&service.host).await, before, "{step:?}");
    }
    bed.world.forget_image("nginx:1");
    bed.is_tidy(&[service.id]).await;
}
