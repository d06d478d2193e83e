//! Answers: where a call goes, as Kamailio's `rtjson` module reads it, and receipts for everything else.

use channel_sdk::reference;
use channel_sdk::refusal;
use channel_sdk::time;
use channel_sdk::types::{Context, Department, Outcome, Receipt, Request, Response};
use serde_json::{Value, json};

use crate::wire::{Report, What, setting};

pub(crate) fn acknowledge(request: &Request, outcome: &Outcome, context: &Context) -> Response {
    match outcome {
        Outcome::Accepted(receipts) | Outcome::Quarantined(receipts) => {
            answer(200, &body(request, receipts, context), None)
        }
        Outcome::Refused(refused) => refusal::response(refused, "POST"),
        // The proxy then takes its own fallback.
        Outcome::Unavailable(seconds) => answer(503, &json!({"error": "unavailable"}), Some(*seconds)),
        // Answers to public questions, which no proxy asks.
        Outcome::Found(_) => answer(200, &json!({}), None),
    }
}

fn answer(status: u16, body: &Value, retry_after: Option<u32>) -> Response {
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    if let Some(seconds) = retry_after {
        headers.push(("retry-after".into(), seconds.to_string()));
    }
    Response { status, headers, body: body.to_string().into_bytes() }
}

fn body(request: &Request, receipts: &[Receipt], context: &Context) -> Value {
    let reference = receipts.iter().find_map(|receipt| receipt.case_reference.as_deref());
    match Report::read(request) {
        Ok(report) if report.what == What::Invite => {
            let is_open = time::is_open(&context.profile, request.received_at);
            routing(report.department(context), is_open, reference, context)
        }
        _ => match reference.and_then(shown) {
            Some(reference) => json!({"ok": true, "reference": reference}),
            None => json!({"ok": true}),
        },
    }
}

/// Open: the department, then the fallback. Closed, or nobody to ring: the announcement. Nothing configured: no route, and the
/// proxy takes its own fallback.
fn routing(department: Option<&Department>, is_open: bool, reference: Option<&str>, context: &Context) -> Value {
    let telephone = department.filter(|_| is_open).and_then(|department| telephone(department, context));
    let mut targets: Vec<String> = telephone.into_iter().collect();
    let last = if is_open { ["fallback_uri", "announcement_uri"] } else { ["announcement_uri", "fallback_uri"] };
    targets.extend(last.into_iter().find_map(|name| setting(context, name)).map(str::to_owned));
    targets.dedup();
    let seconds: u32 = setting(context, "ring_timeout_s").and_then(|value| value.parse().ok()).unwrap_or(25);
    let extra = reference.and_then(shown).map(|reference| format!("X-Case-Reference: {reference}\r\n"));
    let routes: Vec<Value> = targets
        .into_iter()
        .map(|uri| {
            let mut route = json!({"uri": uri, "fr_inv_timer": seconds.clamp(5, 180) * 1000});
            if let (Some(extra), Some(members)) = (&extra, route.as_object_mut()) {
                members.insert("headers".into(), json!({"extra": extra}));
            }
            route
        })
        .collect();
    json!({"version": "1.0", "routing": "serial", "routes": routes})
}

/// A reference in groups. Nothing but digits may get into a SIP header.
fn shown(reference: &str) -> Option<String> {
    let bare: String = reference.chars().filter(|character| *character != '-').collect();
    bare.bytes().all(|byte| byte.is_ascii_digit()).then(|| reference::format(&bare)).filter(|shown| !shown.is_empty())
}

/// A department's SIP URI, or its number behind the operator's gateway to the telephone network.
fn telephone(department: &Department, context: &Context) -> Option<String> {
    if let Some(sip) = &department.sip {
        return Some(if sip.contains(':') { sip.clone() } else { format!("sip:{sip}") });
    }
    let (phone, gateway) = (department.phone.as_ref()?, setting(context, "gateway_host")?);
    Some(format!("sip:{phone}@{gateway};user=phone"))
}
