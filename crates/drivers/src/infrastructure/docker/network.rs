//! A project's network: a bridge whose packets fit through this machine's way out.

use std::collections::BTreeMap;

use bollard::{
    errors::Error,
    models::{Ipam, IpamConfig, Network as Found, NetworkCreateRequest, NetworkDisconnectRequest},
    query_parameters::ListNetworksOptionsBuilder,
};
use domain::ports::infrastructure::{InfrastructureError, Network, NetworkSpec};

use super::{
    DockerEngine, check_name,
    client::{explain, filters, is_missing, refusal},
    subnet::{self, Range},
};

impl DockerEngine {
    pub(super) async fn make_network(&self, spec: &NetworkSpec) -> Result<Network, InfrastructureError> {
        check_name(&spec.name)?;
        // The engine itself allows two networks of one name; within this process there is never a second maker.
        let _one_at_a_time = self.network_making.lock().await;
        if let Some(network) = self.oldest_network(&spec.name).await? {
            return Ok(network);
        }
        match self.create_network(spec).await {
            // A newer engine refuses a second network of the name: somebody else was quicker.
            Err(error) if refusal(&error).is_some_and(|(status, _)| status == 409) => {
                return self.oldest_network(&spec.name).await?.ok_or_else(|| {
                    InfrastructureError::Refused(format!("the network `{}` is somebody else's", spec.name))
                });
            }
            made => made.map_err(|error| explain(error, "network driver"))?,
        }
        // Another process may have made one too: everyone keeps the oldest, and takes the others away.
        let mut made = self.networks_named(&spec.name).await?;
        if made.len() > 1 {
            for newer in made.drain(1..) {
                self.remove_network_by_id(&newer.id).await?;
            }
        }
        made.pop()
            .ok_or_else(|| InfrastructureError::Missing(format!("network `{}`", spec.name)))
    }

    /// Our network of that name.
    pub(super) async fn oldest_network(&self, name: &str) -> Result<Option<Network>, InfrastructureError> {
        Ok(self.networks_named(name).await?.into_iter().next())
    }

    pub(super) async fn delete_networks(&self, name: &str) -> Result<(), InfrastructureError> {
        check_name(name)?;
        for network in self.networks_named(name).await? {
            self.remove_network_by_id(&network.id).await?;
        }
        Ok(())
    }

    pub(super) async fn list_networks(
        &self,
        wanted: &BTreeMap<String, String>,
    ) -> Result<Vec<Network>, InfrastructureError> {
        self.find_networks(wanted, None).await
    }

    async fn networks_named(&self, name: &str) -> Result<Vec<Network>, InfrastructureError> {
        let mut found = self.find_networks(&BTreeMap::new(), Some(name)).await?;
        found.retain(|network| network.name == name);
        Ok(found)
    }

    /// Ours, oldest first. The engine's filter by name is one by parts of names.
    async fn find_networks(
        &self,
        wanted: &BTreeMap<String, String>,
        name: Option<&str>,
    ) -> Result<Vec<Network>, InfrastructureError> {
        let by_name = name.map(str::to_owned).into_iter().collect();
        let options = ListNetworksOptionsBuilder::new()
            .filters(&filters([("label", self.label_filters(wanted)), ("name", by_name)]))
            .build();
        let mut found = self
            .client
            .docker()
            .map_err(|error| explain(error, "engine"))?
            .list_networks(Some(options))
            .await
            .map_err(|error| explain(error, "networks"))?;
        found.sort_by_cached_key(|network| (created(network), network.id.clone()));
        Ok(found.into_iter().filter_map(network_of).collect())
    }

    async fn create_network(&self, spec: &NetworkSpec) -> Result<(), Error> {
        let mtu = if self.client.is_local() {
            subnet::way_out_mtu().await
        } else {
            None
        };
        let mut request = NetworkCreateRequest {
            name: spec.name.clone(),
            driver: Some("bridge".to_owned()),
            options: mtu.map(|mtu| [("com.docker.network.driver.mtu".to_owned(), mtu.to_string())].into()),
            labels: Some(self.own_labels(&spec.labels).into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        let docker = self.client.docker()?;
        let refused = match docker.create_network(request.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) if has_no_addresses_left(&error) => error,
            Err(error) => return Err(error),
        };
        let mut taken = subnet::routed(&subnet::route_table().await);
        let networks = docker.list_networks(None).await?;
        taken.extend(networks.iter().flat_map(ranges_of));
        for range in self.address_range.free_networks(&taken) {
            request.ipam = Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(range.to_string()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            });
            match docker.create_network(request.clone()).await {
                // Somebody took it just now, or it is routed where we cannot see it.
                Err(error) if overlaps(&error) => {}
                made => return made.map(|_| ()),
            }
        }
        Err(refused)
    }

    async fn remove_network_by_id(&self, id: &str) -> Result<(), InfrastructureError> {
        let docker = self.client.docker().map_err(|error| explain(error, "engine"))?;
        match docker.remove_network(id).await {
            Err(error) if refusal(&error).is_some_and(|(_, words)| words.contains("active endpoints")) => {
                if !self.free_places(id).await? {
                    return Err(explain(error, "network"));
                }
            }
            Err(error) if !is_missing(&error) => return Err(explain(error, "network")),
            _ => return Ok(()),
        }
        match docker.remove_network(id).await {
            Err(error) if !is_missing(&error) => Err(explain(error, "network")),
            _ => Ok(()),
        }
    }

    /// Frees the places in a network of containers that are gone: an engine that was killed while it removed a container
    /// may keep its place. Whether there was any.
    async fn free_places(&self, id: &str) -> Result<bool, InfrastructureError> {
        let docker = self.client.docker().map_err(|error| explain(error, "engine"))?;
        let found = docker.inspect_network(id, None).await;
        let found = found.map_err(|error| explain(error, "network"))?;
        let mut freed = false;
        for (container, place) in found.containers.unwrap_or_default() {
            if !container.starts_with("ep-") && self.inspect(&container).await?.is_some() {
                continue;
            }
            let Some(name) = place.name.filter(|name| check_name(name).is_ok()) else {
                continue;
            };
            let request = NetworkDisconnectRequest {
                container: name,
                force: Some(true),
            };
            freed |= docker.disconnect_network(id, request).await.is_ok();
        }
        Ok(freed)
    }
}

fn has_no_addresses_left(error: &Error) -> bool {
    refusal(error).is_some_and(|(_, message)| {
        let message = message.to_lowercase();
        message.contains("address pool") && (message.contains("non-overlapping") || message.contains("fully subnetted"))
    })
}

fn overlaps(error: &Error) -> bool {
    refusal(error).is_some_and(|(_, message)| message.to_lowercase().contains("overlap"))
}

fn ranges_of(network: &Found) -> Vec<Range> {
    let configurations = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    configurations
        .into_iter()
        .flatten()
        .filter_map(|configuration| Range::parse(configuration.subnet.as_ref()?))
        .collect()
}

fn created(network: &Found) -> String {
    network.created.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn network_of(found: Found) -> Option<Network> {
    Some(Network {
        id: found.id?,
        name: found.name?,
        labels: found.labels.unwrap_or_default().into_iter().collect(),
    })
}
