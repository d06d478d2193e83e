//! The pages at the end: it is stored, with the reference; or it is not, and why.

use core::fmt::Write as _;

use channel_sdk::phrases::say;
use channel_sdk::time_zone::TimeZone;
use channel_sdk::types::{Receipt, Request};
use channel_sdk::{json, reference};

use crate::check;
use crate::html::{cut, escape};
use crate::page::Site;
use crate::wire::{self, Sent};

/// The page of somebody whose form is stored.
pub(crate) fn page(site: &Site<'_>, request: &Request, sent: Option<&Sent<'_>>, receipts: &[Receipt]) -> String {
    let words = site.words;
    let reference = receipts.iter().find_map(|receipt| receipt.case_reference.as_deref()).map(reference::format);
    let mut body = format!("<div class=\"done\">\n<h1>{}</h1>\n", escape(words.received));
    match &reference {
        Some(reference) => {
            let _ = writeln!(
                body,
                "<p class=\"label\">{}</p>\n<p class=\"reference\"><strong>{}</strong></p>\n<p>{}</p>",
                escape(words.reference),
                escape(reference),
                escape(words.keep_reference)
            );
        }
        None => {
            let _ = writeln!(body, "<p>{}</p>", escape(words.held));
        }
    }
    let _ = writeln!(body, "<p class=\"hint\">{}</p>\n</div>", received_at(site, request));
    body.push_str(&next(site, sent, reference.is_some()));
    if let Some(sent) = sent {
        body.push_str(&what_was_sent(site, sent));
    }
    let _ = writeln!(
        body,
        "<p class=\"after\"><button type=\"button\" class=\"quiet\" id=\"print\" hidden>{}</button> <a href=\"{}?lang={}\">{}</a></p>",
        escape(words.print),
        site.path(),
        words.tag,
        escape(words.again)
    );
    site.page(words.received, &body, false)
}

/// Date and time where the administration is.
fn received_at(site: &Site<'_>, request: &Request) -> String {
    let zone = TimeZone::parse(&site.context.profile.time_zone).unwrap_or(TimeZone::UTC);
    let offset = zone.offset_at(request.received_at.div_euclid(1000));
    let local = json::format_instant(request.received_at.saturating_add(offset * 1000));
    let part = |from, to| local.get(from..to).unwrap_or_default();
    let (year, month, day) = (part(0, 4), part(5, 7), part(8, 10));
    // Basque writes the year first.
    let date = if site.words.tag == "eu" { format!("{year}/{month}/{day}") } else { format!("{day}/{month}/{year}") };
    escape(&say(site.words.received_at, &[&date, part(11, 16)]))
}

fn next(site: &Site<'_>, sent: Option<&Sent<'_>>, has_reference: bool) -> String {
    let words = site.words;
    let has_contact = sent.is_none_or(|sent| sent.get(wire::EMAIL).is_some() || sent.get(wire::PHONE).is_some());
    let mut steps = vec![escape(words.next_read)];
    if has_contact {
        steps.push(escape(words.next_answer));
    } else if has_reference {
        steps.push(escape(words.next_no_contact));
    }
    if has_reference {
        steps.push(escape(words.next_ask));
        if let Some(url) = site.link("status") {
            steps.push(format!("<a href=\"{url}\">{}</a>", escape(words.status_page)));
        }
    }
    let steps: String = steps.iter().map(|step| format!("<li>{step}</li>\n")).collect();
    format!("<section>\n<h2>{}</h2>\n<ol>\n{steps}</ol>\n</section>\n", escape(words.next))
}

fn what_was_sent(site: &Site<'_>, sent: &Sent<'_>) -> String {
    let words = site.words;
    let mut rows = String::new();
    let mut row = |label: &str, value: &str| {
        if !value.is_empty() {
            let _ = write!(rows, "<div>\n<dt>{}</dt>\n<dd>{value}</dd>\n</div>\n", escape(label));
        }
    };
    let written = |name: &str| sent.get(name).map(|value| escape(cut(value, 64 * 1024))).unwrap_or_default();
    if let Some(service) = check::service(sent, &site.context.profile) {
        row(words.service, &site.told(&service.name).unwrap_or_else(|| escape(&service.code)));
        for attribute in &service.attributes {
            let name = wire::attribute(&attribute.code);
            let label_of = |key: &str| {
                let known = attribute.values.iter().find(|(known, _)| known == key);
                escape(known.map_or(key, |(_, label)| label))
            };
            let answers: Vec<String> = sent.all(&name).map(label_of).collect();
            row(check::question(attribute, words), &answers.join(", "));
        }
    }
    row(words.text, &written(wire::TEXT));
    row(words.address, &written(wire::ADDRESS));
    if sent.get(wire::LAT).is_some() {
        row(words.coordinates, &format!("{}; {}", written(wire::LAT), written(wire::LONG)));
    }
    let photos: Vec<String> =
        sent.photos.iter().take(wire::MAX_PHOTOS).map(|file| escape(cut(&file.name, 200))).collect();
    row(words.sent_photos, &photos.join(", "));
    row(words.name, &written(wire::NAME));
    row(words.email, &written(wire::EMAIL));
    row(words.phone, &written(wire::PHONE));
    if rows.is_empty() {
        return rows;
    }
    format!("<section>\n<h2>{}</h2>\n<dl>\n{rows}</dl>\n</section>\n", escape(words.sent))
}

/// A page for what can't be shown as a form again.
pub(crate) fn failure(site: &Site<'_>, message: &str) -> String {
    let words = site.words;
    let body = format!(
        "<div class=\"errors\" role=\"alert\">\n<h1>{}</h1>\n<p><a href=\"{}?lang={}\">{}</a></p>\n</div>\n",
        escape(message),
        site.path(),
        words.tag,
        escape(words.to_form)
    );
    site.page(words.error, &body, false)
}
