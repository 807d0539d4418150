//! The proxy's table, compared a page of services at a time.

use std::collections::BTreeMap;

use domain::{names::HostName, ports::router::Route};

use crate::world::World;

/// A route that is not as it should be.
#[derive(Debug, PartialEq)]
pub(super) enum RouteChange {
    /// Set it.
    Set(HostName, Route),
    /// Nobody's: remove it.
    Remove(HostName),
}

/// What makes some hosts as they should be. They are taken out of what was found: what is left at the end is nobody's.
/// A host without a route is left alone: a job works on it.
pub(super) fn plan(wanted: Vec<(HostName, Option<Route>)>, found: &mut BTreeMap<HostName, Route>) -> Vec<RouteChange> {
    let mut changes = Vec::new();
    for (host, route) in wanted {
        let there = found.remove(&host);
        if let Some(route) = route
            && there.as_ref() != Some(&route)
        {
            changes.push(RouteChange::Set(host, route));
        }
    }
    changes
}

/// What is left when every service was looked at.
pub(super) fn plan_rest(left: BTreeMap<HostName, Route>) -> Vec<RouteChange> {
    left.into_keys().map(RouteChange::Remove).collect()
}

/// The table as it was seen, by its number: nothing is changed in one that a job changed meanwhile.
pub(super) struct Seen {
    number: Option<u64>,
}

impl Seen {
    pub(super) fn new(number: u64) -> Self {
        Self { number: Some(number) }
    }

    /// Makes the changes, unless a job changed the table: what is still to be done is found in another round.
    pub(super) async fn change(&mut self, world: &World, changes: Vec<RouteChange>) -> Result<(), crate::Error> {
        for change in changes {
            let Some(number) = self.number else { return Ok(()) };
            self.number = match &change {
                RouteChange::Set(host, route) => world.router.change_at(number, host, Some(route)).await?,
                RouteChange::Remove(host) => world.router.change_at(number, host, None).await?,
            };
            if self.number.is_none() {
                world.notices.reconcile();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::ports::router::RouteState;

    use super::*;

    fn route(state: RouteState) -> Route {
        Route {
            service: "svc_01900000000070008000000000000001".parse().unwrap(),
            name: "web".to_owned(),
            state,
            message: String::new(),
            deployment: None,
            instances: Vec::new(),
        }
    }

    fn host(name: &str) -> HostName {
        HostName::parse(name).unwrap()
    }

    #[test]
    fn a_table_that_is_right_is_left_alone() {
        let mut table = BTreeMap::from([(host("a.test"), route(RouteState::Stopped))]);
        let wanted = vec![(host("a.test"), Some(route(RouteState::Stopped)))];
        assert_eq!(plan(wanted, &mut table), []);
        assert_eq!(plan_rest(table), []);
    }

    #[test]
    fn what_is_missing_wrong_or_nobodys_is_mended() {
        let wanted = vec![
            (host("missing.test"), Some(route(RouteState::Live))),
            (host("wrong.test"), Some(route(RouteState::Live))),
        ];
        let mut found = BTreeMap::from([
            (host("nobodys.test"), route(RouteState::Live)),
            (host("wrong.test"), route(RouteState::Stopped)),
        ]);
        assert_eq!(
            plan(wanted, &mut found),
            [
                RouteChange::Set(host("missing.test"), route(RouteState::Live)),
                RouteChange::Set(host("wrong.test"), route(RouteState::Live)),
            ]
        );
        assert_eq!(plan_rest(found), [RouteChange::Remove(host("nobodys.test"))]);
    }

    #[test]
    fn a_host_on_which_a_job_works_is_left_to_it() {
        let mut found = BTreeMap::from([(host("a.test"), route(RouteState::Live))]);
        let wanted = vec![(host("a.test"), None), (host("b.test"), None)];
        assert_eq!(plan(wanted, &mut found), []);
        assert_eq!(plan_rest(found), []);
    }
}
