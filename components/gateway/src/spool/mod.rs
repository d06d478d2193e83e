//! What happens to a verified envelope while the store can't be reached: it is kept in the application's key-value store, the
//! provider gets its acknowledgement, and [`drain`] records it when the store is back. Nothing here is touched while the store answers.
//!
//! # What is promised
//!
//! * **Never both lost and acknowledged.** The outcome is [`Outcome::Quarantined`] only when the last piece is kept; an envelope leaves
//!   the spool only after its record is committed.
//! * **Once.** A crash between these two records it again; the store knows it by a single-use value made of its id in the spool.
//! * **In order.** Oldest first, per tenant and connector. What comes in when the store has just come back can overtake what waits: an
//!   intake does not look here first.
//! * **One that can't be recorded holds up no other.** It is quarantined; one that the store refuses even so is set aside, never deleted.

pub(crate) mod drain;
mod envelope;

use channel_sdk::json::{parse_profile, profile as profile_json};
use channel_sdk::types::TenantProfile;
use serde_json::Value;
use service_sdk::spool as keys;

pub(crate) use envelope::Spooled;

use crate::bindings::log::Envelope;
use crate::ports::{Failure, Ports};

/// Of one value: DynamoDB takes 400 KB, and Cosmos DB 2 MB of JSON, in which Spin writes a byte as a number.
const PIECE: usize = 256 * 1024;

/// Whether envelopes may be spooled here.
pub(crate) async fn is_on<P: Ports>(ports: &P) -> bool {
    // A manifest from before there was a spool does not declare the variable.
    let variable = ports.variable("spool").await.unwrap_or_default();
    keys::is_on(&variable, ports.host_retries())
}

/// Keeps an envelope. `Ok`: it is durable.
pub(crate) async fn put<P: Ports>(ports: &P, spooled: &Spooled) -> Result<(), Failure> {
    let Envelope { tenant, connector, received_at, .. } = &spooled.envelope;
    let id = keys::id(*received_at, ports.chance()?);
    let mut bytes = spooled.encode();
    let rest = bytes.split_off(bytes.len().min(PIECE));
    let pieces: Vec<&[u8]> = rest.chunks(PIECE).collect();
    // The first piece makes it complete, so it is kept last; it says how many there are.
    for (piece, number) in pieces.iter().zip(1..) {
        if let Err(why) = ports.keep(&keys::part(&id, number), piece).await {
            // Nobody was told that it is kept. What can't be forgotten now is found as an orphan later.
            for number in 1..=number {
                _ = ports.forget(&keys::part(&id, number)).await;
            }
            return Err(why);
        }
    }
    ports.keep(&keys::waiting(&id, connector, tenant), &envelope::first(pieces.len(), &bytes)).await
}

/// Reads an envelope again. `Ok(None)`: it is gone, or what is there is not whole.
async fn take<P: Ports>(ports: &P, entry: &keys::Entry) -> Result<Option<(Spooled, u32)>, Failure> {
    let Some(head) = ports.kept(&entry.key()).await? else { return Ok(None) };
    let Some((pieces, first)) = envelope::open(&head) else { return Ok(None) };
    let mut bytes = first.to_vec();
    for number in 1..=pieces {
        match ports.kept(&keys::part(&entry.id, number)).await? {
            Some(piece) => bytes.extend_from_slice(&piece),
            None => return Ok(None),
        }
    }
    Ok(Spooled::decode(&bytes).map(|spooled| (spooled, pieces)))
}

/// Takes an envelope out: the first piece first, without which the others mean nothing.
async fn remove<P: Ports>(ports: &P, entry: &keys::Entry, pieces: u32) -> Result<(), Failure> {
    ports.forget(&entry.key()).await?;
    for number in 1..=pieces {
        ports.forget(&keys::part(&entry.id, number)).await?;
    }
    Ok(())
}

/// The tenant's profile as it was when the store was last asked for it, so that a caller hears the tenant's own words.
pub(crate) async fn profile<P: Ports>(ports: &P, tenant: &str) -> Option<TenantProfile> {
    if !is_on(ports).await {
        return None;
    }
    let kept = ports.kept(&keys::profile(tenant)).await.ok()??;
    parse_profile(&serde_json::from_slice(&kept).ok()?).ok()
}

/// Keeps the tenant's profile, if it has changed.
async fn keep_profile<P: Ports>(ports: &P, profile: &TenantProfile) -> Result<(), Failure> {
    let key = keys::profile(&profile.tenant);
    let text = Value::Object(profile_json(profile)).to_string();
    if ports.kept(&key).await?.as_deref() == Some(text.as_bytes()) {
        return Ok(());
    }
    ports.keep(&key, text.as_bytes()).await
}

#[cfg(test)]
mod tests;
