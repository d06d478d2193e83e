//! `/api/tenants` and `/api/{tenant}/profile`: who the administrations are and what they say about themselves.

use crate::answer::{self, Answer, Problem};
use crate::bindings::directory as store;
use crate::call::Call;
use channel_sdk::json::{parse_profile, profile as profile_json};
use serde_json::{Value, json};

/// `GET /api/tenants`: those the token opens.
pub(crate) async fn list(call: &Call) -> Result<Answer, Problem> {
    let mut tenants = call.grant.tenants.clone();
    if call.grant.operator {
        tenants.extend(store::tenants().await.map_err(|e| answer::store(e, "tenant"))?);
    }
    tenants.sort();
    tenants.dedup();
    Ok(Answer::json(200, &json!({"tenants": tenants})))
}

/// `GET /api/{tenant}/profile`
pub(crate) async fn profile(call: &Call) -> Result<Answer, Problem> {
    match store::profile(call.tenant()).await.map_err(|e| answer::store(e, "tenant"))? {
        Some(profile) => Ok(Answer::json(200, &Value::Object(profile_json(&profile)))),
        None => Err(answer::not_found(
            "no-profile",
            "this tenant has no profile yet; PUT one, or run: ventanilla tenant apply FILE",
        )),
    }
}

/// `PUT /api/{tenant}/profile`
pub(crate) async fn put_profile(call: &Call) -> Result<Answer, Problem> {
    let profile = parse_profile(&call.json()?).map_err(|error| answer::invalid(&error.path, error.to_string()))?;
    if profile.tenant != call.tenant() {
        return Err(answer::invalid(
            "tenant",
            format!("the profile is {:?}'s but the path says {:?}; make them equal", profile.tenant, call.tenant()),
        ));
    }
    store::put_profile(profile.clone()).await.map_err(|e| answer::store(e, "body"))?;
    Ok(Answer::json(200, &Value::Object(profile_json(&profile))))
}
