//! What a picture file says beside the picture: what it is, where it was taken, and the same picture without any of that.
//!
//! A photo's metadata tells where somebody lives. Staff get the file as it came; what is published is [`published`]:
//! only the parts a decoder needs are copied, so that metadata nobody has thought of stays behind as well.

mod exif;

use sha2::{Digest, Sha256};

use crate::types::Location;

/// What kind of picture a file's content is. The name and type that come with it are not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ISO/IEC 10918-1.
    Jpeg,
    /// ISO/IEC 15948.
    Png,
    /// RFC 9649.
    Webp,
    /// GIF87a and GIF89a.
    Gif,
    /// HEIF with HEVC (`heic`, what telephones make) or AV1 (`avif`).
    Heif,
}

impl Kind {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Heif => "image/heif",
        }
    }
}

/// The kind of picture; none if it is no picture that is known here. A picture cut short is still one.
pub fn kind(file: &[u8]) -> Option<Kind> {
    match file {
        [0xff, 0xd8, 0xff, ..] => jpeg(file).has_frame.then_some(Kind::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', _, _, _, _, b'I', b'H', b'D', b'R', ..] => Some(Kind::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', b'V', b'P', b'8', ..] => Some(Kind::Webp),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Kind::Gif),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => {
            let brands = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis"];
            brands.iter().any(|known| brand.starts_with(*known)).then_some(Kind::Heif)
        }
        _ => None,
    }
}

/// Lower-case hex of the content's SHA-256.
pub fn sha256(content: &[u8]) -> String {
    use core::fmt::Write as _;
    Sha256::digest(content).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Where the camera says it was, to a tenth of a metre; none without a fix. HEIF is not looked into.
pub fn position(file: &[u8]) -> Option<Location> {
    exif::position(exif_of(file)?)
}

/// How the picture has to be turned to stand upright, 2 to 8 as in Exif 2.3 §4.6.4; none if it does.
pub fn orientation(file: &[u8]) -> Option<u32> {
    exif::orientation(exif_of(file)?)
}

/// The Exif block of a file, which is a small TIFF file.
fn exif_of(file: &[u8]) -> Option<&[u8]> {
    match file {
        [0xff, 0xd8, rest @ ..] => {
            let mut rest = rest;
            loop {
                let (marker, after) = next_marker(rest)?;
                let length = usize::from(u16::from_be_bytes(*after.first_chunk()?));
                let (segment, after) = after.split_at_checked(length)?;
                if marker == 0xe1
                    && let Some(tiff) = segment.get(2..)?.strip_prefix(b"Exif\0\0")
                {
                    return Some(tiff);
                }
                // Metadata stands before the first scan.
                (marker != 0xda && length >= 2).then_some(())?;
                rest = after;
            }
        }
        [0x89, b'P', b'N', b'G', ..] => {
            let mut rest = file.get(8..)?;
            loop {
                let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
                let (chunk, after) = rest.split_at_checked(length.checked_add(12)?)?;
                if chunk.get(4..8)? == b"eXIf" {
                    return chunk.get(8..8 + length);
                }
                rest = after;
            }
        }
        [b'R', b'I', b'F', b'F', ..] => {
            let mut rest = file.get(12..)?;
            loop {
                let length = usize::try_from(u32::from_le_bytes(*rest.get(4..)?.first_chunk()?)).ok()?;
                let (chunk, after) = rest.split_at_checked(length.checked_add(length % 2)?.checked_add(8)?)?;
                if chunk.starts_with(b"EXIF") {
                    let content = chunk.get(8..8 + length)?;
                    return Some(content.strip_prefix(b"Exif\0\0").unwrap_or(content));
                }
                rest = after;
            }
        }
        _ => None,
    }
}

/// The same picture without metadata: no position, no camera, no names, no thumbnail, nothing after its end. None for kinds
/// that are not taken apart here, and for a file that is damaged: neither may be published as it is.
pub fn published(file: &[u8]) -> Option<Vec<u8>> {
    match kind(file)? {
        Kind::Jpeg => Some(jpeg(file)).filter(|picture| picture.has_end).map(|picture| picture.kept),
        Kind::Png => png(file),
        Kind::Webp => webp(file),
        Kind::Gif | Kind::Heif => None,
    }
}

#[derive(Default)]
struct Jpeg {
    kept: Vec<u8>,
    has_frame: bool,
    has_end: bool,
}

/// ISO/IEC 10918-1 Annex B, segment by segment.
fn jpeg(file: &[u8]) -> Jpeg {
    let mut picture = Jpeg { kept: vec![0xff, 0xd8], ..Jpeg::default() };
    let mut rest = file.get(2..).unwrap_or_default();
    loop {
        let Some((marker, after)) = next_marker(rest) else { return picture };
        if marker == 0xd9 {
            picture.kept.extend([0xff, 0xd9]);
            picture.has_end = true;
            return picture;
        }
        let Some(length) = after.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length))) else {
            return picture;
        };
        let Some((segment, after)) = after.split_at_checked(length).filter(|_| length >= 2) else { return picture };
        let content = segment.get(2..).unwrap_or_default();
        let keep = match marker {
            // Frames, Huffman and arithmetic tables, quantisation, restart interval, scans. 0xc8 is reserved.
            0xc0..=0xcf | 0xda..=0xdf => true,
            // JFIF without a thumbnail, colour profile, Adobe's colour transform.
            0xe0 => content.starts_with(b"JFIF\0") && content.len() == 14,
            0xe2 => content.starts_with(b"ICC_PROFILE\0"),
            0xee => content.starts_with(b"Adobe"),
            _ => false,
        };
        picture.has_frame |= matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf);
        if keep {
            picture.kept.extend([0xff, marker]);
            picture.kept.extend_from_slice(segment);
        }
        rest = after;
        if marker == 0xda {
            let end = scan_length(rest);
            let (scan, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            picture.kept.extend_from_slice(scan);
            rest = after;
        }
    }
}

/// §B.1.1.2: any number of 0xff may stand before a marker.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [0xff, rest @ ..] = bytes else { return None };
    let fill = rest.iter().position(|byte| *byte != 0xff)?;
    let (marker, after) = rest.get(fill..)?.split_first()?;
    Some((*marker, after))
}

/// Entropy-coded data ends at the first marker that is no stuffing and no restart (§B.1.1.5).
fn scan_length(bytes: &[u8]) -> usize {
    let ends = |pair: &[u8]| matches!(pair, [0xff, marker] if !matches!(marker, 0x00 | 0xd0..=0xd7 | 0xff));
    bytes.windows(2).position(ends).unwrap_or(bytes.len())
}

/// ISO/IEC 15948 §5: length, type, data, CRC.
fn png(file: &[u8]) -> Option<Vec<u8>> {
    const KEPT: [&[u8; 4]; 15] = [
        b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"sBIT", b"bKGD",
        b"acTL", b"fcTL", b"fdAT",
    ];
    let (head, mut rest) = file.split_at_checked(8)?;
    let mut kept = head.to_vec();
    loop {
        let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
        let (chunk, after) = rest.split_at_checked(length.checked_add(12)?)?;
        let kind = chunk.get(4..8)?;
        if KEPT.iter().any(|known| kind == known.as_slice()) {
            kept.extend_from_slice(chunk);
        }
        if kind == b"IEND" {
            return Some(kept);
        }
        rest = after;
    }
}

/// RFC 9649 §2.3: type, length, data, a padding byte to an even length.
fn webp(file: &[u8]) -> Option<Vec<u8>> {
    const KEPT: [&[u8; 4]; 7] = [b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"];
    /// §2.7.1: the flags that say there is Exif and XMP.
    const EXIF_AND_XMP: u8 = 0x08 | 0x04;
    let size = usize::try_from(u32::from_le_bytes(*file.get(4..)?.first_chunk()?)).ok()?;
    let mut rest = file.get(12..size.checked_add(8)?)?;
    let mut kept = b"WEBP".to_vec();
    while !rest.is_empty() {
        let length = usize::try_from(u32::from_le_bytes(*rest.get(4..)?.first_chunk()?)).ok()?;
        let (chunk, after) = rest.split_at_checked(length.checked_add(length % 2)?.checked_add(8)?)?;
        if KEPT.iter().any(|known| chunk.starts_with(*known)) {
            let start = kept.len();
            kept.extend_from_slice(chunk);
            if let Some(flags) = kept.get_mut(start + 8).filter(|_| chunk.starts_with(b"VP8X")) {
                *flags &= !EXIF_AND_XMP;
            }
        }
        rest = after;
    }
    let mut file = b"RIFF".to_vec();
    file.extend(u32::try_from(kept.len()).ok()?.to_le_bytes());
    file.extend(kept);
    Some(file)
}

#[cfg(test)]
mod tests;
