//! Photos written by Pillow 12, which has its own writer of Exif: 39° 28′ 11.64″ N, 0° 22′ 33.6″ W, orientation 6.

use super::*;

const JPEG: &[u8] = include_bytes!("../../testdata/photo-with-position.jpg");
const PNG: &[u8] = include_bytes!("../../testdata/photo-with-position.png");
const WEBP: &[u8] = include_bytes!("../../testdata/photo-with-position.webp");
const PLAIN: &[u8] = include_bytes!("../../testdata/photo-without-position.jpg");

fn has(file: &[u8], text: &[u8]) -> bool {
    file.windows(text.len()).any(|window| window == text)
}

#[test]
fn a_photo_says_where_it_was_taken_and_how_it_was_held() {
    for photo in [JPEG, PNG, WEBP] {
        assert_eq!(position(photo), Some(Location { lat: 39.469_9, long: -0.376 }));
        assert_eq!(orientation(photo), Some(6));
    }
    assert_eq!((position(PLAIN), orientation(PLAIN)), (None, None));
}

#[test]
fn what_is_published_says_nothing_beside_the_picture() {
    for (photo, what) in [(JPEG, Kind::Jpeg), (PNG, Kind::Png), (WEBP, Kind::Webp)] {
        assert!(has(photo, b"A. Citizen"), "the test shows nothing if it is not there before");
        let mut trailed = photo.to_vec();
        if what != Kind::Webp {
            trailed.extend_from_slice(b"video of the same moment");
        }
        let clean = published(&trailed).unwrap();
        assert_eq!((kind(&clean), position(&clean), orientation(&clean)), (Some(what), None, None));
        for text in
            [b"A. Citizen".as_slice(), b"Fictional", b"written by hand", b"Exif\0", b"eXIf", b"EXIF", b"same moment"]
        {
            assert!(!has(&clean, text), "{what:?} {}", String::from_utf8_lossy(text));
        }
        assert_eq!(published(&clean), Some(clean.clone()), "what is clean stays as it is");
    }
}

#[test]
fn a_plain_photo_is_published_bit_by_bit_in_what_is_drawn() {
    let start = PLAIN.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    assert!(has(&published(PLAIN).unwrap(), &PLAIN[start..]));
}

#[test]
fn what_is_damaged_is_a_photo_but_never_published() {
    let cut = &JPEG[..JPEG.len() - 9];
    assert_eq!((kind(cut), published(cut)), (Some(Kind::Jpeg), None));
    assert_eq!(published(&PNG[..PNG.len() - 9]), None);
    assert_eq!(published(&WEBP[..WEBP.len() - 9]), None);
}

#[test]
fn a_name_does_not_make_a_photo() {
    for file in [
        b"".as_slice(),
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\0\x04xx",
        b"%PDF-1.7",
        b"<svg/>",
        b"GIF8",
        b"PK\x03\x04",
        b"RIFF\0\0\0\0WAVE",
    ] {
        assert_eq!((kind(file), published(file), position(file)), (None, None, None), "{file:?}");
    }
    assert_eq!(kind(b"\0\0\0\x18ftypheic\0\0\0\0").map(Kind::media_type), Some("image/heif"));
}

#[test]
fn no_prefix_and_no_changed_byte_panics_or_gives_a_place_off_the_earth() {
    for photo in [JPEG, PNG, WEBP] {
        // The picture itself is not read, only what stands around it.
        for at in 0..photo.len().min(900) {
            let mut changed = photo[..at].to_vec();
            let look = |file: &[u8]| {
                let _ = (kind(file), orientation(file), published(file));
                if let Some(place) = position(file) {
                    assert!(place.lat.abs() <= 90.0 && place.long.abs() <= 180.0);
                }
            };
            look(&changed);
            changed = photo.to_vec();
            for value in [0, 1, 0x7f, 0xff, photo[at] ^ 1] {
                changed[at] = value;
                look(&changed);
            }
        }
    }
}
