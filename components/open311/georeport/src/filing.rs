//! A request as it is filed: everything the standard lets us refuse is refused here, before anything is stored.

use channel_sdk::forms;
use channel_sdk::language;
use channel_sdk::time;
use channel_sdk::types::{AttributeDatatype, Instant, Location, Service, ServiceAttribute, TenantProfile};

use crate::fault::{Fault, Faults};
use crate::wire::Parameters;

/// "This may not be greater than 4,000 characters."
pub(crate) const MAX_DESCRIPTION: usize = 4_000;
/// The store keeps no more of a list.
const MAX_MEDIA: usize = 20;
const MAX_ATTRIBUTES: usize = 200;

/// A request that can be taken in.
pub(crate) struct Filing<'a> {
    pub(crate) service_code: String,
    /// In the administration's own language.
    pub(crate) service_name: Option<String>,
    pub(crate) department: Option<String>,
    pub(crate) location: Option<Location>,
    /// By code, as the public JSON has them; several of one code as they came.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) media_urls: Vec<String>,
    /// Extension: when the citizen filed it with the client.
    pub(crate) requested: Option<Instant>,
    pub(crate) parameters: Parameters<'a>,
}

impl<'a> Filing<'a> {
    pub(crate) fn read(parameters: Parameters<'a>, profile: &TenantProfile) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let mut note = |fault: Fault| faults.push(fault);
        let service = match parameters.first("service_code") {
            None => {
                note(Fault::bad("service_code is missing"));
                None
            }
            Some(code) => {
                let known = profile.services.iter().find(|service| service.code == code);
                if known.is_none() {
                    note(Fault::unknown("service_code is not known; services.xml lists those that are"));
                }
                known
            }
        };
        let location = place(&parameters).unwrap_or_else(|fault| {
            note(fault);
            None
        });
        let somewhere = location.is_some()
            || ["lat", "address_string", "address_id"].iter().any(|name| parameters.first(name).is_some());
        if !somewhere && service.is_some_and(|service| service.place_required) {
            note(Fault::bad("the place is missing: give lat and long, address_string or address_id"));
        }
        if let Err(fault) = description(&parameters) {
            note(fault);
        }
        let attributes = in_order(attributes(&parameters));
        if attributes.len() > MAX_ATTRIBUTES {
            note(Fault::bad("there are more than 200 attributes"));
        }
        for attribute in service.iter().flat_map(|service| &service.attributes) {
            if let Err(fault) = check(attribute, &attributes) {
                note(fault);
            }
        }
        let media_urls = media_urls(&parameters).unwrap_or_else(|fault| {
            note(fault);
            Vec::new()
        });
        let requested = parameters.first("requested_datetime").and_then(time::rfc3339);
        match (service, Faults::of(faults)) {
            (_, Some(faults)) => Err(faults),
            (None, None) => Err(Fault::bad("service_code is missing").into()),
            (Some(service), None) => Ok(Self {
                service_code: service.code.clone(),
                service_name: name(service, profile),
                department: service.department.clone(),
                location,
                attributes,
                media_urls,
                requested,
                parameters,
            }),
        }
    }
}

fn name(service: &Service, profile: &TenantProfile) -> Option<String> {
    language::pick(&service.name, language::of_tenant(profile, None)).map(|name| name.text.clone())
}

/// What was written, if anything was.
pub(crate) fn description<'a>(parameters: &'a Parameters<'_>) -> Result<Option<&'a str>, Fault> {
    match parameters.first("description") {
        Some(text) if text.chars().count() > MAX_DESCRIPTION => {
            Err(Fault::bad("description is longer than 4000 characters"))
        }
        text => Ok(text),
    }
}

/// Media by address.
pub(crate) fn media_urls(parameters: &Parameters<'_>) -> Result<Vec<String>, Fault> {
    let urls: Vec<String> = parameters.all("media_url").map(str::to_owned).collect();
    if urls.len() + parameters.files.len() > MAX_MEDIA {
        return Err(Fault::bad("there are more than 20 media"));
    }
    // They are published: never as a `javascript:` that somebody's page makes a link of.
    if !urls.iter().all(|url| is_web_address(url)) {
        return Err(Fault::bad("media_url must be an http or https URL"));
    }
    Ok(urls)
}

fn is_web_address(url: &str) -> bool {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        url.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).and_then(|_| url.get(scheme.len()..))
    });
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && !"\"<>\\^`{|}".contains(c);
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '[')) && url.chars().all(fits)
}

fn place(parameters: &Parameters<'_>) -> Result<Option<Location>, Fault> {
    let degrees = |name: &str, most: f64| match parameters.first(name) {
        None => Ok(None),
        Some(text) => match text.parse::<f64>() {
            Ok(degrees) if degrees.abs() <= most => Ok(Some(degrees)),
            _ => Err(Fault::bad(format!("{name} must be WGS 84 degrees such as 40.41678"))),
        },
    };
    match (degrees("lat", 90.0)?, degrees("long", 180.0)?) {
        (Some(lat), Some(long)) => Ok(Some(Location { lat, long })),
        (None, None) => Ok(None),
        _ => Err(Fault::bad("lat and long belong together")),
    }
}

/// `attribute[code]=value`, and `attribute[code][]=value` (or with a number) once for each of several.
fn attributes(parameters: &Parameters<'_>) -> Vec<(String, String)> {
    let of = |name: &str| {
        let (code, rest) = name.strip_prefix("attribute[")?.split_once(']')?;
        let list = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let fits = rest.is_empty() || list.is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()));
        (fits && !code.is_empty()).then(|| code.to_owned())
    };
    parameters.pairs.iter().filter_map(|(name, value)| Some((of(name)?, value.clone()))).collect()
}

fn check(attribute: &ServiceAttribute, given: &[(String, String)]) -> Result<(), Fault> {
    let code = &attribute.code;
    let values: Vec<&str> = given.iter().filter(|(known, _)| known == code).map(|(_, value)| value.as_str()).collect();
    if values.is_empty() {
        let missing = || Fault::bad(format!("attribute[{code}] is missing"));
        return if attribute.required { Err(missing()) } else { Ok(()) };
    }
    let known = |value: &&str| attribute.values.iter().any(|(key, _)| key == value);
    let (fits, wanted) = match attribute.datatype {
        AttributeDatatype::StringValue | AttributeDatatype::Text => (values.len() == 1, "one text"),
        AttributeDatatype::Number => {
            let number = |text: &&str| text.parse::<f64>().is_ok_and(f64::is_finite);
            (values.len() == 1 && values.iter().all(number), "one number")
        }
        AttributeDatatype::Datetime => (values.len() == 1 && values.iter().all(|text| is_time(text)), "one time"),
        AttributeDatatype::SingleValueList => {
            (values.len() == 1 && values.iter().all(known), "one of the keys in its definition")
        }
        AttributeDatatype::MultiValueList => (values.iter().all(known), "keys in its definition"),
    };
    if fits { Ok(()) } else { Err(Fault::bad(format!("attribute[{code}] must be {wanted}"))) }
}

/// The standard names no form; clients send what their date pickers give.
fn is_time(text: &str) -> bool {
    let text = text.replacen(' ', "T", 1);
    ["", "Z", ":00Z", "T00:00:00Z"].iter().any(|rest| time::rfc3339(&format!("{text}{rest}")).is_some())
}

/// What makes two requests the same: everything that came with them but the key and the jurisdiction, in the order of the
/// names, since clients keep none. Of files it is their hashes.
pub(crate) fn content(parameters: &Parameters<'_>, files: &[String]) -> Vec<u8> {
    let pairs = parameters.pairs.iter().filter(|(name, _)| !is_about_the_client(name));
    let pairs = in_order(pairs.cloned().collect());
    let mut content = Vec::new();
    let mut put = |bytes: &[u8]| {
        content.extend_from_slice(bytes.len().to_string().as_bytes());
        content.push(b':');
        content.extend_from_slice(bytes);
    };
    for (name, value) in pairs {
        put(name.as_bytes());
        put(value.as_bytes());
    }
    for hash in files {
        put(hash.as_bytes());
    }
    content
}

/// By name; several of one name as they came.
pub(crate) fn in_order(mut pairs: Vec<(String, String)>) -> Vec<(String, String)> {
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    pairs
}

/// Which client speaks to whom, not what is filed.
pub(crate) fn is_about_the_client(name: &str) -> bool {
    matches!(name, "api_key" | "jurisdiction_id")
}

/// Text as a client meant it: line ends of a form are CRLF.
pub(crate) fn lines(text: &str) -> String {
    forms::text(text.as_bytes()).replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_web_are_published() {
        for url in ["http://a.example/b.jpg?c=d", "HTTPS://[2001:db8::1]/x"] {
            assert!(is_web_address(url), "{url}");
        }
        for url in
            ["javascript:alert(1)", "data:,x", "https://", "https:///x", "http://a b", "//a.example", "https://a\"b"]
        {
            assert!(!is_web_address(url), "{url}");
        }
    }

    #[test]
    fn times_of_date_pickers_are_times() {
        for text in ["2026-11-21", "2026-11-21T10:00", "2026-11-21 10:00:30", "2026-11-21T10:00:00+01:00"] {
            assert!(is_time(text), "{text}");
        }
        assert!(!is_time("soon") && !is_time("2026-13-01"));
    }
}
