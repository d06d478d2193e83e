//! Ids and case references made from somebody else's random bytes and clock: nothing here has either.

use channel_sdk::reference;

/// Where random bytes come from. Fails when there are none to be had.
pub type Random = fn(&mut [u8]) -> Result<(), String>;

/// Candidates given to the database for one event. Nine digits hold 10⁹ references: with a million cases the chance that four are
/// taken is 10⁻¹².
pub const CANDIDATES: usize = 4;

/// A UUIDv7 (RFC 9562 §5.7) of this instant.
///
/// # Errors
///
/// When there are no random bytes.
pub fn uuid_v7(instant: i64, random: Random) -> Result<String, String> {
    let mut bytes = [0_u8; 16];
    random(&mut bytes)?;
    let random_bits = u128::from_be_bytes(bytes);
    let millis = u128::from(u64::try_from(instant).unwrap_or(0)) & 0xffff_ffff_ffff;
    let value = millis << 80 | 0x7 << 76 | random_bits & (0xfff << 64) | 0b10 << 62 | random_bits & ((1 << 62) - 1);
    let hex = format!("{value:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    Ok(format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)))
}

/// Case references to try, as bare digits.
///
/// # Errors
///
/// When there are no random bytes.
pub fn references(random: Random) -> Result<Vec<String>, String> {
    let mut bytes = [0_u8; 8 * CANDIDATES];
    random(&mut bytes)?;
    Ok(bytes
        .chunks_exact(8)
        .map(|chunk| {
            let number = chunk.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            // The bias of a 64-bit number modulo 10⁹ is below 10⁻¹⁰.
            reference::from_number(u32::try_from(number % 1_000_000_000).unwrap_or(0))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_7_that_sorts_by_time() {
        let ones: Random = |bytes| {
            bytes.fill(0xff);
            Ok(())
        };
        let early = uuid_v7(1_730_221_200_000, ones).unwrap();
        // 1 730 221 200 000 is 0x0192d9385280.
        assert_eq!(early, "0192d938-5280-7fff-bfff-ffffffffffff");
        assert!(uuid_v7(1_730_221_200_001, |_| Ok(())).unwrap() > early);
    }

    #[test]
    fn references_are_valid_and_differ() {
        let counting: Random = |bytes| {
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::try_from(index * 7 % 251).unwrap();
            }
            Ok(())
        };
        let made = references(counting).unwrap();
        assert_eq!(made.len(), CANDIDATES);
        for reference in &made {
            assert_eq!(channel_sdk::reference::parse(reference).as_ref(), Ok(reference));
            assert_eq!(made.iter().filter(|other| *other == reference).count(), 1);
        }
    }

    #[test]
    fn without_random_bytes_there_is_no_id() {
        assert!(uuid_v7(0, |_| Err("dry".into())).is_err());
        assert!(references(|_| Err("dry".into())).is_err());
    }
}
