//! `/api/{tenant}/cases…`: what staff do with a case.

use crate::answer::{self, Answer, Problem};
use crate::bindings::cases::{self as store, CaseDetail, Query, Update};
use crate::call::{Call, Members};
use crate::json;
use channel_sdk::json::{case_status_name, parse_case_status};
use channel_sdk::types::CaseStatus;
use serde_json::json;

/// `GET /api/{tenant}/cases`
pub(crate) async fn search(call: &Call) -> Result<Answer, Problem> {
    let query = Query {
        status: call.query.get("status").map(status).transpose()?,
        channel: call.query.get("channel").map(str::to_owned),
        q: call.query.get("q").map(str::to_owned),
    };
    let page = store::search(call.tenant(), query, call.page()?).await.map_err(|e| answer::store(e, "after"))?;
    let items = page.cases.iter().map(json::case).collect();
    Ok(Answer::json(200, &json::list("cases", items, page.next)))
}

/// `GET /api/{tenant}/cases/{reference}`
pub(crate) async fn get(call: &Call) -> Result<Answer, Problem> {
    let (_, detail) = existing(call).await?;
    Ok(Answer::json(200, &json::case_detail(&detail)))
}

/// `PATCH /api/{tenant}/cases/{reference}`
pub(crate) async fn change(call: &Call) -> Result<Answer, Problem> {
    const MEMBERS: [&str; 5] = ["status", "department", "assignee", "priority", "author"];
    let members = call.members(&MEMBERS)?;
    let author = members.author()?;
    let changes = Update {
        status: members.text("status")?.as_deref().map(status).transpose()?,
        department: members.text("department")?,
        assignee: members.text("assignee")?,
        priority: members.number("priority", 1..=5)?,
    };
    if changes.status.is_none()
        && changes.department.is_none()
        && changes.assignee.is_none()
        && changes.priority.is_none()
    {
        return Err(answer::invalid("body", "nothing to change; give status, department, assignee or priority"));
    }
    let (reference, _) = existing(call).await?;
    let case = store::change(call.tenant(), reference, changes, author, call.now)
        .await
        .map_err(|e| answer::store(e, "body"))?;
    Ok(Answer::json(200, &json::case(&case)))
}

/// `POST /api/{tenant}/cases/{reference}/notes`
pub(crate) async fn add_note(call: &Call) -> Result<Answer, Problem> {
    let (text, author) = prose(call)?;
    let (reference, _) = existing(call).await?;
    let note = store::add_note(call.tenant(), reference, text, author, call.now)
        .await
        .map_err(|e| answer::store(e, "text"))?;
    Ok(Answer::json(201, &json::note(&note)))
}

/// `POST /api/{tenant}/cases/{reference}/replies`: accepted, not yet sent.
pub(crate) async fn reply(call: &Call) -> Result<Answer, Problem> {
    let (text, author) = prose(call)?;
    let (reference, _) = existing(call).await?;
    let id =
        store::reply(call.tenant(), reference, text, author, call.now).await.map_err(|e| answer::store(e, "text"))?;
    Ok(Answer::json(202, &json!({"id": id})))
}

/// `POST /api/{tenant}/cases/{reference}/tasks/{task}/complete`
pub(crate) async fn complete_task(call: &Call) -> Result<Answer, Problem> {
    let author = call.members(&["author"])?.author()?;
    let (reference, detail) = existing(call).await?;
    let task = call.param("task");
    if !detail.summary.open_tasks.iter().any(|open| open.id == task) {
        return Err(answer::not_found(
            "no-such-task",
            "this case has no open task of that id; its open tasks are in its JSON",
        ));
    }
    let case = store::complete_task(call.tenant(), reference, task, author, call.now)
        .await
        .map_err(|e| answer::store(e, "task"))?;
    Ok(Answer::json(200, &json::case(&case)))
}

/// The case of the path with its bare reference.
async fn existing(call: &Call) -> Result<(String, CaseDetail), Problem> {
    let reference = call.reference()?;
    match store::get(call.tenant(), reference.clone()).await {
        Ok(Some(detail)) => Ok((reference, detail)),
        Ok(None) => Err(answer::not_found("no-such-case", "this tenant has no case of that reference")),
        Err(error) => Err(answer::store(error, "reference")),
    }
}

fn prose(call: &Call) -> Result<(String, String), Problem> {
    let members: Members = call.members(&["text", "author"])?;
    Ok((members.prose("text")?, members.author()?))
}

fn status(name: &str) -> Result<CaseStatus, Problem> {
    parse_case_status(name).ok_or_else(|| {
        let all = [CaseStatus::New, CaseStatus::Open, CaseStatus::Pending, CaseStatus::Resolved, CaseStatus::Closed];
        let names: Vec<&str> = all.into_iter().map(case_status_name).collect();
        answer::invalid("status", format!("there is no status {name:?}; there are {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_status_is_refused_with_the_known_ones() {
        assert_eq!(status("pending").unwrap(), CaseStatus::Pending);
        let problem = status("done").unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("status"));
        assert!(problem.detail.contains("new, open, pending, resolved, closed"), "{}", problem.detail);
    }
}
