//! The proxy's table in memory.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use domain::{
    names::HostName,
    ports::router::{Route, RouteState, Router, RouterError},
};

use super::{Failure, FakeWorld, Step};

fn error(failure: Failure) -> RouterError {
    match failure {
        Failure::Refused => RouterError::Refused("refused, as the test asked for".to_owned()),
        Failure::Unreachable | Failure::Lost => RouterError::Unreachable("away, as the test asked for".into()),
    }
}

#[async_trait]
impl Router for FakeWorld {
    async fn set(&self, host: &HostName, route: &Route) -> Result<(), RouterError> {
        self.perform(Step::SetRoute, error, || {
            if route.state == RouteState::Stopped && !route.instances.is_empty() {
                return Err(RouterError::Refused("a stopped service has no instances".to_owned()));
            }
            self.state().routes.insert(host.clone(), route.clone());
            Ok(())
        })
        .await
    }

    async fn remove(&self, host: &HostName) -> Result<(), RouterError> {
        self.perform(Step::RemoveRoute, error, || {
            self.state().routes.remove(host);
            Ok(())
        })
        .await
    }

    async fn get(&self, host: &HostName) -> Result<Option<Route>, RouterError> {
        self.perform(Step::GetRoute, error, || Ok(self.state().routes.get(host).cloned()))
            .await
    }

    async fn table(&self) -> Result<BTreeMap<HostName, Route>, RouterError> {
        self.perform(Step::Table, error, || Ok(self.state().routes.clone()))
            .await
    }

    async fn drained(&self, instance: &str, limit: Duration) -> Result<u64, RouterError> {
        self.perform(Step::Drained, error, || Ok(())).await?;
        let under_way = |state: &super::State| state.under_way.get(instance).copied().unwrap_or(0);
        let nothing_left = self.until(|state| (under_way(state) == 0).then_some(()));
        match tokio::time::timeout(limit, nothing_left).await {
            Ok(()) => Ok(0),
            Err(_) => Ok(under_way(&self.state())),
        }
    }

    async fn version(&self) -> Result<String, RouterError> {
        Ok("a world in memory".to_owned())
    }
}
