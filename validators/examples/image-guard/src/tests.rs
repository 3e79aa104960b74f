use proptest::prelude::*;
use weir_validator_sdk::objects::{Judged, judge_object};

use super::*;
use crate::kind::Kind;
use crate::samples::{self, png_chunk, segment, webp_chunk, webp_container};

/// What becomes of an object that is called so and comes in these chunks.
fn judged_in(config: &str, object: &Object<'_>, chunks: &[&[u8]]) -> Judged {
    let mut guard = ImageGuard::new(Config::new(config)).unwrap();
    judge_object(&mut guard, object, chunks.iter().copied()).unwrap()
}

fn judged(config: &str, bytes: &[u8]) -> Judged {
    judged_in(config, &Object::new("pictures", "holiday"), &[bytes])
}

fn reason(judged: Judged) -> String {
    match judged {
        Judged::Rejected(reason) => reason,
        Judged::Stored { bytes, .. } => panic!("stored as {}", bytes.escape_ascii()),
    }
}

fn bytes(judged: Judged) -> Vec<u8> {
    match judged {
        Judged::Stored { bytes, .. } => bytes,
        Judged::Rejected(reason) => panic!("{reason}"),
    }
}

#[test]
fn metadata_goes_and_the_picture_stays() {
    for sample in samples::all() {
        let stored = Judged::Stored { bytes: sample.stored(), media_type: Some(sample.kind.media_type().to_owned()) };
        assert_eq!(judged("{}", &sample.sent()), stored);
        assert_eq!(judged("{}", &sample.stored()), stored, "what is clean stays as it is");
        assert_eq!(
            judged(r#"{"metadata": "keep"}"#, &sample.sent()),
            Judged::Stored { bytes: sample.sent(), media_type: Some(sample.kind.media_type().to_owned()) }
        );
    }
}

#[test]
fn the_profile_goes_on_request() {
    let config = r#"{"colorProfile": "strip"}"#;
    for sample in [samples::jpeg(), samples::png(), samples::gif(), samples::webp()] {
        let has_profile = |bytes: &[u8]| bytes.windows(7).any(|window| window == b"profile");
        assert!(has_profile(&sample.stored()));
        let stored = bytes(judged(config, &sample.sent()));
        assert!(!has_profile(&stored), "{}", stored.escape_ascii());
        assert_eq!(judged(config, &stored), judged(config, &sample.sent()));
    }
    let webp = bytes(judged(config, &samples::webp().sent()));
    assert_eq!(webp[20], 0x10, "only the flag of transparency stays");
}

#[test]
fn a_webp_container_says_its_length() {
    for sample in [samples::webp(), samples::animated_webp(), samples::simple_webp()] {
        let stored = bytes(judged("{}", &sample.sent()));
        assert_eq!(usize::try_from(u32::from_le_bytes(stored[4..8].try_into().unwrap())).unwrap() + 8, stored.len());
    }
}

#[test]
fn sizes_are_held_to_limits() {
    for sample in samples::all() {
        let limit = |config| reason(judged(config, &sample.sent()));
        assert_eq!(limit(r#"{"maxWidth": 639}"#), "the image is 640 by 480 pixels; the limit is a width of 639");
        assert_eq!(limit(r#"{"maxHeight": 479}"#), "the image is 640 by 480 pixels; the limit is a height of 479");
        assert_eq!(limit(r#"{"maxPixels": 307199}"#), "the image is 640 by 480 pixels; the limit is 307199 pixels");
        assert_eq!(limit(r#"{"maxBytes": 40}"#), "it has more than 40 bytes, which is the limit");
        let exact = format!(r#"{{"maxWidth": 640, "maxHeight": 480, "maxPixels": 307200, "maxBytes": {}}}"#, sample.sent().len());
        assert_eq!(bytes(judged(&exact, &sample.sent())), sample.stored());
    }
    let object = Object::new("pictures", "holiday").of_size(101);
    assert_eq!(
        judged_in(r#"{"maxBytes": 100}"#, &object, &[]),
        Judged::Rejected("it has more than 100 bytes, which is the limit".to_owned())
    );
}

#[test]
fn what_is_said_has_to_be_true() {
    let png = samples::png().sent();
    let rejected = |object: Object<'_>, bytes: &[u8]| reason(judged_in("{}", &object, &[bytes]));
    let named = |name| Object::new("pictures", name);
    assert_eq!(
        rejected(named("a.png").of_type("image/jpeg"), &png),
        "the media type is image/jpeg, but the content is a PNG image"
    );
    assert_eq!(rejected(named("a/b.JPG").of_type("image/png"), &png), "the name ends in .JPG, but the content is a PNG image");
    assert_eq!(rejected(named("a").of_type("text/html"), &png), "the media type is text/html, but the content is a PNG image");
    assert_eq!(rejected(named("a.svg"), b"<svg/>"), "the name ends in .svg, but the content is no image that is known here");
    assert_eq!(rejected(named("a"), b"BM\0\0\0\0\0\0\0\0"), "the content is a BMP image; allowed are JPEG, PNG, GIF, WebP");
    assert_eq!(rejected(named("a"), b"hello"), "the content is no image that is known here; allowed are JPEG, PNG, GIF, WebP");
    assert_eq!(rejected(named("a"), b""), "the content is no image that is known here; allowed are JPEG, PNG, GIF, WebP");
    assert_eq!(reason(judged(r#"{"allow": ["jpeg"]}"#, &png)), "the content is a PNG image; allowed are JPEG");
}

#[test]
fn a_mismatch_is_corrected_on_request() {
    let png = samples::png();
    let corrected = |object: Object<'_>| judged_in(r#"{"onMismatch": "correct"}"#, &object, &[&png.sent()]);
    let stored = |media_type: Option<&str>| Judged::Stored { bytes: png.stored(), media_type: media_type.map(str::to_owned) };
    assert_eq!(corrected(Object::new("pictures", "a.jpg").of_type("image/jpeg")), stored(Some("image/png")));
    assert_eq!(corrected(Object::new("pictures", "a.jpg").of_type("image/png")), stored(None));
    assert_eq!(corrected(Object::new("pictures", "a").of_type("image/x-png")), stored(Some("image/png")));
}

#[test]
fn other_files_pass_on_request_unless_they_say_that_they_are_images() {
    let config = r#"{"otherFiles": "pass", "maxBytes": 40}"#;
    let text: &[u8] = b"only a text, longer than what is held back";
    let chunks: Vec<_> = text[..40].chunks(7).collect();
    let object = Object::new("files", "notes.txt").of_type("text/plain");
    assert_eq!(judged_in(config, &object, &chunks), Judged::Stored { bytes: text[..40].to_vec(), media_type: None });
    assert_eq!(judged(config, b""), Judged::Stored { bytes: vec![], media_type: None });
    assert_eq!(reason(judged(config, text)), "it has more than 40 bytes, which is the limit");
    let lying = Object::new("files", "notes").of_type("image/png");
    let said = "the media type is image/png, but the content is no image that is known here";
    assert_eq!(reason(judged_in(config, &lying, &chunks)), said);
}

#[test]
fn what_is_cut_off_anywhere_is_rejected() {
    for sample in samples::all() {
        let whole = sample.sent();
        for end in 0..whole.len() {
            match judged("{}", &whole[..end]) {
                Judged::Rejected(_) => {}
                // What followed the image, in part.
                Judged::Stored { bytes, .. } => assert_eq!(bytes, sample.stored()),
            }
        }
    }
    let half = &samples::png().sent()[..60];
    assert_eq!(reason(judged("{}", half)), "the image ends before its end: send all of it");
}

#[test]
fn damaged_images_are_rejected() {
    let start: &[u8] = &[0xff, 0xd8];
    let frame = segment(0xc0, &[8, 0, 1, 0, 1, 1, 1, 0x11, 0]);
    let jpeg = |rest: &[&[u8]]| reason(judged("{}", &[&[start], rest].concat().concat()));
    assert_eq!(jpeg(&[&segment(0xda, &[1, 1, 0, 0, 63, 0])]), "the JPEG image begins before it says how large it is");
    assert_eq!(jpeg(&[&frame, &[0xff, 0xd9]]), "the JPEG image has no picture in it");
    assert_eq!(jpeg(&[&segment(0xc0, &[8, 0, 0, 0, 1, 1])]), "the image is 1 by 0 pixels, which is none");
    assert_eq!(jpeg(&[&[0xff, 0xbf, 0, 2]]), "the JPEG image has a marker ffbf, which does not belong there");
    for rest in [b"\xff\xfe\0\0" as &[u8], b"\xff\xfe\0\x01", b"\xff\xc0\0\x02", b"\xff\xfe\0\x02text", b"\xff\xd8\xff\xd8"] {
        assert_eq!(jpeg(&[rest]), "the JPEG image is damaged: its segments do not follow each other");
    }

    let signature: &[u8] = b"\x89PNG\r\n\x1a\n";
    let header = png_chunk(*b"IHDR", b"\0\0\0\x01\0\0\0\x01\x08\0\0\0\0");
    let png = |rest: &[&[u8]]| reason(judged("{}", &[&[signature], rest].concat().concat()));
    let twice = "the PNG image does not begin with a header, or has two";
    assert_eq!(png(&[&png_chunk(*b"IDAT", b"a")]), twice);
    assert_eq!(png(&[&header, &header]), twice);
    assert_eq!(png(&[&header, &png_chunk(*b"IEND", b"")]), "the PNG image has no picture in it");
    assert_eq!(png(&[&header, &png_chunk(*b"NEWS", b"")]), "the PNG image needs a chunk NEWS, which is unknown");
    let damaged = "the PNG image is damaged: its chunks do not follow each other";
    assert_eq!(png(&[&header, b"\x80\0\0\0tEXt"]), damaged);
    assert_eq!(png(&[&header, b"\0\0\0\0tE t"]), damaged);

    let gif = |rest: &[u8]| reason(judged("{}", &[b"GIF89a\x01\0\x01\0\0\0\0", rest].concat()));
    assert_eq!(gif(b"\x3b  "), "the GIF image has no picture in it");
    assert_eq!(gif(b"\0\0\0"), "the GIF image is damaged: its blocks do not follow each other");
    assert_eq!(gif(b"\x21\xff\x04NETSCAPE2.0"), "the GIF image is damaged: its blocks do not follow each other");

    let extended = webp_chunk(*b"VP8X", &[0; 10]);
    let webp = |chunks: &[u8]| reason(judged("{}", &[webp_container(chunks), chunks.to_vec()].concat()));
    assert_eq!(webp(&[extended.clone(), webp_chunk(*b"EXIF", b"")].concat()), "the WebP image has no picture in it");
    let damaged = "the WebP image is damaged: its chunks do not follow each other";
    let frame = |inner: &[u8]| webp_chunk(*b"ANMF", &[&[0; 16], inner].concat());
    for second in
        [extended.clone(), frame(&frame(b"")), frame(b"EXIF\x02\0\0\0"), b"EXIF\xff\xff\xff\xff".to_vec(), b"odd?".to_vec()]
    {
        assert_eq!(webp(&[extended.clone(), second].concat()), damaged);
    }
    assert_eq!(webp(&webp_chunk(*b"EXIF", b"first")), damaged);
    assert_eq!(webp(&webp_chunk(*b"VP8 ", b"\x11\0\0\x9d\x01\x2a\x01\0\x01\0")), damaged);
    assert_eq!(reason(judged("{}", b"RIFF\x0d\0\0\0WEBPVP8L\0\0\0\0")), damaged);
}

#[test]
fn an_empty_scan_of_chunks_is_none() {
    // As Weir never does: an empty chunk changes nothing.
    let sample = samples::jpeg();
    let (start, rest) = (&sample.sent()[..1], &sample.sent()[1..]);
    let chunks: [&[u8]; 5] = [b"", start, b"", rest, b""];
    assert_eq!(bytes(judged_in("{}", &Object::new("pictures", "a"), &chunks)), sample.stored());
}

#[test]
fn what_passes_unchanged_is_not_copied() {
    for kind in Kind::ALL {
        let sample = samples::all().into_iter().find(|sample| sample.kind == kind).unwrap();
        let mut guard = ImageGuard::new(Config::new("{}")).unwrap();
        assert_eq!(guard.chunk(&sample.stored()), Ok(Piece::Keep));
    }
}

/// Settings that lead different ways.
const CONFIGS: [&str; 4] = [
    "{}",
    r#"{"metadata": "keep", "maxWidth": 700}"#,
    r#"{"colorProfile": "strip", "maxBytes": 300}"#,
    r#"{"otherFiles": "pass", "allow": ["png", "webp"]}"#,
];

/// Bytes of an image in which some are others, or bytes that only begin as an image does.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let damaged = (prop::sample::select(samples::all().to_vec()), damage).prop_map(|(sample, damage)| {
        let mut bytes = sample.sent();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    });
    let beginnings = prop::sample::select(samples::all().map(|sample| sample.sent()).to_vec());
    let invented = (beginnings, any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(
        |(mut bytes, end, rest)| {
            bytes.truncate(end.index(60));
            bytes.extend(rest);
            bytes
        },
    );
    prop_oneof![damaged, invented]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_chunks_make_no_difference(
        bytes in hostile(),
        config in prop::sample::select(CONFIGS.to_vec()),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let object = Object::new("pictures", "holiday");
        let whole = judged_in(config, &object, &[&bytes]);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(&judged_in(config, &object, &chunks), &whole);
        let single: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(&judged_in(config, &object, &single), &whole);
    }

    #[test]
    fn what_passes_is_no_longer_and_passes_again(bytes in hostile(), config in prop::sample::select(CONFIGS.to_vec())) {
        if let Judged::Stored { bytes: stored, .. } = judged(config, &bytes) {
            prop_assert!(stored.len() <= bytes.len());
            prop_assert_eq!(judged(config, &stored), judged(config, &bytes));
        }
    }

    #[test]
    fn a_length_takes_no_memory(length in any::<u32>(), kind in prop::sample::select(Kind::ALL.to_vec())) {
        let claim = match kind {
            Kind::Png => [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0crc!", length.to_be_bytes().as_slice(), b"tEXt"].concat(),
            Kind::Webp => [b"RIFF", length.to_le_bytes().as_slice(), b"WEBPVP8X\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0EXIF", &length.to_le_bytes()].concat(),
            Kind::Jpeg => [b"\xff\xd8\xff\xe1", &length.to_be_bytes()[2..], &[0; 12]].concat(),
            Kind::Gif => [b"GIF89a\x01\0\x01\0", &length.to_le_bytes()[..], &[0; 12]].concat(),
        };
        let mut guard = ImageGuard::new(Config::new("{}")).unwrap();
        let mut passed = Vec::new();
        // An error is fine, as is waiting for more; what passed is never more than what came.
        let _ = guard.look(&claim, &mut passed);
        prop_assert!(passed.capacity() <= 4 * claim.len());
    }
}
