//! What anybody may ask, as a look-up among public cases.

use channel_sdk::reference;
use channel_sdk::time;
use channel_sdk::types::{CaseStatus, Instant, Lookup, TenantProfile};

use crate::fault::{Fault, Faults};
use crate::wire::{Parameters, Resource};

const DAY: i64 = 86_400_000;
/// "May not span more than 90 days."
const MAX_SPAN: i64 = 90 * DAY;
/// "The first 1000", and the most that is looked up at once.
const MAX_FOUND: u32 = 1_000;
const MAX_IDS: usize = 100;
/// Stands for no case: what is asked is in the profile.
const NO_CASE: &str = "none";

/// A question, and what of it the look-up does not answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub(crate) resource: Resource,
    pub(crate) lookup: Lookup,
    pub(crate) page: Page,
    /// Of updates.
    pub(crate) from: Option<Instant>,
    pub(crate) until: Option<Instant>,
    /// Whether something is asked for by name, so that nothing found is a 404.
    pub(crate) by_name: bool,
}

/// The extension `page`, `page_size` of most servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// From 1.
    pub(crate) number: u32,
    pub(crate) size: u32,
    /// Whether the client has said a size: then it is not cut to another.
    pub(crate) chosen: bool,
}

impl Page {
    /// How many come before it.
    pub(crate) fn skipped(self) -> usize {
        (self.number.saturating_sub(1) as usize).saturating_mul(self.size as usize)
    }
}

impl Question {
    pub(crate) fn read(
        resource: Resource,
        parameters: &Parameters<'_>,
        now: Instant,
        profile: &TenantProfile,
    ) -> Result<Self, Faults> {
        let page = Page { number: 1, size: MAX_FOUND, chosen: false };
        let mut question = Self { resource, lookup: nothing(), page, from: None, until: None, by_name: false };
        match &question.resource {
            Resource::Discovery | Resource::Services => question.lookup.references.push(NO_CASE.into()),
            Resource::Service(code) => {
                if !profile.services.iter().any(|service| service.code == *code) {
                    return Err(Fault::unknown("service_code is not known").into());
                }
                question.lookup.references.push(NO_CASE.into());
            }
            Resource::Request(id) => {
                let id = reference::parse(id).map_err(|_| Fault::unknown("service_request_id is not known"))?;
                question.name(vec![id]);
            }
            // An id is given at once, so a token is one.
            Resource::Token(token) => {
                let id = reference::parse(token).map_err(|_| Fault::unknown("the token is not known"))?;
                question.name(vec![id]);
            }
            Resource::Requests => question.requests(parameters, now, profile)?,
            Resource::Updates => question.updates(parameters, now)?,
        }
        Ok(question)
    }

    fn name(&mut self, references: Vec<String>) {
        self.by_name = true;
        self.lookup.limit = u32::try_from(references.len()).unwrap_or(MAX_FOUND).clamp(1, MAX_FOUND);
        self.lookup.references = references;
    }

    fn requests(&mut self, parameters: &Parameters<'_>, now: Instant, profile: &TenantProfile) -> Result<(), Faults> {
        // "This overrides all other arguments."
        if let Some(ids) = ids(parameters)? {
            self.name(ids);
            return Ok(());
        }
        let mut faults = Vec::new();
        self.lookup.service_codes = parameters.list("service_code").map(str::to_owned).collect();
        let codes = &self.lookup.service_codes;
        // Cases of a service that is no longer offered are found still.
        self.by_name =
            !codes.is_empty() && !codes.iter().any(|code| profile.services.iter().any(|known| known.code == *code));
        for word in parameters.list("status") {
            match word.to_ascii_lowercase().as_str() {
                "open" => self.lookup.statuses.extend([CaseStatus::New, CaseStatus::Open, CaseStatus::Pending]),
                "closed" => self.lookup.statuses.extend([CaseStatus::Resolved, CaseStatus::Closed]),
                _ => faults.push(Fault::bad("status is neither open nor closed")),
            }
        }
        let mut instant = |name| {
            date(parameters, name).unwrap_or_else(|fault| {
                faults.push(fault);
                None
            })
        };
        let (start, end) = (instant("start_date"), instant("end_date").map(whole_second));
        // An extension of several servers: follow what has changed since the last time.
        self.lookup.updated_from = instant("updated_after");
        self.lookup.updated_until = instant("updated_before").map(whole_second);
        match (start, end) {
            (Some(start), Some(end)) if start > end => faults.push(Fault::bad("start_date is after end_date")),
            (Some(start), Some(end)) if end.saturating_sub(start) >= MAX_SPAN.saturating_add(1_000) => {
                faults.push(Fault::bad("start_date and end_date are more than 90 days apart"));
            }
            (None, None) if self.lookup.updated_from.is_some() || self.lookup.updated_until.is_some() => {}
            (start, end) => {
                self.lookup.opened_from = start.or_else(|| Some(end.unwrap_or(now).saturating_sub(MAX_SPAN)));
                self.lookup.opened_until = end.or_else(|| start.map(|start| start.saturating_add(MAX_SPAN)));
            }
        }
        match page(parameters) {
            Ok(page) => self.page = page,
            Err(fault) => faults.push(fault),
        }
        // One more says whether there is another page.
        let wanted = self.page.number.saturating_mul(self.page.size).saturating_add(1);
        self.lookup.limit = wanted.clamp(1, MAX_FOUND);
        Faults::of(faults).map_or(Ok(()), Err)
    }

    fn updates(&mut self, parameters: &Parameters<'_>, now: Instant) -> Result<(), Faults> {
        let (start, end) = (date(parameters, "start_date")?, date(parameters, "end_date")?.map(whole_second));
        if start.zip(end).is_some_and(|(start, end)| start > end) {
            return Err(Fault::bad("start_date is after end_date").into());
        }
        let ids = ids(parameters)?;
        let start = start.or_else(|| ids.is_none().then(|| end.unwrap_or(now).saturating_sub(MAX_SPAN)));
        (self.from, self.until) = (start, end);
        // A case with an update in the window has not been changed before it.
        self.lookup.updated_from = start;
        match ids {
            Some(ids) => self.name(ids),
            None => self.lookup.limit = MAX_FOUND,
        }
        Ok(())
    }

    /// Whether there may be more than was looked up.
    pub(crate) fn is_full(&self, found: usize) -> bool {
        !self.by_name && found >= MAX_FOUND as usize
    }
}

fn nothing() -> Lookup {
    Lookup {
        references: Vec::new(),
        service_codes: Vec::new(),
        statuses: Vec::new(),
        opened_from: None,
        opened_until: None,
        updated_from: None,
        updated_until: None,
        limit: 1,
    }
}

/// The ids asked for; none if none are named. What is no id is unknown, which is not "no condition".
fn ids(parameters: &Parameters<'_>) -> Result<Option<Vec<String>>, Fault> {
    let mut named = parameters.list("service_request_id").peekable();
    if named.peek().is_none() {
        return Ok(None);
    }
    let mut ids: Vec<String> = Vec::new();
    for id in named.filter_map(|id| reference::parse(id).ok()) {
        if ids.len() == MAX_IDS {
            return Err(Fault::bad("more than 100 service_request_id at once"));
        }
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.is_empty() {
        return Err(Fault::unknown("service_request_id is not known"));
    }
    Ok(Some(ids))
}

fn page(parameters: &Parameters<'_>) -> Result<Page, Fault> {
    let number = |name: &str| match parameters.first(name) {
        None => Ok(None),
        Some(text) => match text.parse::<u32>() {
            Ok(number) if (1..=MAX_FOUND).contains(&number) => Ok(Some(number)),
            _ => Err(Fault::bad(format!("{name} must be a number from 1 to 1000"))),
        },
    };
    let (page, size) = (number("page")?, number("page_size")?);
    let number = page.unwrap_or(1);
    let page = Page { number, size: size.unwrap_or(if number == 1 { MAX_FOUND } else { 50 }), chosen: size.is_some() };
    if page.number.saturating_mul(page.size) > MAX_FOUND {
        return Err(Fault::bad("pages reach the first 1000 requests; go on with an earlier end_date"));
    }
    Ok(page)
}

/// A W3C date and time (<https://www.w3.org/TR/NOTE-datetime>). A date alone begins at midnight UTC.
fn date(parameters: &Parameters<'_>, name: &str) -> Result<Option<Instant>, Fault> {
    let Some(text) = parameters.first(name) else { return Ok(None) };
    // A plus sign that was not encoded has become a space.
    let text = text.replace(' ', "+");
    let read = time::rfc3339(&text).or_else(|| time::rfc3339(&format!("{text}T00:00:00Z")));
    read.map(Some).ok_or_else(|| Fault::bad(format!("{name} must be a time such as 2026-11-21T10:00:00Z")))
}

/// Times are shown in whole seconds, so the last one counts to its end.
fn whole_second(instant: Instant) -> Instant {
    if instant.rem_euclid(1_000) == 0 { instant.saturating_add(999) } else { instant }
}
