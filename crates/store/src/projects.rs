//! Projects.

use domain::{OrganizationId, ProjectId, names::Slug};

use crate::{
    Error, Result, Store, Write, now_ms,
    sql::{Row, query},
};

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its tenant.
    pub organization: OrganizationId,
    /// Its name.
    pub name: Slug,
    /// It is being removed, with all that is in it.
    pub removing: bool,
    /// Grows with each change.
    pub version: i64,
    /// Milliseconds since 1970.
    pub created_at_ms: i64,
}

const COLUMNS_FROM: &str = "SELECT id, organization_id, name, removing, version, created_at_ms FROM projects WHERE organization_id = ? AND id = ?";
const LIST: &str = "SELECT id, organization_id, name, removing, version, created_at_ms FROM projects \
    WHERE organization_id = ? AND id > ? AND (? = '' OR name = ?) ORDER BY id LIMIT ?";
const ALL: &str = "SELECT id, organization_id, name, removing, version, created_at_ms FROM projects";
const INSERT: &str = "INSERT INTO projects (id, organization_id, name, created_at_ms) VALUES (?, ?, ?, ?)";
const RENAME: &str = "UPDATE projects SET name = ?, version = version + 1 WHERE id = ? AND version = ?";
const MARK_REMOVING: &str = "UPDATE projects SET removing = 1, version = version + 1 WHERE id = ?";
const DELETE: &str = "DELETE FROM projects WHERE id = ?";

fn read(row: &Row) -> Result<Project> {
    Ok(Project {
        id: row.get::<String>("id").parse().map_err(Error::corrupt("project id"))?,
        organization: row
            .get::<String>("organization_id")
            .parse()
            .map_err(Error::corrupt("organization id"))?,
        name: row
            .get::<String>("name")
            .parse()
            .map_err(Error::corrupt("project name"))?,
        removing: row.get::<i64>("removing") != 0,
        version: row.get("version"),
        created_at_ms: row.get("created_at_ms"),
    })
}

impl Store {
    /// Makes a project.
    ///
    /// # Errors
    /// [`Error::Taken`] when the organization has one of that name.
    pub async fn create_project(&self, organization: OrganizationId, name: &Slug) -> Result<Project> {
        let project = Project {
            id: ProjectId::mint(),
            organization,
            name: name.clone(),
            removing: false,
            version: 1,
            created_at_ms: now_ms(),
        };
        let making = query(INSERT)
            .bind(project.id.to_string())
            .bind(organization.to_string())
            .bind(name.as_str())
            .bind(project.created_at_ms);
        self.change(making).await.map_err(Error::taken("project"))?;
        Ok(project)
    }

    /// One project of an organization.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub async fn project(&self, organization: OrganizationId, id: ProjectId) -> Result<Project> {
        let row = query(COLUMNS_FROM)
            .bind(organization.to_string())
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?
            .ok_or_else(|| Error::missing("project", id))?;
        read(&row)
    }

    /// Projects after an id, in order; only those of that name, when one is given.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn projects(
        &self,
        organization: OrganizationId,
        after: &str,
        name: &str,
        limit: i64,
    ) -> Result<Vec<Project>> {
        let rows = query(LIST)
            .bind(organization.to_string())
            .bind(after)
            .bind(name)
            .bind(name)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Every project of the installation, for the reconcilers.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn all_projects(&self) -> Result<Vec<Project>> {
        query(ALL).fetch_all(&self.readers).await?.iter().map(read).collect()
    }

    /// Renames a project that is still as the caller saw it.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::Taken`].
    pub async fn rename_project(&self, id: ProjectId, name: &Slug, version: i64) -> Result<()> {
        let done = self
            .change(query(RENAME).bind(name.as_str()).bind(id.to_string()).bind(version))
            .await
            .map_err(Error::taken("project"))?;
        if done == 0 {
            return Err(Error::stale("project", id));
        }
        Ok(())
    }

    /// Forgets a project that holds nothing any more. Absence is success.
    ///
    /// # Errors
    /// When services are left.
    pub async fn delete_project(&self, id: ProjectId) -> Result<()> {
        self.change(query(DELETE).bind(id.to_string())).await.map(drop)
    }
}

impl Write {
    /// Says that a project is being removed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark_project_removing(&mut self, id: ProjectId) -> Result<()> {
        query(MARK_REMOVING)
            .bind(id.to_string())
            .execute(&mut self.transaction)
            .await?;
        Ok(())
    }
}
