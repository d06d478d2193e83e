//! Something added to a request: the extension's `POST servicerequestupdates`
//! (<https://github.com/mysociety/fixmystreet/wiki/Open311-FMS>).

use channel_sdk::reference;
use channel_sdk::time;
use channel_sdk::types::Instant;

use crate::fault::{Fault, Faults};
use crate::filing;
use crate::wire::Parameters;

/// An update that can be taken in.
pub(crate) struct Update<'a> {
    /// Ten digits. Whether there is such a request, and whether everybody may see it, is the store's to know.
    pub(crate) reference: String,
    /// The client's own id of it.
    pub(crate) id: String,
    /// When the client's user wrote it.
    pub(crate) updated: Option<Instant>,
    pub(crate) media_urls: Vec<String>,
    pub(crate) parameters: Parameters<'a>,
}

impl<'a> Update<'a> {
    pub(crate) fn read(parameters: Parameters<'a>) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let reference = match parameters.first("service_request_id").map(reference::parse) {
            Some(Ok(reference)) => Some(reference),
            // Mistyped: the check digit says so to everybody.
            Some(Err(_)) => {
                faults.push(unknown());
                None
            }
            None => {
                faults.push(Fault::bad("service_request_id is missing"));
                None
            }
        };
        let id = id(&parameters);
        if id.is_none() {
            faults.push(Fault::bad("update_id is missing: without it an update sent again would be a second one"));
        }
        let written = filing::description(&parameters).unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let media_urls = filing::media_urls(&parameters).unwrap_or_else(|fault| {
            faults.push(fault);
            Vec::new()
        });
        let says = written.is_some() || parameters.first("status").is_some();
        if faults.is_empty() && !says && media_urls.is_empty() && parameters.files.is_empty() {
            faults.push(Fault::bad("the update says nothing: give description, media_url or status"));
        }
        match (reference, id, Faults::of(faults)) {
            (Some(reference), Some(id), None) => {
                let updated = parameters.first("updated_datetime").and_then(time::rfc3339);
                Ok(Self { reference, id, updated, media_urls, parameters })
            }
            (_, _, faults) => Err(faults.unwrap_or_else(|| unknown().into())),
        }
    }
}

/// The same for a request that is not there and for one that not everybody may see.
pub(crate) fn unknown() -> Fault {
    Fault::unknown("service_request_id is not known")
}

/// FixMyStreet calls it `update_id_ext` for some bodies.
fn id(parameters: &Parameters<'_>) -> Option<String> {
    ["update_id", "update_id_ext"].iter().find_map(|name| parameters.first(name)).map(str::to_owned)
}
