//! What the providers say and check alike: cursors, limits, references, errors.

use channel_sdk::types::{Event, TenantProfile};
use channel_sdk::{json, reference};

use crate::database::DatabaseError;
use crate::ids::Random;
use crate::intake::{self, Intake, IntakeError};
use crate::log::{Disposition, Envelope, Page, StoreError};
use crate::rows::RowError;

/// The number a cursor stands for.
///
/// # Errors
///
/// `invalid`, when it is not one of ours.
pub fn cursor(page: &Page) -> Result<Option<i64>, StoreError> {
    match &page.after {
        None => Ok(None),
        Some(cursor) => match cursor.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(StoreError::Invalid("the cursor is not one of ours: use `next` of the answer before".into())),
        },
    }
}

/// How many are wanted.
///
/// # Errors
///
/// `invalid`, when that is none or too many.
pub fn limit(page: &Page) -> Result<i64, StoreError> {
    match page.limit {
        1..=500 => Ok(i64::from(page.limit)),
        other => Err(StoreError::Invalid(format!("the limit is {other}: it must be 1 to 500"))),
    }
}

/// Cuts the row too many that was asked for, and says where the next page begins: `place` reads it from a page's last row.
pub fn cut<T>(rows: &mut Vec<T>, limit: i64, place: impl Fn(&T) -> Option<i64>) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    rows.last().and_then(place).map(|number| number.to_string())
}

/// Ten bare digits.
///
/// # Errors
///
/// `invalid`, when it is no reference.
pub fn bare(text: &str) -> Result<String, StoreError> {
    reference::parse(text).map_err(|error| StoreError::Invalid(format!("{error}: check it and type it again")))
}

/// There is no such case.
pub fn unknown_case(bare: &str) -> StoreError {
    StoreError::Invalid(format!("there is no case {}: check the reference", reference::format(bare)))
}

/// Who does something.
///
/// # Errors
///
/// `invalid`, when nobody is named.
pub fn author(name: &str) -> Result<String, StoreError> {
    if name.trim().is_empty() {
        return Err(StoreError::Invalid("who does it must be named: the author is empty".into()));
    }
    Ok(crate::text::escape(name))
}

/// Fresh references drawn when all candidates are taken.
const DRAWS: usize = 5;

/// The tries of one intake: each with other references, as long as all of its candidates are taken.
#[derive(Default)]
pub struct Draws(usize);

impl Draws {
    /// The intake of the next try.
    ///
    /// # Errors
    ///
    /// Of the intake.
    pub fn intake(
        &mut self,
        envelope: &Envelope,
        disposition: &Disposition,
        events: &[Event],
        random: Random,
    ) -> Result<Intake, StoreError> {
        self.0 += 1;
        intake::intake(envelope.clone(), disposition, events, random).map_err(|error| match error {
            IntakeError::Invalid(why) => StoreError::Invalid(why),
            IntakeError::Random(why) => no_random(why),
        })
    }

    /// Whether to try again after this error of the database; if not, what `means` makes of it.
    ///
    /// # Errors
    ///
    /// It is another error, or the last try.
    pub fn again(&self, error: &DatabaseError, means: fn(&DatabaseError) -> StoreError) -> Result<(), StoreError> {
        match error.0.contains("ventanilla:no-reference") {
            false => Err(means(error)),
            true if self.0 < DRAWS => Ok(()),
            true => Err(StoreError::Unavailable("no free case reference was found: try again".into())),
        }
    }
}

/// No random bytes.
pub fn no_random(error: String) -> StoreError {
    StoreError::Unavailable(format!("no random bytes for an id ({error}): check the host"))
}

/// A row that can't be read.
pub fn row_error(error: RowError) -> StoreError {
    StoreError::Unavailable(format!(
        "a row of the database can't be read ({}): has another program or a newer version written to it?",
        error.0
    ))
}

/// What is said of a tenant that is not there any more.
pub fn removed_tenant() -> StoreError {
    StoreError::Invalid(REMOVED.into())
}

const REMOVED: &str =
    "this tenant was removed: apply a profile (`ventanilla tenant apply`) if it is to be served again";

/// What our own SQL refuses, in words that it raises: `ventanilla:…`.
pub fn refused(said: &str) -> Option<StoreError> {
    if said.contains("ventanilla:replayed") {
        return Some(StoreError::Replayed);
    }
    [
        ("ventanilla:no-envelope", "no envelope of this tenant and connector has this id: check the id"),
        ("ventanilla:held", "a case is on hold: end the hold first, if the law allows it"),
        ("ventanilla:no-tenant", "nothing is stored of such a tenant: check its code"),
        (
            "ventanilla:being-removed",
            "this tenant is being removed: let that come to its end (`ventanilla tenant remove` again), then apply its profile",
        ),
        ("ventanilla:removed", REMOVED),
        ("ventanilla:audit-stays", "the audit is not changed"),
        (
            "ventanilla:no-join",
            "these contacts can't be joined: both must exist, differ, and not be joined into another one already; separate that first",
        ),
        (
            "ventanilla:no-separation",
            "these contacts are not joined in this way: the other one must have been joined into this one",
        ),
    ]
    .into_iter()
    .find_map(|(word, why)| said.contains(word).then(|| StoreError::Invalid(why.into())))
}

/// A tenant's profile as it is stored.
///
/// # Errors
///
/// `invalid`, when it would not come back as it is.
pub fn profile_document(profile: &TenantProfile) -> Result<String, StoreError> {
    let document = serde_json::Value::Object(json::profile(profile));
    match json::parse_profile(&document) {
        Err(error) => Err(StoreError::Invalid(format!("the profile can't be stored: {error}"))),
        Ok(read) if read != *profile => {
            Err(StoreError::Invalid("the profile has a value that can't be written as JSON".into()))
        }
        Ok(_) => Ok(document.to_string()),
    }
}
