//! The proxy's table, kept through the admin endpoint of our Caddy.

mod admin;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use async_trait::async_trait;
use domain::{
    DeploymentId, ServiceId,
    names::HostName,
    ports::router::{Route, RouteInstance, RouteState, Router, RouterError},
};
use http::{Method, StatusCode};
use serde::Deserialize;

use self::admin::{Admin, Answer};

/// How long the proxy may take for one entry, for the whole table, and beyond a wait that was asked for.
const ONE_ENTRY: Duration = Duration::from_secs(5);
const WHOLE_TABLE: Duration = Duration::from_secs(30);
/// The longest wait that the proxy accepts in one call.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// A host that never has an entry: it is asked for to see whether the proxy answers.
const NOBODYS_HOST: &str = "version.invalid";

/// Our Caddy.
#[derive(Clone)]
pub struct CaddyRouter {
    admin: Admin,
}

impl CaddyRouter {
    /// The admin endpoint at `http://127.0.0.1:7481` or `unix:///path`. Nothing is asked yet.
    ///
    /// # Errors
    /// [`RouterError::Refused`] when the address has another form.
    pub fn new(admin_url: &str) -> Result<Self, RouterError> {
        Ok(Self {
            admin: Admin::new(admin_url)?,
        })
    }

    async fn ask_for_route(&self, host: &str) -> Result<Option<Answer>, RouterError> {
        let answer = self.admin.ask(Method::GET, &route_path(host), None, ONE_ENTRY).await?;
        if answer.status == StatusCode::NOT_FOUND && answer.code() == Some("unknown-host".to_owned()) {
            return Ok(None);
        }
        answer.good().map(Some)
    }
}

fn route_path(host: &str) -> String {
    format!("/click-deploy/routes/{}", encode(host))
}

/// Percent-encodes everything that is not plainly part of a name, so that no text can mean another path.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || byte == b'-'
            || byte == b'_'
            || (byte == b'.' && !text.trim_matches('.').is_empty())
        {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// An entry as the proxy writes it: an empty text where there is no deployment.
#[derive(Deserialize)]
struct Entry {
    service: ServiceId,
    name: String,
    state: RouteState,
    #[serde(default)]
    message: String,
    #[serde(default)]
    deployment: String,
    #[serde(default)]
    instances: Vec<EntryInstance>,
}

#[derive(Deserialize)]
struct EntryInstance {
    id: String,
    address: SocketAddr,
}

impl Entry {
    fn read(value: serde_json::Value) -> Option<Route> {
        let entry: Self = serde_json::from_value(value).ok()?;
        let deployment: Option<DeploymentId> = match entry.deployment.as_str() {
            "" => None,
            text => Some(text.parse().ok()?),
        };
        let instances = entry.instances.into_iter();
        Some(Route {
            service: entry.service,
            name: entry.name,
            state: entry.state,
            message: entry.message,
            deployment,
            instances: instances
                .map(|instance| RouteInstance {
                    id: instance.id,
                    address: instance.address,
                })
                .collect(),
        })
    }
}

fn unreadable() -> RouterError {
    RouterError::Refused("it answered with what we cannot read".to_owned())
}

#[async_trait]
impl Router for CaddyRouter {
    async fn set(&self, host: &HostName, route: &Route) -> Result<(), RouterError> {
        let body = serde_json::to_vec(route).map_err(|error| RouterError::Refused(error.to_string()))?;
        let path = route_path(host.as_str());
        self.admin
            .ask(Method::PUT, &path, Some(body), ONE_ENTRY)
            .await?
            .good()?;
        Ok(())
    }

    async fn remove(&self, host: &HostName) -> Result<(), RouterError> {
        let path = route_path(host.as_str());
        self.admin.ask(Method::DELETE, &path, None, ONE_ENTRY).await?.good()?;
        Ok(())
    }

    async fn get(&self, host: &HostName) -> Result<Option<Route>, RouterError> {
        match self.ask_for_route(host.as_str()).await? {
            None => Ok(None),
            Some(answer) => Entry::read(answer.json()?).map(Some).ok_or_else(unreadable),
        }
    }

    async fn table(&self) -> Result<BTreeMap<HostName, Route>, RouterError> {
        Ok(self.table_at().await?.1)
    }

    async fn table_at(&self) -> Result<(u64, BTreeMap<HostName, Route>), RouterError> {
        #[derive(Deserialize)]
        struct Table {
            generation: u64,
            routes: BTreeMap<String, serde_json::Value>,
        }
        let path = "/click-deploy/table";
        let answer = self.admin.ask(Method::GET, path, None, WHOLE_TABLE).await?.good()?;
        let table: Table = answer.json()?;
        let mut routes = BTreeMap::new();
        for (host, value) in table.routes {
            match (HostName::parse(&host), Entry::read(value)) {
                (Ok(host), Some(route)) => {
                    routes.insert(host, route);
                }
                // Not written by us, or by a later version of us: one such entry must not hide the others.
                _ => tracing::warn!(route.host = %host, "the proxy has an entry that we cannot read"),
            }
        }
        Ok((table.generation, routes))
    }

    async fn change_at(&self, number: u64, host: &HostName, route: Option<&Route>) -> Result<Option<u64>, RouterError> {
        #[derive(Deserialize)]
        struct Changed {
            generation: u64,
        }
        let path = format!("{}?expected_generation={number}", route_path(host.as_str()));
        let body = route
            .map(serde_json::to_vec)
            .transpose()
            .map_err(|error| RouterError::Refused(error.to_string()))?;
        let method = if body.is_some() { Method::PUT } else { Method::DELETE };
        let answer = self.admin.ask(method, &path, body, ONE_ENTRY).await?;
        if answer.status == StatusCode::PRECONDITION_FAILED {
            return Ok(None);
        }
        let changed: Changed = answer.good()?.json()?;
        Ok(Some(changed.generation))
    }

    async fn drained(&self, instance: &str, limit: Duration) -> Result<u64, RouterError> {
        #[derive(Deserialize)]
        struct Waited {
            in_flight: u64,
        }
        let limit = limit.min(LONGEST_WAIT);
        let path = format!(
            "/click-deploy/instances/{}/drained?timeout_ms={}",
            encode(instance),
            limit.as_millis()
        );
        let answer = self
            .admin
            .ask(Method::GET, &path, None, limit + ONE_ENTRY)
            .await?
            .good()?;
        let waited: Waited = answer.json()?;
        Ok(waited.in_flight)
    }

    async fn version(&self) -> Result<String, RouterError> {
        self.ask_for_route(NOBODYS_HOST).await?;
        Ok("Caddy with the table of Click-to-Deploy".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_another_path() {
        for (text, expected) in [
            ("shop.example.com", "shop.example.com"),
            ("a/../b", "a%2F..%2Fb"),
            ("..", "%2E%2E"),
            ("x?y#z", "x%3Fy%23z"),
            ("é %", "%C3%A9%20%25"),
        ] {
            assert_eq!(encode(text), expected);
        }
    }

    #[test]
    fn an_entry_without_a_deployment_is_read() {
        let service = ServiceId::mint();
        let value = serde_json::json!({
            "service": service, "name": "web", "state": "building", "message": "", "deployment": "", "instances": [],
        });
        let route = Entry::read(value).unwrap();
        assert_eq!(
            (route.service, route.deployment, route.state),
            (service, None, RouteState::Building)
        );
        assert!(Entry::read(serde_json::json!({"service": "other"})).is_none());
    }
}
