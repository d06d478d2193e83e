//! A delivery is `entry[]`, each of one page or account, with `changes[]`, `messaging[]` or `standby[]`: every element is a
//! fact of its own.

use channel_sdk::batch::Batch;
use channel_sdk::json_access::{Pick, parse};
use channel_sdk::types::{Context, Event, Fetch, Fetched, Request, Translation};
use serde_json::Value;

use crate::instagram::{self, Lookup};
use crate::{messenger, page};

/// One delivery asks for no more than this; what is beyond is kept with its ids.
const MAX_FETCHES: usize = 10;

/// One element: an event, nothing anybody needs, or what is wrong with it.
pub(crate) type Read = Result<Option<Event>, &'static str>;

/// One account's part of a delivery.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    /// `page` or `instagram`.
    pub(crate) instagram: bool,
    /// Id of the page or Instagram account: ours.
    pub(crate) id: &'a str,
    /// As it came: the element itself carries no time in many cases.
    pub(crate) value: &'a Value,
}

/// What a verified delivery means, with what was fetched for it so far.
pub(crate) fn translate(request: &Request, context: &Context, fetched: &[Fetched]) -> Translation {
    let mut gather = Gather { batch: Batch::new(), wanted: Vec::new(), context, fetched };
    match parse(&request.body) {
        Err(problem) => gather.batch.problem("body", &problem),
        // Instagram's own examples show the document inside a list.
        Ok(Value::Array(documents)) => documents.iter().for_each(|document| gather.document(document)),
        Ok(document) => gather.document(&document),
    }
    if gather.wanted.is_empty() { gather.batch.finish() } else { Translation::Fetch(gather.wanted) }
}

struct Gather<'a> {
    batch: Batch,
    wanted: Vec<Fetch>,
    context: &'a Context,
    fetched: &'a [Fetched],
}

impl Gather<'_> {
    fn document(&mut self, body: &Value) {
        let instagram = match body.text("object").as_deref() {
            Some("page") => false,
            Some("instagram") => true,
            _ => {
                let problem = "is neither page nor instagram: subscribe only these products to this URL";
                return self.batch.problem("object", problem);
            }
        };
        if body.at("entry").as_array().is_none() {
            self.batch.problem("entry", "is not a list");
        }
        for (number, value) in body.items("entry").iter().enumerate() {
            let Some(id) = value.id("id") else {
                self.batch.problem(&format!("entry[{number}]"), "has no id");
                continue;
            };
            self.entry(Entry { instagram, id: &id, value }, number);
        }
    }

    fn entry(&mut self, entry: Entry<'_>, number: usize) {
        for list in ["changes", "messaging", "standby"] {
            let value = entry.value.at(list);
            if !(value.is_null() || value.is_array()) {
                self.batch.problem(&format!("entry[{number}].{list}"), "is not a list");
            }
            for (index, item) in entry.value.items(list).iter().enumerate() {
                let place = format!("entry[{number}].{list}[{index}]");
                match list {
                    "changes" => self.change(entry, item, &place),
                    _ => self.messaging(entry, item, list == "standby", &place),
                }
            }
        }
        // Instagram Login puts a change directly into the entry.
        if !entry.value.at("field").is_null() {
            self.change(entry, entry.value, &format!("entry[{number}]"));
        }
    }

    fn messaging(&mut self, entry: Entry<'_>, item: &Value, standby: bool, place: &str) {
        for read in messenger::read(entry, item, standby) {
            self.push(read, place);
        }
    }

    fn change(&mut self, entry: Entry<'_>, change: &Value, place: &str) {
        let Some(field) = change.text("field") else {
            return self.batch.problem(place, "has no field");
        };
        let value = change.at("value");
        let known = if entry.instagram { instagram::FIELDS } else { page::FIELDS };
        if messenger::FIELDS.contains(&field.as_str()) && value.at("sender").is_object() {
            return self.messaging(entry, value, false, place);
        }
        if !known.contains(&field.as_str()) {
            // An event type nobody needs here.
            return;
        }
        if !value.is_object() {
            return self.batch.problem(place, "has no value");
        }
        if !entry.instagram {
            return self.push(page::read(entry, &field, value), place);
        }
        let lookup = instagram::lookup(entry, &field, value, self.context);
        match lookup {
            Some(lookup) => self.looked_up(entry, &field, value, lookup, place),
            None => self.push(instagram::read(entry, &field, value, None), place),
        }
    }

    /// Only ids came: what they stand for is asked for once, and known in part if that fails.
    fn looked_up(&mut self, entry: Entry<'_>, field: &str, value: &Value, lookup: Lookup, place: &str) {
        let answer = match lookup {
            Lookup::Ask(fetch) => match self.fetched.iter().find(|fetched| fetched.id == fetch.id) {
                Some(fetched) => instagram::answer(fetched),
                None if self.wanted.len() < MAX_FETCHES => {
                    if !self.wanted.iter().any(|wanted| wanted.id == fetch.id) {
                        self.wanted.push(*fetch);
                    }
                    return;
                }
                None => Err("has only ids, and this delivery has too many of them to ask for each".to_owned()),
            },
            Lookup::Impossible(problem) => Err(problem.to_owned()),
        };
        match answer {
            Ok(document) => self.push(instagram::read(entry, field, value, Some(&document)), place),
            Err(problem) => {
                self.batch.problem(place, &problem);
                // Why nothing is known of it has been said.
                if let Ok(read) = instagram::read(entry, field, value, None) {
                    self.push(Ok(read), place);
                }
            }
        }
    }

    fn push(&mut self, read: Read, place: &str) {
        match read {
            Ok(Some(event)) => self.batch.push(event),
            Ok(None) => {}
            Err(problem) => self.batch.problem(place, problem),
        }
    }
}
