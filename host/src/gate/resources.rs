//! Resources of the platform: the same straight line for each of them.
//!
//! authorise → the chain of documents → its own rules → what is write only put away → row and audit entry in one transaction.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Gate;
use super::documents::Sent;
use crate::error::{Error, Kind, Result};
use crate::model::{self, Action, Caller, Operation, Resource as Object, Subject};
use crate::paging::{Listed, PageOf};
pub use crate::platform::resource::buckets::{Bucket, BucketChange, BucketFilter, NewBucket, Versioning};
pub use crate::platform::resource::connectors::{Connector, ConnectorChange, ConnectorFilter, NewConnector};
pub use crate::platform::resource::members::{Member, Role};
pub use crate::platform::resource::pipelines::{NewPipeline, Pipeline, PipelineChange, PipelineFilter};
pub use crate::platform::resource::projects::{NewProject, Project, ProjectChange, ProjectFilter};
pub use crate::platform::resource::signing_keys::{NewSigningKey, SigningKey, SigningKeyChange, SigningKeyFilter};
pub use crate::platform::resource::tenants::{NewTenant, Tenant, TenantChange, TenantFilter};
pub use crate::platform::resource::topics::{NewTopic, Topic, TopicChange, TopicFilter};
pub use crate::platform::resource::users::{NewUser, User, UserChange, UserFilter};
pub use crate::platform::resource::{Form, Kept, Resource, Secret, Status, Unchanged};
use crate::policy::{Collection, Permit};
use crate::secrets::config::{self, Secrets};
use crate::secrets::password;
use crate::secrets::seal::{Sealed, Sealer};
use crate::timescale::{Filter, KeptFilter, Order};

fn missing<R: Resource>(key: &str) -> Error {
    Error::not_found(format!("{} `{key}`", R::ONE))
}

/// What was taken out of a form before anybody sees it.
enum Taken {
    Nothing,
    Password(String),
    /// Of a configuration that was sent.
    Config(Secrets),
}

impl Gate {
    /// Makes one.
    pub async fn resource_create<R: Resource>(&self, caller: &Caller, new: R::New) -> Result<R> {
        let permit = self.authorise(caller, R::action(Action::Write), &R::whole()).await?;
        let (mut fields, taken) = self.admitted::<R, _>(&permit, Operation::Create, None, new).await?;
        if R::SECRET == Secret::Password {
            self.check_user(caller, None, &fields).await?;
        }
        self.put_password(&mut fields, &taken).await?;
        self.put_secrets(&permit, &mut fields, &taken, None)?;
        self.platform.resource_create(&permit, &fields).await
    }

    /// One page of the tenant's.
    pub async fn resource_list<R: Resource>(&self, caller: &Caller, filter: &R::Filter, page: &PageOf) -> Result<Listed<R>> {
        let permit = self.authorise_list(caller, R::action(Action::Read), &R::collection()).await?;
        self.platform.resource_list(&permit, filter, page).await
    }

    /// One of the tenant's.
    pub async fn resource_get<R: Resource>(&self, caller: &Caller, key: &str) -> Result<R> {
        let permit = self.authorise(caller, R::action(Action::Read), &R::one(key)).await?;
        self.platform.resource_get(&permit, key).await?.ok_or_else(|| missing::<R>(key))
    }

    /// Changes the fields that are given, where it is as the client thinks it is.
    pub async fn resource_update<R: Resource>(
        &self,
        caller: &Caller,
        key: &str,
        change: R::Change,
        unchanged: Unchanged<'_, R>,
    ) -> Result<R> {
        let permit = self.authorise(caller, R::action(Action::Write), &R::one(key)).await?;
        let (mut fields, taken) = self.admitted::<R, _>(&permit, Operation::Update, Some(key), change).await?;
        if R::SECRET == Secret::Password {
            let before: Option<User> = self.platform.resource_get(&permit, key).await?;
            self.check_user(caller, before.as_ref(), &fields).await?;
        }
        self.put_password(&mut fields, &taken).await?;
        let fields = |before: &R| {
            let mut fields = fields.clone();
            self.put_secrets(&permit, &mut fields, &taken, before.sealed())?;
            Ok(fields)
        };
        self.platform.resource_update(&permit, key, &fields, unchanged).await?.ok_or_else(|| missing::<R>(key))
    }

    /// Deletes one, where it is as the client thinks it is.
    pub async fn resource_delete<R: Resource>(&self, caller: &Caller, key: &str, unchanged: Unchanged<'_, R>) -> Result<()> {
        let permit = self.authorise(caller, R::action(Action::Delete), &R::one(key)).await?;
        self.document_deleted(&permit, R::COLLECTION, key).await?;
        if R::KEPT == Kept::OverTenants {
            self.tenant_is_idle(caller, key).await?;
        }
        if self.platform.resource_delete(&permit, key, unchanged).await? { Ok(()) } else { Err(missing::<R>(key)) }
    }

    /// Refuses to delete a tenant into which something may still come, or of which there are readings. What the platform database knows of
    /// it, it says itself.
    async fn tenant_is_idle(&self, caller: &Caller, slug: &str) -> Result<()> {
        // As everywhere, what is asked of a tenant's readings is asked in its name.
        let there = Caller { tenant: model::Tenant::parse(slug).map_err(|_| missing::<Tenant>(slug))?, ..caller.clone() };
        let permit = self.authorise(&there, Action::Admin, &Tenant::one(slug)).await?;
        let tenant: Tenant = self.platform.resource_get(&permit, slug).await?.ok_or_else(|| missing::<Tenant>(slug))?;
        if tenant.status == "active" {
            let sentence = format!("Tenant `{slug}` is active; suspend it first, so that nothing comes in while it is deleted.");
            return Err(Error::conflict(sentence));
        }
        let readings = self.timescale.page(&permit, &Filter::default(), Order::default(), None, 1).await?;
        if !readings.readings.is_empty() || !self.timescale.kept_causes(&permit, &KeptFilter::default(), 1).await?.is_empty() {
            let sentence = format!("Tenant `{slug}` still has readings or entries in quarantine; delete those first.");
            return Err(Error::conflict(sentence));
        }
        Ok(())
    }

    /// A form's way through its own rules and the tenant's modules. They see no secret: it is taken out before.
    async fn admitted<R: Resource, F: Form>(
        &self,
        permit: &Permit,
        operation: Operation,
        key: Option<&str>,
        form: F,
    ) -> Result<(Value, Taken)> {
        form.check()?;
        let mut open = serde_json::to_value(form).map_err(Error::internal)?;
        let taken = match R::SECRET {
            Secret::Nothing => Taken::Nothing,
            Secret::Password => match open.get_mut("password") {
                Some(Value::String(password)) => Taken::Password(std::mem::replace(password, config::MASK.to_owned())),
                _ => Taken::Nothing,
            },
            Secret::InConfig => match open.get_mut("config").filter(|config| config.is_object()) {
                Some(sent) => Taken::Config(config::take(sent)),
                None => Taken::Nothing,
            },
        };
        let open: F = serde_json::from_value(open).map_err(Error::internal)?;
        let passed = self.document(permit, Sent { kind: R::COLLECTION, operation, id: key }, open).await?;
        passed.check()?;
        Ok((serde_json::to_value(passed).map_err(Error::internal)?, taken))
    }

    /// Whoever may name users, or say what they log in with, could become one that reaches further than they do.
    async fn check_user(&self, caller: &Caller, before: Option<&User>, fields: &Value) -> Result<()> {
        let new = fields["email"].as_str();
        let emails = new.into_iter().chain(before.map(|user| user.email.as_str()).filter(|_| !fields["password"].is_null()));
        for email in emails {
            self.check_reach(caller, &Subject::user(email)).await?;
        }
        Ok(())
    }

    /// Puts the hash of a password in its place.
    async fn put_password(&self, fields: &mut Value, taken: &Taken) -> Result<()> {
        let Taken::Password(password) = taken else { return Ok(()) };
        let hash = self.password_work(password.clone(), |password| password::hash(&password)).await??;
        fields["passwordHash"] = hash.into();
        Ok(())
    }

    /// Seals the secrets of a configuration, those that stay included.
    fn put_secrets(&self, permit: &Permit, fields: &mut Value, taken: &Taken, before: Option<(&str, &[u8])>) -> Result<()> {
        let Taken::Config(new) = taken else { return Ok(()) };
        let tenant = permit.tenant().as_str();
        let kept = match before {
            None => Secrets::new(),
            Some((by, sealed)) => serde_json::from_slice(&self.sealer()?.open(tenant, by, sealed)?).map_err(Error::internal)?,
        };
        let secrets = config::complete(&fields["config"], new.clone(), kept)?;
        if secrets.is_empty() {
            return Ok(());
        }
        let Sealed { by, bytes } = self.sealer()?.seal(tenant, &serde_json::to_vec(&secrets).map_err(Error::internal)?)?;
        fields["sealed"] = STANDARD.encode(bytes).into();
        fields["sealedBy"] = by.into();
        Ok(())
    }

    fn sealer(&self) -> Result<&Sealer> {
        self.sealer.as_deref().ok_or_else(|| {
            let sentence =
                "Secrets cannot be kept: this Weir has no key for them. Its administrator has to set `WEIR_SECRET_KEYS`.";
            Error::new(Kind::Conflict, sentence)
        })
    }

    /// Seals all secrets anew that another key than the first one sealed, of all tenants; how many.
    pub async fn secrets_rotate(&self, caller: &Caller) -> Result<usize> {
        let permit = self.authorise(caller, Action::Admin, &Object::platform("tenants")).await?;
        let sealer = self.sealer()?;
        let again = |tenant: &str, by: &str, sealed: &[u8]| {
            let Sealed { by, bytes } = sealer.seal(tenant, &sealer.open(tenant, by, sealed)?)?;
            Ok((by, bytes))
        };
        self.platform.connectors_reseal(&permit, sealer.current(), again).await
    }

    /// Counts a pipeline's version up.
    pub async fn pipeline_next_version(
        &self,
        caller: &Caller,
        key: &str,
        unchanged: Unchanged<'_, Pipeline>,
    ) -> Result<Pipeline> {
        let permit = self.authorise(caller, Action::Write, &Pipeline::one(key)).await?;
        let sent = Sent { kind: Pipeline::COLLECTION, operation: Operation::Update, id: Some(key) };
        let fields = self.document(&permit, sent, json!({ "nextVersion": true })).await?;
        let row = self.platform.resource_update(&permit, key, &|_| Ok(fields.clone()), unchanged).await?;
        row.ok_or_else(|| missing::<Pipeline>(key))
    }

    /// Makes a user a member of a project.
    pub async fn member_add(&self, caller: &Caller, project: Uuid, user: Uuid, role: Role) -> Result<Member> {
        let permit = self.authorise(caller, Action::Write, &Project::one(&project.to_string())).await?;
        self.project_exists(&permit, project).await?;
        self.platform.member_add(&permit, project, user, role).await
    }

    /// Gives a member another role.
    pub async fn member_change(&self, caller: &Caller, project: Uuid, user: Uuid, role: Role) -> Result<Member> {
        let permit = self.authorise(caller, Action::Write, &Project::one(&project.to_string())).await?;
        let member = self.platform.member_change(&permit, project, user, role).await?;
        member.ok_or_else(|| Error::not_found(format!("member `{user}` of project `{project}`")))
    }

    /// Takes a member out of a project.
    pub async fn member_remove(&self, caller: &Caller, project: Uuid, user: Uuid) -> Result<()> {
        let permit = self.authorise(caller, Action::Write, &Project::one(&project.to_string())).await?;
        if self.platform.member_remove(&permit, project, user).await? {
            return Ok(());
        }
        Err(Error::not_found(format!("member `{user}` of project `{project}`")))
    }

    /// One page of a project's members.
    pub async fn member_list(&self, caller: &Caller, project: Uuid, page: &PageOf) -> Result<Listed<Member>> {
        let permit = self.authorise(caller, Action::Read, &Project::one(&project.to_string())).await?;
        self.project_exists(&permit, project).await?;
        self.platform.member_list(&permit, project, page).await
    }

    async fn project_exists(&self, permit: &Permit, project: Uuid) -> Result<()> {
        let key = project.to_string();
        self.platform.resource_get::<Project>(permit, &key).await?.map(drop).ok_or_else(|| missing::<Project>(&key))
    }

    /// One page of the projects that a user owns or belongs to.
    pub async fn projects_of(&self, caller: &Caller, user: Uuid, page: &PageOf) -> Result<Listed<Project>> {
        let permit = self.authorise_list(caller, Action::Read, &Collection::platform(Project::COLLECTION)).await?;
        let key = user.to_string();
        self.platform.resource_get::<User>(&permit, &key).await?.ok_or_else(|| missing::<User>(&key))?;
        self.platform.projects_of(&permit, user, page).await
    }

    /// The user with this email.
    pub async fn user_by_email(&self, caller: &Caller, email: &str) -> Result<User> {
        let permit = self.authorise_list(caller, Action::Read, &Collection::platform(User::COLLECTION)).await?;
        let filter = UserFilter { email: Some(email.to_owned()), ..UserFilter::default() };
        let found: Listed<User> = self.platform.resource_list(&permit, &filter, &PageOf { limit: 1, after: None }).await?;
        found.items.into_iter().next().ok_or_else(|| Error::not_found(format!("user `{email}`")))
    }

    /// Works on a password, on a blocking thread and few at once: each takes 19 MiB and tens of milliseconds of a core.
    pub(super) async fn password_work<T: Send + 'static>(
        &self,
        password: String,
        work: impl FnOnce(String) -> T + Send + 'static,
    ) -> Result<T> {
        let turn = Arc::clone(&self.passwords).acquire_owned().await.map_err(Error::internal)?;
        // The turn is the work's, which goes on where nobody waits for it any more: a client that hangs up gives back nothing early.
        let work = move || {
            let done = work(password);
            drop(turn);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)
    }
}
