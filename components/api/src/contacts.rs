//! `/api/{tenant}/contacts/…`: whether two handles are one person's is for people to say, and to take back.

use crate::answer::{self, Answer, Problem};
use crate::bindings::cases as store;
use crate::call::Call;
use crate::json;

/// `POST /api/{tenant}/contacts/{contact}/join`: the other contact is this one's person too.
pub(crate) async fn join(call: &Call) -> Result<Answer, Problem> {
    let (into, other, author) = pair(call)?;
    let joined = store::join_contacts(call.tenant(), into, other, author, call.now).await;
    Ok(Answer::json(200, &json::contact(&joined.map_err(|e| answer::store(e, "other"))?)))
}

/// `POST /api/{tenant}/contacts/{contact}/separate`: undoes a join.
pub(crate) async fn separate(call: &Call) -> Result<Answer, Problem> {
    let (from, other, author) = pair(call)?;
    let separated = store::separate_contacts(call.tenant(), from, other, author, call.now).await;
    Ok(Answer::json(200, &json::contact(&separated.map_err(|e| answer::store(e, "other"))?)))
}

fn pair(call: &Call) -> Result<(String, String, String), Problem> {
    let members = call.members(&["other", "author"])?;
    let missing = || answer::invalid("other", "member \"other\" is missing: the id of a contact, as cases show it");
    Ok((call.param("contact"), members.text("other")?.ok_or_else(missing)?, members.author()?))
}
