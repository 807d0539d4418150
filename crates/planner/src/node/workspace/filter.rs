//! How each package manager is told to install one package of several, with what it needs.

use super::Member;
use crate::node::{
    manager::{Kind, Manager},
    package::Package,
};

/// What is installed: a package, those of the others that it needs, and what the root itself asks for.
#[derive(Debug)]
pub(super) struct Selection<'a> {
    pub(super) root: &'a Package,
    pub(super) member: &'a Member,
    /// With the package itself, which is the last.
    pub(super) needed: &'a [&'a Member],
    pub(super) includes_root: bool,
}

impl Selection<'_> {
    fn root_name(&self) -> Option<&str> {
        let name = self
            .root
            .text(&["name"])
            .filter(|name| crate::tree::is_plain_path(name));
        name.filter(|_| self.includes_root)
    }
}

impl Manager {
    /// Installs what a selection needs; `only_for_running` leaves the development dependencies out.
    pub(super) fn install_selected(&self, selection: &Selection<'_>, only_for_running: bool) -> String {
        let all = self.install(only_for_running);
        let folder = &selection.member.folder;
        match self.kind {
            Kind::Npm => {
                let root = if selection.includes_root {
                    " --include-workspace-root"
                } else {
                    ""
                };
                format!("{all} --workspace={folder}{root}")
            }
            // The root is always among what it installs.
            Kind::Pnpm => {
                let filter = if only_for_running { "--filter-prod" } else { "--filter" };
                format!("{all} {filter} '{{{folder}}}...'")
            }
            // It knows of those packages only whose package.json is there.
            Kind::YarnClassic => all,
            Kind::YarnBerry if self.can_focus => {
                let root = selection.root_name().map(|name| format!(" {name}")).unwrap_or_default();
                let which = if only_for_running { " --production" } else { "" };
                format!("yarn workspaces focus {}{root}{which}", selection.member.name)
            }
            Kind::YarnBerry => all,
            Kind::Bun => {
                let needed = selection.needed.iter().map(|one| format!(" --filter ./{}", one.folder));
                let root = selection
                    .root_name()
                    .map(|name| format!(" --filter {name}"))
                    .unwrap_or_default();
                format!("{all}{}{root}", needed.collect::<String>())
            }
        }
    }

    /// Whether it can install what runs, and nothing else, a second time.
    pub(super) fn can_leave_out(&self) -> bool {
        self.kind != Kind::YarnBerry || self.can_focus
    }
}
