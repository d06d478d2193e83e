//! Meta's scheme: `hub.*` challenge by GET, `X-Hub-Signature-256` over the raw body by POST.

use channel_sdk::hub;
use channel_sdk::types::{Authentication, Request};

/// Names what must hold for a request to be Meta's.
pub(crate) fn authenticate(request: &Request) -> Authentication {
    hub::authenticate(request, "verify_token", "app_secret")
}
