//! Asks the containers in memory.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use domain::{
    DeploymentId,
    names::HostName,
    ports::{
        prober::{Probe, Prober},
        router::RouteState,
    },
    service::HealthCheck,
};

use super::{FakeWorld, State, Step, infrastructure::Answer};

impl State {
    /// How whoever listens at the address answers; `None` when nobody does.
    fn answer_at(&self, address: SocketAddr) -> Option<Answer> {
        self.containers
            .values()
            .find(|container| container.is_running() && container.address == address.ip())
            .filter(|container| container.ports.open.contains(&address.port()))
            .map(|container| container.answer)
    }
}

#[async_trait]
impl Prober for FakeWorld {
    async fn probe(&self, address: SocketAddr, check: &HealthCheck, timeout: Duration) -> Probe {
        if self.enter(Step::Probe).await.is_some() {
            return Probe::Refused;
        }
        let answer = self.state().answer_at(address);
        match (answer, check) {
            (None, _) => Probe::Refused,
            (Some(_), HealthCheck::Tcp) => Probe::Healthy,
            (Some(Answer::Status(status)), HealthCheck::Http { .. }) if status < 400 => Probe::Healthy,
            (Some(Answer::Status(status)), HealthCheck::Http { .. }) => Probe::Status(status),
            (Some(Answer::Never), HealthCheck::Http { .. }) => {
                tokio::time::sleep(timeout).await;
                Probe::Silent
            }
        }
    }

    async fn ask_public(
        &self,
        host: &HostName,
        _path: &str,
        timeout: Duration,
    ) -> Result<(Option<DeploymentId>, u16), String> {
        if self.enter(Step::AskPublic).await.is_some() {
            return Err("the proxy is away, as the test asked for".to_owned());
        }
        let answer = {
            let state = self.state();
            let Some(route) = state.routes.get(host) else {
                return Ok((None, 404));
            };
            if route.state != RouteState::Live {
                return Ok((None, 503));
            }
            let answered = route
                .instances
                .iter()
                .find_map(|instance| state.answer_at(instance.address));
            answered.map(|answer| (route.deployment, answer))
        };
        match answer {
            None => Ok((None, 502)),
            Some((deployment, Answer::Status(status))) => Ok((deployment, status)),
            Some((_, Answer::Never)) => {
                tokio::time::sleep(timeout).await;
                Err("the public address did not answer in time".to_owned())
            }
        }
    }
}
