//! What every [`Router`] promises about its table; that requests go by it is tried with a real proxy.

use std::time::Duration;

use domain::{
    DeploymentId, ServiceId,
    names::HostName,
    ports::router::{Route, RouteInstance, RouteState, Router},
};

use crate::bed::unique;

/// All promises.
///
/// # Panics
/// When one is not kept.
pub async fn keeps_the_router_contract(router: &dyn Router) {
    assert!(!router.version().await.expect("a version").is_empty());
    let host = HostName::parse(&format!("{}.example.com", unique("shop"))).expect("a host name");
    let other = HostName::parse(&format!("{}.example.com", unique("blog"))).expect("a host name");
    assert_eq!(router.get(&host).await.expect("an answer"), None);

    let mut route = Route {
        service: ServiceId::mint(),
        name: "shop \"one\" ✓".to_owned(),
        state: RouteState::Building,
        message: "The first version is on its way.".to_owned(),
        deployment: None,
        instances: Vec::new(),
    };
    router.set(&host, &route).await.expect("a change");
    assert_eq!(router.get(&host).await.expect("an answer"), Some(route.clone()));

    route.state = RouteState::Live;
    route.message.clear();
    route.deployment = Some(DeploymentId::mint());
    route.instances = ["192.0.2.1:8080", "[2001:db8::1]:80"]
        .map(|address| RouteInstance {
            id: unique("instance"),
            address: address.parse().expect("an address"),
        })
        .into();
    router.set(&host, &route).await.expect("a change");
    router.set(&host, &route).await.expect("the same again");
    router
        .set(
            &other,
            &Route {
                name: "blog".to_owned(),
                ..route.clone()
            },
        )
        .await
        .expect("a change");
    assert_eq!(router.get(&host).await.expect("an answer"), Some(route.clone()));
    let table = router.table().await.expect("the table");
    assert_eq!(table.get(&host), Some(&route));
    assert_eq!(table.get(&other).map(|route| route.name.as_str()), Some("blog"));

    let gone = route.instances.remove(0).id;
    router.set(&host, &route).await.expect("a change");
    router.remove(&other).await.expect("a change");
    router.remove(&other).await.expect("absence is success");
    assert_eq!(router.get(&other).await.expect("an answer"), None);
    let left = router.drained(&gone, Duration::from_secs(5)).await.expect("an answer");
    assert_eq!(left, 0);
    let left = router.drained("somebody/else?", Duration::from_millis(10)).await;
    assert!(
        matches!(left, Ok(0) | Err(_)),
        "an instance that never was has nothing under way"
    );

    for state in [RouteState::Failed, RouteState::Stopped] {
        let page = Route {
            state,
            instances: Vec::new(),
            ..route.clone()
        };
        router.set(&host, &page).await.expect("a change");
        assert_eq!(router.get(&host).await.expect("an answer"), Some(page));
    }
    router.remove(&host).await.expect("a change");
    assert!(!router.table().await.expect("the table").contains_key(&host));
}
