//! What a mail server has to know: stored, or come again. `infra/mail` turns everything but 2xx and 413 into EX_TEMPFAIL, so
//! that no citizen gets a bounce for a wrong token of ours.

use channel_sdk::answer;
use channel_sdk::types::{Outcome, Request, Response};

pub(crate) fn acknowledge(_: &Request, outcome: &Outcome) -> Response {
    answer::by_status(outcome, "POST")
}
