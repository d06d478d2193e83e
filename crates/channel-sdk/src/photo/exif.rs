//! The few tags of Exif 2.3 (JEITA CP-3451C) that are needed here, out of its TIFF 6.0 structure: an image file directory is a
//! count and entries of twelve bytes (tag, type, count, value or where it is). A crate for all of Exif is a tenth of a
//! component's budget.

use crate::types::Location;

const ORIENTATION: u16 = 0x0112;
const GPS_DIRECTORY: u16 = 0x8825;
const LATITUDE_REF: u16 = 1;
const LATITUDE: u16 = 2;
const LONGITUDE_REF: u16 = 3;
const LONGITUDE: u16 = 4;

/// TIFF 6.0 §2: types and their sizes.
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;

/// An Exif block. Nothing in it is followed in circles: from the first directory one step leads to that of the position.
struct Tiff<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

impl<'a> Tiff<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let is_little = match bytes.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        Some(Self { bytes, is_little })
    }

    fn short(&self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn long(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn offset(&self, at: usize) -> Option<usize> {
        usize::try_from(self.long(at)?).ok()
    }

    /// Where the value of a tag is, if it has this type and at least so many elements.
    fn value(&self, directory: usize, tag: u16, kind: u16, count: u32) -> Option<usize> {
        let entries = usize::from(self.short(directory)?);
        let entry = (0..entries)
            .map(|index| directory.saturating_add(2 + index * 12))
            .find(|entry| self.short(*entry) == Some(tag))?;
        let fits = self.short(entry + 2)? == kind && self.long(entry + 4)? >= count;
        let size = match kind {
            ASCII => 1,
            SHORT => 2,
            LONG => 4,
            _ => 8,
        };
        // What fits into four bytes stands in the entry itself.
        let length = self.long(entry + 4)?.checked_mul(size)?;
        fits.then_some(())?;
        if length <= 4 { Some(entry + 8) } else { self.offset(entry + 8) }
    }

    fn degrees(&self, directory: usize, tag: u16, reference: u16, negative: u8, limit: f64) -> Option<f64> {
        let at = self.value(directory, tag, RATIONAL, 3)?;
        let part = |index: usize| -> Option<f64> {
            let at = at.checked_add(index * 8)?;
            let below = self.long(at + 4)?;
            // Cameras write minutes and seconds they do not have as 0/0.
            Some(if below == 0 && index > 0 { 0.0 } else { f64::from(self.long(at)?) / f64::from(below) })
        };
        let value = part(0)? + part(1)? / 60.0 + part(2)? / 3600.0;
        if !(0.0..=limit).contains(&value) {
            return None;
        }
        let letter = *self.bytes.get(self.value(directory, reference, ASCII, 1)?)?;
        let value = if letter.eq_ignore_ascii_case(&negative) { -value } else { value };
        Some((value * 1e6).round() / 1e6)
    }
}

/// Where the camera was; none without a fix, for which cameras write zeros.
pub(super) fn position(bytes: &[u8]) -> Option<Location> {
    let tiff = Tiff::new(bytes)?;
    let directory = tiff.offset(tiff.value(tiff.offset(4)?, GPS_DIRECTORY, LONG, 1)?)?;
    let lat = tiff.degrees(directory, LATITUDE, LATITUDE_REF, b'S', 90.0)?;
    let long = tiff.degrees(directory, LONGITUDE, LONGITUDE_REF, b'W', 180.0)?;
    (lat != 0.0 || long != 0.0).then_some(Location { lat, long })
}

/// How it was held, if not upright.
pub(super) fn orientation(bytes: &[u8]) -> Option<u32> {
    let tiff = Tiff::new(bytes)?;
    let turn = tiff.short(tiff.value(tiff.offset(4)?, ORIENTATION, SHORT, 1)?)?;
    (2..=8).contains(&turn).then_some(u32::from(turn))
}
