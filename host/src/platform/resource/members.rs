//! Members: which users belong to a project, as what, and with it which projects a user has.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::types::Json;
use sqlx::{FromRow, Postgres, Transaction};
use utoipa::ToSchema;
use uuid::Uuid;

use super::projects::Project;
use crate::error::{Error, Result};
use crate::paging::{Listed, PageOf};
use crate::platform::{Platform, audit, exactly_one, failed, statements};
use crate::policy::Permit;
use crate::times;

/// What a member of a project is to it. What they may do is in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Whose it is.
    Owner,
    /// Who works on it.
    Editor,
    /// Who looks at it.
    Viewer,
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Editor => "editor",
            Self::Viewer => "viewer",
        }
    }
}

/// A member of a project.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The project.
    pub project_id: Uuid,
    /// The user.
    pub user_id: Uuid,
    /// What they are to it.
    #[schema(value_type = Role)]
    pub role: String,
    /// Since when.
    #[serde(serialize_with = "times::micros")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "times::micros")]
    pub updated_at: DateTime<Utc>,
}

statements! {
    ADD = "insert into project_members (tenant, project_id, user_id, role) values ($1, $2, $3, $4) returning *";
    CHANGE = "update project_members set role = $4, updated_at = clock_timestamp() where tenant = $1 and project_id = $2 and user_id = $3
              returning *";
    LOCK = "select * from project_members where tenant = $1 and project_id = $2 and user_id = $3 for update";
    REMOVE = "delete from project_members where tenant = $1 and project_id = $2 and user_id = $3";
    MEMBERS = "select * from project_members where tenant = $1 and project_id = $2 and ($3::uuid is null or user_id > $3)
               order by user_id limit $4";
    /// Those that they own or belong to.
    PROJECTS = "select * from projects p where tenant = $1 and ($3::uuid is null or id > $3)
                and (owner_id = $2 or exists (select from project_members m
                                              where m.tenant = $1 and m.project_id = p.id and m.user_id = $2))
                and weir_reaches(id::text, $5) order by id limit $4";
}

fn after(page: &PageOf) -> Result<Option<Uuid>> {
    let after = page.after.as_deref().map(Uuid::try_parse).transpose();
    after.map_err(|_| Error::malformed("`cursor` is not one that this endpoint gave.").at("cursor", "of another list"))
}

/// A member as it is; nobody else changes it before the transaction ends.
async fn lock(
    transaction: &mut Transaction<'static, Postgres>,
    permit: &Permit,
    project: Uuid,
    user: Uuid,
) -> Result<Option<Member>> {
    let member = sqlx::query_as(LOCK).bind(permit.tenant().as_str()).bind(project).bind(user);
    member.fetch_optional(&mut **transaction).await.map_err(failed)
}

impl Platform {
    /// Makes a user a member of a project.
    pub async fn member_add(&self, permit: &Permit, project: Uuid, user: Uuid, role: Role) -> Result<Member> {
        let found = self.member_write(permit, ADD, project, user, role).await?;
        found.ok_or_else(|| Error::internal("a member was added and is not there"))
    }

    /// Gives a member another role; `None` where they are none.
    pub async fn member_change(&self, permit: &Permit, project: Uuid, user: Uuid, role: Role) -> Result<Option<Member>> {
        self.member_write(permit, CHANGE, project, user, role).await
    }

    async fn member_write(
        &self,
        permit: &Permit,
        sql: &'static str,
        project: Uuid,
        user: Uuid,
        role: Role,
    ) -> Result<Option<Member>> {
        let mut transaction = self.begin(permit).await?;
        let before = lock(&mut transaction, permit, project, user).await?;
        let member: Option<Member> = sqlx::query_as(sql)
            .bind(permit.tenant().as_str())
            .bind(project)
            .bind(user)
            .bind(role.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if let Some(member) = &member {
            audit::record(&mut transaction, permit, json!({ "before": before, "after": member })).await?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(member)
    }

    /// Takes a member out of a project; false where they are none.
    pub async fn member_remove(&self, permit: &Permit, project: Uuid, user: Uuid) -> Result<bool> {
        let mut transaction = self.begin(permit).await?;
        let Some(before) = lock(&mut transaction, permit, project, user).await? else { return Ok(false) };
        let done = sqlx::query(REMOVE)
            .bind(permit.tenant().as_str())
            .bind(project)
            .bind(user)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        exactly_one(&done, REMOVE)?;
        audit::record(&mut transaction, permit, json!({ "before": before })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// One page of a project's members.
    pub async fn member_list(&self, permit: &Permit, project: Uuid, page: &PageOf) -> Result<Listed<Member>> {
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(MEMBERS)
            .bind(permit.tenant().as_str())
            .bind(project)
            .bind(after(page)?)
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &Member| row.user_id.to_string()))
    }

    /// One page of the projects that a user owns or belongs to.
    pub async fn projects_of(&self, permit: &Permit, user: Uuid, page: &PageOf) -> Result<Listed<Project>> {
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(PROJECTS)
            .bind(permit.tenant().as_str())
            .bind(user)
            .bind(after(page)?)
            .bind(i64::from(page.limit) + 1)
            .bind(permit.reach().limits().map(Json))
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &Project| row.id.to_string()))
    }
}
