//! Ranges and arrays in PostgreSQL's binary formats (`range_send` in rangetypes.c, `array_send` in arrayfuncs.c).

use super::{Bound, Unfit};
use crate::postgres::guest::bindings::spin::postgres::postgres::RangeBoundKind;
use tokio_postgres::types::{Kind, Type};

const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_INFINITE: u8 = 0x08;
const UPPER_INFINITE: u8 = 0x10;

/// What is left to read.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    /// A length and so many bytes; none inside for NULL, whose length is -1.
    fn sized(&mut self) -> Option<Option<&'a [u8]>> {
        let length = i32::from_be_bytes(self.take()?);
        if length == -1 {
            return Some(None);
        }
        let (value, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(Some(value))
    }
}

fn push(out: &mut Vec<u8>, value: &[u8]) -> Result<(), Unfit> {
    let length = i32::try_from(value.len()).map_err(|_| Unfit::Value("it is longer than 2 GiB"))?;
    out.extend(length.to_be_bytes());
    out.extend(value);
    Ok(())
}

/// A range; a missing bound is infinite.
pub(super) fn range<T>(
    (lower, upper): &(Bound<T>, Bound<T>),
    encode: impl Fn(&T) -> Result<Vec<u8>, Unfit>,
) -> Result<Vec<u8>, Unfit> {
    let flag = |bound: &Bound<T>, infinite, inclusive| match bound {
        None => infinite,
        Some((_, RangeBoundKind::Inclusive)) => inclusive,
        Some((_, RangeBoundKind::Exclusive)) => 0,
    };
    let mut out = vec![flag(lower, LOWER_INFINITE, LOWER_INCLUSIVE) | flag(upper, UPPER_INFINITE, UPPER_INCLUSIVE)];
    for (value, _) in [lower, upper].into_iter().flatten() {
        push(&mut out, &encode(value)?)?;
    }
    Ok(out)
}

/// The interface has no empty range: it is told as everything between `zero` and `zero`, which the server takes for empty.
pub(super) fn read_range<T: Clone>(
    bytes: &[u8],
    zero: T,
    decode: impl Fn(&[u8]) -> Option<T>,
) -> Option<(Bound<T>, Bound<T>)> {
    let mut reader = Reader(bytes);
    let [flags] = reader.take()?;
    if flags & EMPTY != 0 {
        let bound = Some((zero, RangeBoundKind::Exclusive));
        return Some((bound.clone(), bound));
    }
    let mut bound = |infinite, inclusive| {
        if flags & infinite != 0 {
            return Some(None);
        }
        let value = decode(reader.sized()??)?;
        let kind = if flags & inclusive != 0 { RangeBoundKind::Inclusive } else { RangeBoundKind::Exclusive };
        Some(Some((value, kind)))
    };
    let lower = bound(LOWER_INFINITE, LOWER_INCLUSIVE)?;
    Some((lower, bound(UPPER_INFINITE, UPPER_INCLUSIVE)?))
}

/// An array of one dimension.
pub(super) fn array<T>(
    ty: &Type,
    values: &[Option<T>],
    encode: impl Fn(&T) -> Result<Vec<u8>, Unfit>,
) -> Result<Vec<u8>, Unfit> {
    let Kind::Array(member) = ty.kind() else { return Err(Unfit::Type) };
    let count = i32::try_from(values.len()).map_err(|_| Unfit::Value("it has too many members"))?;
    let has_null = i32::from(values.iter().any(Option::is_none));
    let mut out = Vec::new();
    out.extend(i32::from(count > 0).to_be_bytes());
    out.extend(has_null.to_be_bytes());
    out.extend(member.oid().to_be_bytes());
    if count > 0 {
        out.extend(count.to_be_bytes());
        // Members are counted from one.
        out.extend(1_i32.to_be_bytes());
    }
    for value in values {
        match value {
            Some(value) => push(&mut out, &encode(value)?)?,
            None => out.extend((-1_i32).to_be_bytes()),
        }
    }
    Ok(out)
}

/// The members; none for more dimensions than one.
pub(super) fn read_array<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Option<T>) -> Option<Vec<Option<T>>> {
    let mut reader = Reader(bytes);
    let dimensions = i32::from_be_bytes(reader.take()?);
    let (_has_null, _member) = (reader.take::<4>()?, reader.take::<4>()?);
    match dimensions {
        0 => return Some(Vec::new()),
        1 => {}
        _ => return None,
    }
    let count = usize::try_from(i32::from_be_bytes(reader.take()?)).ok()?;
    let _first_index = reader.take::<4>()?;
    // Each member has four bytes of length at least.
    if count > reader.0.len() / 4 {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(match reader.sized()? {
            Some(member) => Some(decode(member)?),
            None => None,
        });
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(value: &i32) -> Result<Vec<u8>, Unfit> {
        Ok(value.to_be_bytes().to_vec())
    }

    fn read_int(bytes: &[u8]) -> Option<i32> {
        Some(i32::from_be_bytes(bytes.try_into().ok()?))
    }

    #[test]
    fn ranges_and_arrays_survive_both_ways_and_damaged_ones_are_refused() {
        use RangeBoundKind::{Exclusive, Inclusive};
        for value in [
            (None, None),
            (Some((1, Inclusive)), None),
            (None, Some((5, Exclusive))),
            (Some((-3, Exclusive)), Some((i32::MAX, Inclusive))),
        ] {
            let Ok(bytes) = range(&value, int) else { unreachable!() };
            let read = read_range(&bytes, 0, read_int).unwrap();
            assert_eq!(format!("{read:?}"), format!("{value:?}"));
        }
        assert!(matches!(read_range(&[EMPTY], 0, read_int), Some((Some((0, Exclusive)), Some((0, Exclusive))))));
        for values in [vec![], vec![Some(1)], vec![Some(1), None, Some(-1)]] {
            let Ok(bytes) = array(&Type::INT4_ARRAY, &values, int) else { unreachable!() };
            assert_eq!(read_array(&bytes, read_int), Some(values));
            for length in 0..bytes.len() {
                assert_eq!(read_array(bytes.get(..length).unwrap(), read_int), None);
            }
        }
        assert_eq!(read_array(&[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 23], read_int), None, "two dimensions");
        assert_eq!(read_range(&[0, 0, 0, 0], 0, read_int).map(|_| ()), None);
    }
}
