//! What the standard's answers say. Every member the standard has is there, empty where nothing is known: clients look for
//! them. Of a case there is what it is about, never who filed it.

use channel_sdk::json::format_instant;
use channel_sdk::language;
use channel_sdk::reference;
use channel_sdk::types::{
    AttributeDatatype, CaseStatus, Context, Instant, Localized, PublicCase, PublicUpdate, Service, ServiceAttribute,
    TenantProfile,
};

use crate::document::Node;
use crate::fault::Faults;
use crate::filing::MAX_DESCRIPTION;
use crate::question::Question;
use crate::redact;
use crate::wire::setting;

/// When this dialect was last changed: the standard has clients look here whether they must read the rest again.
const CHANGESET: &str = "2026-11-21T00:00:00Z";

/// <https://wiki.open311.org/Service_Discovery>.
pub(crate) fn discovery(context: &Context) -> Node {
    let is_test = setting(context, "endpoint_type").is_some_and(|kind| kind.eq_ignore_ascii_case("test"));
    let format = |media_type: &str| Node::text(media_type);
    let endpoint = Node::Record(vec![
        ("specification", Node::text("http://wiki.open311.org/GeoReport_v2")),
        ("url", Node::text(&context.public_url)),
        ("changeset", Node::text(CHANGESET)),
        ("type", Node::text(if is_test { "test" } else { "production" })),
        ("formats", Node::List("format", vec![format("text/xml"), format("application/json")])),
    ]);
    Node::Record(vec![
        ("changeset", Node::text(CHANGESET)),
        ("contact", Node::maybe(setting(context, "contact"))),
        ("key_service", Node::maybe(setting(context, "key_service"))),
        ("endpoints", Node::List("endpoint", vec![endpoint])),
    ])
}

fn words(texts: &[Localized], language: &str) -> Node {
    Node::maybe(language::pick(texts, language).map(|text| &text.text))
}

pub(crate) fn services(profile: &TenantProfile, language: &str) -> Node {
    let service = |service: &Service| {
        Node::Record(vec![
            ("service_code", Node::text(&service.code)),
            ("service_name", words(&service.name, language)),
            ("description", words(&service.description, language)),
            ("metadata", Node::Truth(!service.attributes.is_empty())),
            // An id is given at once.
            ("type", Node::text("realtime")),
            ("keywords", Node::text(service.keywords.join(","))),
            ("group", Node::maybe(service.group.as_ref())),
        ])
    };
    Node::List("service", profile.services.iter().map(service).collect())
}

pub(crate) fn definition(service: &Service, language: &str) -> Node {
    let attribute = |(order, attribute): (u32, &ServiceAttribute)| {
        let value =
            |(key, name): &(String, String)| Node::Record(vec![("key", Node::text(key)), ("name", Node::text(name))]);
        let mut members = vec![
            ("variable", Node::Truth(true)),
            ("code", Node::text(&attribute.code)),
            ("datatype", Node::text(datatype(attribute.datatype))),
            ("required", Node::Truth(attribute.required)),
            ("datatype_description", Node::maybe(attribute.datatype_description.as_ref())),
            ("order", Node::Whole(order)),
            ("description", words(&attribute.description, language)),
        ];
        if !attribute.values.is_empty() {
            members.push(("values", Node::List("value", attribute.values.iter().map(value).collect())));
        }
        Node::Record(members)
    };
    let attributes = (1..).zip(&service.attributes).map(attribute).collect();
    Node::Record(vec![("service_code", Node::text(&service.code)), ("attributes", Node::List("attribute", attributes))])
}

fn datatype(datatype: AttributeDatatype) -> &'static str {
    match datatype {
        AttributeDatatype::StringValue => "string",
        AttributeDatatype::Number => "number",
        AttributeDatatype::Datetime => "datetime",
        AttributeDatatype::Text => "text",
        AttributeDatatype::SingleValueList => "singlevaluelist",
        AttributeDatatype::MultiValueList => "multivaluelist",
    }
}

pub(crate) fn requests(cases: &[PublicCase], profile: &TenantProfile, language: &str) -> Node {
    Node::List("request", cases.iter().map(|case| request(case, profile, language)).collect())
}

fn request(case: &PublicCase, profile: &TenantProfile, language: &str) -> Node {
    let code = case.service_code.as_deref();
    let service = profile.services.iter().find(|service| code == Some(&service.code));
    let department = case.department.as_deref();
    let department = profile.departments.iter().find(|known| department == Some(&known.code));
    Node::Record(vec![
        ("service_request_id", Node::text(reference::format(&case.reference))),
        ("status", Node::text(status(case.status))),
        ("status_notes", Node::Absent),
        ("service_name", service.map_or(Node::Absent, |service| words(&service.name, language))),
        ("service_code", Node::maybe(code)),
        ("description", Node::maybe(case.description.as_deref().map(described))),
        ("agency_responsible", department.map_or(Node::Absent, |department| words(&department.name, language))),
        ("service_notice", Node::Absent),
        ("requested_datetime", time(case.opened_at)),
        ("updated_datetime", time(case.updated_at)),
        ("expected_datetime", Node::Absent),
        ("address", Node::maybe(case.address.as_ref())),
        ("address_id", Node::Absent),
        ("zipcode", Node::Absent),
        ("lat", case.location.map_or(Node::Absent, |place| Node::Degrees(place.lat))),
        ("long", case.location.map_or(Node::Absent, |place| Node::Degrees(place.long))),
        ("media_url", Node::maybe(case.media_urls.first())),
    ])
}

fn described(text: &str) -> String {
    redact::contacts(&text.chars().take(MAX_DESCRIPTION).collect::<String>())
}

/// The standard has two.
fn status(status: CaseStatus) -> &'static str {
    match status {
        CaseStatus::New | CaseStatus::Open | CaseStatus::Pending => "open",
        CaseStatus::Resolved | CaseStatus::Closed => "closed",
    }
}

/// Whole seconds: old clients read no fractions.
fn time(instant: Instant) -> Node {
    Node::text(format_instant(instant.div_euclid(1_000).saturating_mul(1_000)))
}

/// The extension <https://github.com/mysociety/fixmystreet/wiki/Open311-FMS>, oldest first.
pub(crate) fn updates(cases: &[PublicCase], question: &Question) -> Node {
    let mut updates: Vec<(Instant, &PublicCase, &PublicUpdate)> = Vec::new();
    // Cases come newest first, so that most updates are put at the end.
    for case in cases.iter().rev() {
        for update in &case.updates {
            let before = question.from.is_some_and(|from| update.at < from);
            let after = question.until.is_some_and(|until| update.at > until);
            if !before && !after {
                let place = updates.partition_point(|(at, _, _)| *at <= update.at);
                updates.insert(place, (update.at, case, update));
            }
        }
    }
    let update = |(_, case, update): (Instant, &PublicCase, &PublicUpdate)| {
        Node::Record(vec![
            ("update_id", Node::text(&update.id)),
            ("service_request_id", Node::text(reference::format(&case.reference))),
            ("status", Node::text(status(update.status))),
            ("external_status_code", Node::text(channel_sdk::json::case_status_name(update.status))),
            ("updated_datetime", time(update.at)),
            ("description", Node::Absent),
            ("media_url", Node::Absent),
        ])
    };
    Node::List("request_update", updates.into_iter().map(update).collect())
}

/// Of a request just filed: an id, or a token for one, never both.
pub(crate) fn filed(reference: Option<&str>, token: &str, notice: Option<&str>) -> Node {
    let id = match reference {
        Some(reference) => ("service_request_id", Node::text(reference)),
        None => ("token", Node::text(token)),
    };
    let request = Node::Record(vec![id, ("service_notice", Node::maybe(notice)), ("account_id", Node::Absent)]);
    Node::List("request", vec![request])
}

/// Of something just added: our id of it, or a token for one.
pub(crate) fn added(id: Option<&str>, token: &str) -> Node {
    let id = match id {
        Some(id) => ("update_id", Node::text(id)),
        None => ("token", Node::text(token)),
    };
    Node::List("request_update", vec![Node::Record(vec![id])])
}

pub(crate) fn token(token: &str, case: &PublicCase) -> Node {
    let request = Node::Record(vec![
        ("service_request_id", Node::text(reference::format(&case.reference))),
        ("token", Node::text(token)),
    ]);
    Node::List("request", vec![request])
}

pub(crate) fn errors(faults: &Faults) -> Node {
    let error = |fault: &crate::fault::Fault| {
        Node::Record(vec![("code", Node::Whole(fault.code.into())), ("description", Node::text(&fault.description))])
    };
    Node::List("error", faults.all().map(error).collect())
}
