//! A tenant's profile as JSON: the file of `ventanilla tenant apply`.

use serde_json::{Map, Value, json};

use super::read::{JsonError, Reader};
use crate::types::{AttributeDatatype, Department, Link, Localized, Opening, Service, ServiceAttribute, TenantProfile};

const DATATYPES: [(AttributeDatatype, &str); 6] = [
    (AttributeDatatype::StringValue, "string"),
    (AttributeDatatype::Number, "number"),
    (AttributeDatatype::Datetime, "datetime"),
    (AttributeDatatype::Text, "text"),
    (AttributeDatatype::SingleValueList, "singlevaluelist"),
    (AttributeDatatype::MultiValueList, "multivaluelist"),
];

/// The profile as JSON, member for member as in `wit/channel/types.wit`, in snake case.
pub fn profile(profile: &TenantProfile) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |name: &str, value: Value| {
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !empty {
            out.insert(name.to_owned(), value);
        }
    };
    put("tenant", profile.tenant.as_str().into());
    put("name", profile.name.as_str().into());
    put("languages", json!(profile.languages));
    put("greeting", localized(&profile.greeting));
    put("announcement", localized(&profile.announcement));
    put("departments", profile.departments.iter().map(department).collect());
    put("services", profile.services.iter().map(service).collect());
    put("time_zone", profile.time_zone.as_str().into());
    put(
        "opening_hours",
        profile
            .opening_hours
            .iter()
            .map(|opening| json!({"weekday": opening.weekday, "opens": clock(opening.opens), "closes": clock(opening.closes)}))
            .collect(),
    );
    put("links", profile.links.iter().map(|link| json!({"rel": link.rel, "url": link.url})).collect());
    put("acknowledge", if profile.acknowledge { true.into() } else { Value::Null });
    out
}

/// Reads a profile.
///
/// # Errors
///
/// A member that is unknown, missing or ill-typed, by its path; a digit, weekday or time out of range; a code used twice.
pub fn parse_profile(value: &Value) -> Result<TenantProfile, JsonError> {
    let mut members = Reader::new("", value)?;
    let read = TenantProfile {
        tenant: members.required("tenant")?,
        name: members.required("name")?,
        languages: members.strings("languages")?,
        greeting: members.list("greeting", parse_localized)?,
        announcement: members.list("announcement", parse_localized)?,
        departments: members.list("departments", parse_department)?,
        services: members.list("services", parse_service)?,
        time_zone: members.string("time_zone")?.unwrap_or_else(|| "UTC0".to_owned()),
        opening_hours: members.list("opening_hours", parse_opening)?,
        links: members.list("links", |path, value| {
            let mut link = Reader::new(path, value)?;
            let read = Link { rel: link.required("rel")?, url: link.required("url")? };
            link.finish()?;
            Ok(read)
        })?,
        acknowledge: members.boolean("acknowledge")?,
    };
    if !is_code(&read.tenant) {
        return Err(members.error("tenant", "must be lower-case letters, digits and dashes: it is part of every URL"));
    }
    if read.languages.is_empty() {
        return Err(members.error("languages", "needs at least one language, the default first, e.g. [\"es\"]"));
    }
    // An unknown one would be taken for UTC, and a town would open an hour or two late.
    if !crate::time::is_time_zone(&read.time_zone) {
        let problem = format!(
            "{:?} is no POSIX TZ rule: write CET-1CEST,M3.5.0,M10.5.0/3 for Madrid, UTC0 for UTC",
            read.time_zone
        );
        return Err(members.error("time_zone", problem));
    }
    unique(&members, "departments", read.departments.iter().map(|department| department.code.as_str()))?;
    unique(&members, "departments", read.departments.iter().filter_map(|department| department.digit.as_deref()))?;
    unique(&members, "services", read.services.iter().map(|service| service.code.as_str()))?;
    for service in &read.services {
        if let Some(wanted) = &service.department
            && !read.departments.iter().any(|department| department.code == *wanted)
        {
            return Err(members.error("services", format!("{}: there is no department {wanted:?}", service.code)));
        }
    }
    members.finish()?;
    Ok(read)
}

/// Whether a text may be a tenant's, department's or connector's code.
pub fn is_code(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn unique<'a>(members: &Reader, member: &str, codes: impl Iterator<Item = &'a str>) -> Result<(), JsonError> {
    let mut seen = std::collections::BTreeSet::new();
    for code in codes {
        if !seen.insert(code) {
            return Err(members.error(member, format!("{code:?} stands there twice")));
        }
    }
    Ok(())
}

fn localized(texts: &[Localized]) -> Value {
    texts.iter().map(|entry| json!({"language": entry.language, "text": entry.text})).collect()
}

fn parse_localized(path: String, value: &Value) -> Result<Localized, JsonError> {
    let mut members = Reader::new(path, value)?;
    let read = Localized { language: members.required("language")?, text: members.required("text")? };
    members.finish()?;
    Ok(read)
}

fn department(department: &Department) -> Value {
    let mut out = Map::new();
    out.insert("code".into(), department.code.as_str().into());
    out.insert("name".into(), localized(&department.name));
    for (name, value) in [("digit", &department.digit), ("phone", &department.phone), ("sip", &department.sip)] {
        if let Some(value) = value {
            out.insert(name.into(), value.as_str().into());
        }
    }
    if !department.keywords.is_empty() {
        out.insert("keywords".into(), localized(&department.keywords));
    }
    Value::Object(out)
}

fn parse_department(path: String, value: &Value) -> Result<Department, JsonError> {
    let mut members = Reader::new(path, value)?;
    let read = Department {
        code: members.required("code")?,
        name: members.list("name", parse_localized)?,
        digit: members.string("digit")?,
        keywords: members.list("keywords", parse_localized)?,
        phone: members.string("phone")?,
        sip: members.string("sip")?,
    };
    if !is_code(&read.code) {
        return Err(members.error("code", "must be lower-case letters, digits and dashes"));
    }
    if read.name.is_empty() {
        return Err(members.error("name", "needs at least one language"));
    }
    if read.digit.as_deref().is_some_and(|digit| !matches!(digit.as_bytes(), [b'1'..=b'9'])) {
        return Err(members.error("digit", "must be one digit from 1 to 9 (0, * and # have fixed meanings)"));
    }
    members.finish()?;
    Ok(read)
}

fn service(service: &Service) -> Value {
    let mut out = Map::new();
    out.insert("code".into(), service.code.as_str().into());
    out.insert("name".into(), localized(&service.name));
    if !service.description.is_empty() {
        out.insert("description".into(), localized(&service.description));
    }
    for (name, value) in [("group", &service.group), ("department", &service.department)] {
        if let Some(value) = value {
            out.insert(name.into(), value.as_str().into());
        }
    }
    if !service.keywords.is_empty() {
        out.insert("keywords".into(), json!(service.keywords));
    }
    if service.place_required {
        out.insert("place_required".into(), true.into());
    }
    if !service.attributes.is_empty() {
        out.insert("attributes".into(), service.attributes.iter().map(attribute).collect());
    }
    Value::Object(out)
}

fn parse_service(path: String, value: &Value) -> Result<Service, JsonError> {
    let mut members = Reader::new(path, value)?;
    let read = Service {
        code: members.required("code")?,
        name: members.list("name", parse_localized)?,
        description: members.list("description", parse_localized)?,
        group: members.string("group")?,
        keywords: members.strings("keywords")?,
        department: members.string("department")?,
        place_required: members.boolean("place_required")?,
        attributes: members.list("attributes", parse_attribute)?,
    };
    if read.code.is_empty() {
        return Err(members.error("code", "must not be empty"));
    }
    if read.name.is_empty() {
        return Err(members.error("name", "needs at least one language"));
    }
    unique(&members, "attributes", read.attributes.iter().map(|attribute| attribute.code.as_str()))?;
    members.finish()?;
    Ok(read)
}

fn attribute(attribute: &ServiceAttribute) -> Value {
    let datatype = DATATYPES.iter().find(|(known, _)| *known == attribute.datatype).map_or("string", |(_, name)| name);
    let mut out = Map::new();
    out.insert("code".into(), attribute.code.as_str().into());
    out.insert("datatype".into(), datatype.into());
    if attribute.required {
        out.insert("required".into(), true.into());
    }
    out.insert("description".into(), localized(&attribute.description));
    if let Some(text) = &attribute.datatype_description {
        out.insert("datatype_description".into(), text.as_str().into());
    }
    if !attribute.values.is_empty() {
        let values = attribute.values.iter().map(|(key, name)| json!({"key": key, "name": name})).collect();
        out.insert("values".into(), values);
    }
    Value::Object(out)
}

fn parse_attribute(path: String, value: &Value) -> Result<ServiceAttribute, JsonError> {
    let mut members = Reader::new(path, value)?;
    let name = members.required("datatype")?;
    let Some((datatype, _)) = DATATYPES.iter().find(|(_, known)| *known == name) else {
        let known: Vec<_> = DATATYPES.iter().map(|(_, name)| *name).collect();
        return Err(members.error("datatype", format!("there is no datatype {name:?}; there are {}", known.join(", "))));
    };
    let read = ServiceAttribute {
        code: members.required("code")?,
        datatype: *datatype,
        required: members.boolean("required")?,
        description: members.list("description", parse_localized)?,
        datatype_description: members.string("datatype_description")?,
        values: members.list("values", |path, value| {
            let mut pair = Reader::new(path, value)?;
            let read = (pair.required("key")?, pair.required("name")?);
            pair.finish()?;
            Ok(read)
        })?,
    };
    members.finish()?;
    Ok(read)
}

fn parse_opening(path: String, value: &Value) -> Result<Opening, JsonError> {
    let mut members = Reader::new(path, value)?;
    let weekday = members.whole("weekday")?.filter(|day| (1..=7).contains(day));
    let weekday = weekday.ok_or_else(|| members.error("weekday", "must be 1 (Monday) to 7 (Sunday)"))?;
    let mut time = |member| {
        let text = members.required(member)?;
        parse_clock(&text)
            .ok_or_else(|| members.error(member, format!("must be a time from 00:00 to 24:00, is {text:?}")))
    };
    let (opens, closes) = (time("opens")?, time("closes")?);
    if opens >= closes {
        return Err(members.error("closes", "must be after opens; write an interval over midnight as two"));
    }
    members.finish()?;
    Ok(Opening { weekday, opens, closes })
}

fn clock(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn parse_clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= 1440).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        json!({
            "tenant": "vilanova", "name": "Ajuntament de Vilanova", "languages": ["ca", "es"],
            "greeting": [{"language": "ca", "text": "Bon dia"}],
            "departments": [
                {"code": "waste", "name": [{"language": "ca", "text": "Residus"}], "digit": "1",
                 "keywords": [{"language": "ca", "text": "brossa"}], "phone": "+34930000000", "sip": "sip:waste@example.org"},
            ],
            "services": [
                {"code": "001", "name": [{"language": "ca", "text": "Fanal"}], "group": "street", "department": "waste",
                 "place_required": true, "keywords": ["llum"],
                 "attributes": [{"code": "pole", "datatype": "singlevaluelist", "required": true,
                                 "description": [{"language": "ca", "text": "Tipus"}],
                                 "values": [{"key": "1", "name": "Fusta"}]}]},
            ],
            "time_zone": "CET-1CEST,M3.5.0,M10.5.0/3",
            "opening_hours": [{"weekday": 1, "opens": "08:30", "closes": "24:00"}],
            "links": [{"rel": "status", "url": "https://example.org"}],
            "acknowledge": true,
        })
    }

    #[test]
    fn a_profile_survives_the_way_there_and_back() {
        let read = parse_profile(&sample()).unwrap();
        assert_eq!(Value::Object(profile(&read)), sample());
    }

    #[test]
    fn faults_are_named_by_their_place() {
        let broken = |pointer: &str, value: Value| {
            let mut document = sample();
            *document.pointer_mut(pointer).unwrap() = value;
            parse_profile(&document).unwrap_err().to_string()
        };
        assert!(broken("/tenant", json!("Vila Nova")).starts_with("tenant: must be lower-case"));
        assert!(broken("/departments/0/digit", json!("0")).starts_with("departments[0].digit: must be one digit"));
        assert!(
            broken("/departments/0/code", json!(7)).starts_with("departments[0].code: must be a string, is a number")
        );
        assert!(broken("/services/0/department", json!("parks")).contains("there is no department \"parks\""));
        assert!(broken("/opening_hours/0/opens", json!("25:00")).starts_with("opening_hours[0].opens: must be a time"));
        assert!(
            broken("/services/0/attributes/0/datatype", json!("colour")).contains("there is no datatype \"colour\"")
        );
        assert!(broken("/languages", json!([])).starts_with("languages: needs at least one"));
        assert!(
            broken("/time_zone", json!("Europe/Madrid"))
                .starts_with("time_zone: \"Europe/Madrid\" is no POSIX TZ rule")
        );
    }
}
