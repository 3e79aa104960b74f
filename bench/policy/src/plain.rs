//! (a) casbin by itself: one enforcer with the rules of all tenants, the same model and the same function over paths.

use casbin::function_map::{OperatorFunction, dynamic_to_str};
use casbin::rhai::Dynamic;
use casbin::{CoreApi as _, DefaultModel, Enforcer};
use tokio::runtime::Runtime;
use weir::model::Action;

use crate::failure::{Doing as _, Result};
use crate::folder::MODEL;
use crate::lines::Decider;
use crate::pattern::covers;
use crate::requests::Request;
use crate::rules::{Lines, Rules};

/// One casbin.
pub struct Plain(Enforcer);

impl Plain {
    /// With all rules. casbin's domains know nothing of `*`, so what is linked for all tenants is linked in each.
    pub fn new(rules: &Rules, runtime: &Runtime) -> Result<Self> {
        let model = runtime.block_on(DefaultModel::from_str(MODEL)).doing("casbin refuses the model")?;
        let mut casbin = runtime.block_on(Enforcer::new(model, ())).doing("casbin cannot be made")?;
        casbin.add_function("pathMatch", OperatorFunction::Arg2(path_match));
        let mut policies = rows("*", &rules.common);
        let mut links = Vec::new();
        for tenant in &rules.tenants {
            policies.extend(rows(&tenant.name, &tenant.lines));
            for link in rules.common.links.iter().chain(&tenant.lines.links) {
                links.push(vec![link.member.clone(), link.role.clone(), tenant.name.clone()]);
            }
        }
        casbin.get_mut_model().add_policies("p", "p", policies);
        casbin.get_mut_model().add_policies("g", "g", links);
        casbin.build_role_links().doing("casbin refuses the roles")?;
        Ok(Self(casbin))
    }
}

/// The rules as casbin has them.
fn rows(tenant: &str, lines: &Lines) -> Vec<Vec<String>> {
    let row = |rule: &crate::rules::Rule| {
        let (action, effect) = (rule.action.map_or("*", Action::as_str), if rule.allow { "allow" } else { "deny" });
        [&rule.subject, tenant, &rule.object, action, effect].map(str::to_owned).into()
    };
    lines.rules.iter().map(row).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "casbin's signature")]
fn path_match(path: Dynamic, pattern: Dynamic) -> Dynamic {
    covers(&dynamic_to_str(&pattern), &dynamic_to_str(&path)).into()
}

impl Decider for Plain {
    type Ready = [String; 4];

    fn ready(&self, request: &Request, path: &str) -> Result<Self::Ready> {
        Ok([request.qualified(), request.tenant_name.clone(), path.to_owned(), request.action.as_str().to_owned()])
    }

    fn decide(&self, [subject, tenant, path, action]: &Self::Ready) -> Result<bool> {
        self.0.enforce((subject.as_str(), tenant.as_str(), path.as_str(), action.as_str())).doing("casbin failed")
    }
}
