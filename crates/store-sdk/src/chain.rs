//! The chain over envelopes (`wit/store/ledger.wit`): digests, links, and what an examination finds. Both stores seal and examine with this.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::ledger::{Fault, Finding};
use crate::log::Envelope;
use crate::text::{hex, unhex};

/// The link before the first: 32 zero bytes.
pub const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Findings of one examination: who has so many does not need more.
pub const FINDINGS: usize = 100;

/// Bytes of bodies that are looked at in one examination.
pub const EXAMINED: u64 = 32 << 20;
/// Those held at a time.
pub const AT_ONCE: u64 = 2 << 20;

/// Its digest under this id, in hexadecimal digits.
pub fn digest(id: &str, envelope: &Envelope) -> String {
    let received_at = envelope.received_at.to_string();
    let headers = envelope.headers.len().to_string();
    let head = [
        "ventanilla-envelope-1",
        id,
        &envelope.tenant,
        &envelope.connector,
        &envelope.method,
        &envelope.target,
        &received_at,
        &envelope.verified_by,
        &headers,
    ];
    let pairs = envelope.headers.iter().flat_map(|header| [header.name.as_bytes(), &header.value]);
    let mut hash = Sha256::new();
    for part in head.into_iter().map(str::as_bytes).chain(pairs).chain([envelope.body.as_slice()]) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// The link of a number: of the link before it and a digest, all in hexadecimal digits. None if one of them isn't.
pub fn link(before: &str, digest: &str, number: u64) -> Option<String> {
    let bytes = |text: &str| unhex(text).filter(|bytes| bytes.len() == 32);
    let mut hash = Sha256::new();
    hash.update(bytes(before)?);
    hash.update(bytes(digest)?);
    hash.update(number.to_be_bytes());
    Some(hex(&hash.finalize()))
}

/// An envelope to be sealed.
#[derive(Debug, Clone)]
pub struct Unsealed {
    /// Whose it is.
    pub tenant: String,
    /// Its id.
    pub id: String,
    /// Where it stands among the store's envelopes; only the store knows what it means.
    pub place: i64,
    /// Absent for those stored before there were digests.
    pub digest: Option<String>,
    /// The newest number of its tenant's chain, and its link.
    pub after: (u64, String),
}

/// Seals, as the databases write them.
#[derive(Debug, Default)]
pub struct Seals {
    /// `[[tenant, number], …]`: of each tenant the number after which they stand.
    pub heads: Vec<Value>,
    /// `[{"tenant", "n", "envelope", "place", "digest", "link"}, …]`.
    pub rows: Vec<Value>,
}

/// Links envelopes, which are in each tenant's order. What comes after one without a digest waits with it.
pub fn seal(envelopes: &[Unsealed]) -> Seals {
    let mut heads: BTreeMap<&str, (u64, String)> = BTreeMap::new();
    let mut seals = Seals::default();
    for envelope in envelopes {
        let head = heads.entry(&envelope.tenant).or_insert_with(|| envelope.after.clone());
        let number = head.0 + 1;
        let made = envelope.digest.as_deref().and_then(|digest| Some((digest, link(&head.1, digest, number)?)));
        let Some((digest, link)) = made else { break };
        if number == envelope.after.0 + 1 {
            seals.heads.push(json!([envelope.tenant, envelope.after.0]));
        }
        seals.rows.push(json!({
            "tenant": envelope.tenant,
            "n": number,
            "envelope": envelope.id,
            "place": envelope.place,
            "digest": digest,
            "link": link,
        }));
        *head = (number, link);
    }
    seals
}

/// A seal as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Its number.
    pub number: u64,
    /// The envelope's id.
    pub envelope: String,
    /// See [`Unsealed::place`].
    pub place: i64,
    /// What it was sealed with.
    pub digest: String,
    /// Its link.
    pub link: String,
    /// How large the envelope's body is; absent when there is no such envelope.
    pub bytes: Option<u64>,
    /// Whether the envelope is marked as erased; if so, whether the audit tells of it.
    pub erased: Option<bool>,
}

/// What is wrong with the chain itself, whatever the envelopes are: `before` is the seal `after`, which the first of `seals` has to follow;
/// none at the beginning.
pub fn faults(before: Option<&Sealed>, after: u64, seals: &[Sealed]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut last = before.map(|seal| seal.link.clone()).or_else(|| (after == 0).then(|| NOTHING.to_owned()));
    if last.is_none() {
        found.push(Finding { fault: Fault::Gap, number: after, envelope: None });
    }
    let mut next = after + 1;
    for seal in seals {
        if seal.number != next {
            // One finding, however many are gone: the first of them.
            found.push(Finding { fault: Fault::Gap, number: next, envelope: None });
            last = None;
        }
        let made = last.as_deref().map(|last| link(last, &seal.digest, seal.number));
        if made.is_some_and(|made| made.as_ref() != Some(&seal.link)) {
            found.push(Finding { fault: Fault::Broken, number: seal.number, envelope: Some(seal.envelope.clone()) });
        }
        last = Some(seal.link.clone());
        next = seal.number.saturating_add(1);
    }
    found
}

/// Seals in portions, of which the bodies may be read together.
pub fn portions(seals: &[Sealed]) -> Vec<&[Sealed]> {
    let mut rest = seals;
    let mut portions = Vec::new();
    while !rest.is_empty() {
        let mut bytes = 0_u64;
        let fits = rest.iter().take_while(|seal| {
            bytes = bytes.saturating_add(seal.bytes.unwrap_or(0));
            bytes <= AT_ONCE
        });
        let (portion, others) = rest.split_at(fits.count().max(1));
        portions.push(portion);
        rest = others;
    }
    portions
}

/// How many of the seals are examined at one time: those before the bodies get too many, at least one.
pub fn examined(seals: &[Sealed]) -> usize {
    let mut bytes = 0_u64;
    let within = seals.iter().take_while(|seal| {
        let fits = bytes < EXAMINED;
        bytes = bytes.saturating_add(seal.bytes.unwrap_or(0));
        fits
    });
    within.count()
}

/// What is wrong with the envelopes of some seals.
pub fn differences<'a>(seals: &'a [Sealed], envelopes: &'a [Envelope]) -> impl Iterator<Item = Finding> + 'a {
    seals.iter().filter_map(|seal| {
        let envelope = envelopes.iter().find(|envelope| envelope.id.as_deref() == Some(seal.envelope.as_str()));
        let blank =
            |envelope: &Envelope| envelope.body.is_empty() && envelope.headers.is_empty() && envelope.target.is_empty();
        let fault = match envelope {
            None if seal.bytes.is_none() => Fault::Missing,
            Some(envelope) if seal.erased == Some(true) && blank(envelope) => return None,
            Some(_) if seal.erased == Some(false) => Fault::Unrecorded,
            Some(envelope) if digest(&seal.envelope, envelope) == seal.digest => return None,
            // Also one that can't be read any more.
            _ => Fault::Changed,
        };
        Some(Finding { fault, number: seal.number, envelope: Some(seal.envelope.clone()) })
    })
}

/// The range of ids (UUIDv7: their first 48 bits are the time of receipt) of what was received between two instants.
pub fn ids(since: i64, until: i64) -> (String, String) {
    let id = |instant: i64| match u64::try_from(instant) {
        Err(_) => String::new(),
        // Behind every id.
        Ok(millis) if millis >= 1 << 48 => "g".to_owned(),
        Ok(millis) => {
            let hex = format!("{millis:012x}");
            let (high, low) = hex.split_at_checked(8).unwrap_or((&hex, ""));
            format!("{high}-{low}")
        }
    };
    (id(since), id(until))
}

#[cfg(test)]
mod tests {
    use super::*;
    use channel_sdk::types::Header;

    fn envelope(body: &str) -> Envelope {
        Envelope {
            id: Some("e1".into()),
            tenant: "madrid".into(),
            connector: "telephony/example".into(),
            method: "POST".into(),
            target: "/voice?a=1".into(),
            headers: vec![Header { name: "x-a".into(), value: vec![0xff, 0] }],
            body: body.into(),
            received_at: 1_730_221_200_000,
            verified_by: "hmac-sha1 auth_token".into(),
            nonce: None,
        }
    }

    #[test]
    fn a_digest_is_the_same_in_another_language() {
        // In Python: hashlib.sha256(b"".join(len(p).to_bytes(8, "big") + p for p in parts)).hexdigest()
        let same = "1707cd4a46d90337d0fee714082b585ae508ae22d1b62c081b13a3d4b3821cc6";
        assert_eq!(digest("e1", &envelope("b")), same);
    }

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let first = digest("e1", &envelope("b"));
        let changes: [fn(&mut Envelope); 9] = [
            |e| e.tenant.push('x'),
            |e| e.connector.push('x'),
            |e| e.method.push('x'),
            |e| e.target.push('x'),
            |e| e.headers[0].name.push('x'),
            |e| e.headers[0].value.push(0),
            |e| e.headers.clear(),
            |e| e.received_at += 1,
            |e| e.verified_by.push('x'),
        ];
        for change in changes {
            let mut other = envelope("b");
            change(&mut other);
            assert_ne!(digest("e1", &other), first);
        }
        assert_ne!(digest("e1", &envelope("c")), first);
        assert_ne!(digest("e2", &envelope("b")), first);
        let mut moved = envelope("b");
        moved.method = "POS".into();
        moved.target = "T/voice?a=1".into();
        assert_ne!(digest("e1", &moved), first);
    }

    fn unsealed(tenant: &str, id: &str, digest: Option<&str>) -> Unsealed {
        let digest = digest.map(str::to_owned);
        Unsealed { tenant: tenant.into(), id: id.into(), place: 1, digest, after: (0, NOTHING.into()) }
    }

    #[test]
    fn each_tenant_has_a_chain_and_nothing_passes_one_without_a_digest() {
        let one = hex(&[1; 32]);
        let rows = [
            unsealed("a", "a1", Some(&one)),
            unsealed("b", "b1", Some(&one)),
            unsealed("b", "b2", Some(&one)),
            unsealed("c", "c1", None),
            unsealed("a", "a2", Some(&one)),
        ];
        let seals = seal(&rows);
        let numbers: Vec<String> =
            seals.rows.iter().map(|row| format!("{} {}", row["envelope"].as_str().unwrap(), row["n"])).collect();
        assert_eq!(numbers, ["a1 1", "b1 1", "b2 2"]);
        assert_eq!(seals.heads, [json!(["a", 0]), json!(["b", 0])]);
        let first = link(NOTHING, &one, 1).unwrap();
        assert_eq!(seals.rows[2]["link"], link(&first, &one, 2).unwrap());
    }

    fn chain() -> Vec<Sealed> {
        let mut last = NOTHING.to_owned();
        (1..=5)
            .map(|number| {
                let digest = hex(&[u8::try_from(number).unwrap(); 32]);
                last = link(&last, &digest, number).unwrap();
                let place = i64::try_from(number).unwrap();
                Sealed {
                    number,
                    envelope: format!("e{number}"),
                    place,
                    digest,
                    link: last.clone(),
                    bytes: Some(1),
                    erased: None,
                }
            })
            .collect()
    }

    fn told(found: &[Finding]) -> Vec<(Fault, u64)> {
        found.iter().map(|finding| (finding.fault, finding.number)).collect()
    }

    #[test]
    fn whatever_is_done_to_the_chain_is_named() {
        let whole = chain();
        assert_eq!(faults(None, 0, &whole), []);
        assert_eq!(faults(Some(&whole[1]), 2, &whole[2..]), []);
        let mut without = chain();
        without.remove(2);
        assert_eq!(told(&faults(None, 0, &without)), [(Fault::Gap, 3)]);
        assert_eq!(told(&faults(None, 0, &whole[1..])), [(Fault::Gap, 1)]);
        assert_eq!(told(&faults(None, 2, &whole[2..])), [(Fault::Gap, 2)]);
        let mut swapped = chain();
        swapped.swap(1, 2);
        (swapped[1].number, swapped[2].number) = (2, 3);
        assert_eq!(told(&faults(None, 0, &swapped)), [(Fault::Broken, 2), (Fault::Broken, 3), (Fault::Broken, 4)]);
        let mut forged = chain();
        forged[3].digest = hex(&[9; 32]);
        assert_eq!(told(&faults(None, 0, &forged)), [(Fault::Broken, 4)]);
        forged[3].link = "nonsense".into();
        assert_eq!(told(&faults(None, 0, &forged)), [(Fault::Broken, 4), (Fault::Broken, 5)]);
    }

    #[test]
    fn only_what_is_blank_and_told_of_is_erased() {
        let blank =
            |id: &str| Envelope { id: Some(id.into()), target: String::new(), headers: Vec::new(), ..envelope("") };
        let fault = |erased, envelope: Envelope| {
            let seals = [Sealed { envelope: "e1".into(), erased, ..chain().remove(0) }];
            differences(&seals, &[envelope]).map(|finding| finding.fault).next()
        };
        assert_eq!(fault(Some(true), blank("e1")), None);
        assert_eq!(fault(Some(true), envelope("put in again")), Some(Fault::Changed));
        assert_eq!(fault(Some(false), blank("e1")), Some(Fault::Unrecorded));
        assert_eq!(fault(None, blank("e1")), Some(Fault::Changed));
    }

    #[test]
    fn large_envelopes_are_read_one_at_a_time() {
        let mut seals = chain();
        seals[1].bytes = Some(AT_ONCE * 3);
        seals[3].bytes = None;
        let lengths: Vec<usize> = portions(&seals).iter().map(|portion| portion.len()).collect();
        assert_eq!(lengths, [1, 1, 3]);
        seals[0].bytes = Some(EXAMINED + 1);
        assert_eq!(examined(&seals), 1);
        assert_eq!(examined(&chain()), 5);
        assert_eq!(portions(&[]).len(), 0);
    }

    #[test]
    fn a_period_is_a_range_of_ids() {
        let zeros: crate::ids::Random = |bytes| {
            bytes.fill(0);
            Ok(())
        };
        let ones: crate::ids::Random = |bytes| {
            bytes.fill(0xff);
            Ok(())
        };
        let (at, until) = ids(1_730_221_200_000, 1_730_221_200_001);
        for random in [zeros, ones] {
            let id = |instant| crate::ids::uuid_v7(instant, random).unwrap();
            assert!(at <= id(1_730_221_200_000) && id(1_730_221_200_000) < until);
            assert!(id(1_730_221_199_999) < at && id(1_730_221_200_001) >= until);
        }
        assert_eq!(ids(i64::MIN, i64::MAX), (String::new(), "g".to_owned()));
    }
}
