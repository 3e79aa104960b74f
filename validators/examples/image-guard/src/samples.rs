//! Images of all kinds, made by hand: as they are sent, and as they are stored.

use crate::kind::Kind;

/// An image in parts: each as it is sent and as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) kind: Kind,
    parts: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Sample {
    fn new(kind: Kind) -> Self {
        Self { kind, parts: Vec::new() }
    }

    fn kept(self, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        self.changed(bytes.clone(), bytes)
    }

    fn dropped(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.changed(bytes, [])
    }

    fn changed(mut self, sent: impl Into<Vec<u8>>, stored: impl Into<Vec<u8>>) -> Self {
        self.parts.push((sent.into(), stored.into()));
        self
    }

    pub(crate) fn sent(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|(sent, _)| sent.clone()).collect()
    }

    pub(crate) fn stored(&self) -> Vec<u8> {
        self.parts.iter().flat_map(|(_, stored)| stored.clone()).collect()
    }
}

pub(crate) fn all() -> [Sample; 6] {
    [jpeg(), png(), gif(), webp(), animated_webp(), simple_webp()]
}

/// A segment of a JPEG image.
pub(crate) fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker], length.as_slice(), payload].concat()
}

/// 640 by 480 pixels, in two scans.
pub(crate) fn jpeg() -> Sample {
    Sample::new(Kind::Jpeg)
        .kept([0xff, 0xd8])
        .kept(segment(0xe0, b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0"))
        .dropped(segment(0xe0, b"JFXX\0\x10thumbnail"))
        .dropped(segment(0xe1, b"Exif\0\0MM\0*\xff\xd9\xff\xda where and when"))
        .dropped(segment(0xe1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"))
        .kept(segment(0xe2, b"ICC_PROFILE\0\x01\x01profile"))
        .dropped(segment(0xe2, b"MPF\0more pictures"))
        .dropped(segment(0xe2, b""))
        .dropped(segment(0xed, b"Photoshop 3.0\08BIM"))
        .kept(segment(0xee, b"Adobe\0\x64\0\0\0\0\x01"))
        .dropped(segment(0xfe, b"a comment"))
        .kept(segment(0xdb, &[1; 65]))
        .kept([0xff, 0xff])
        .kept(segment(0xc2, &[8, 1, 0xe0, 2, 0x80, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]))
        .kept(segment(0xc4, &[0; 20]))
        .kept(segment(0xda, &[3, 1, 0, 2, 0, 3, 0, 0, 0, 0]))
        // The last byte fills up before the segment.
        .kept(*b"coded\xff\x00data\xff\xd0and\xff\xd7more\xff")
        .dropped(segment(0xe1, b"Exif\0\0between scans"))
        .kept(segment(0xda, &[1, 1, 0, 1, 63, 0]))
        .kept(*b"\xff\x00\xff\x00")
        .kept([0xff, 0xd9])
        .dropped(*b"a film of the same moment")
}

/// A chunk of a PNG image. Nobody here looks at checksums.
pub(crate) fn png_chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [length.as_slice(), &kind, data, b"\xc5\xc5\xc5\xc5"].concat()
}

/// 640 by 480 pixels.
pub(crate) fn png() -> Sample {
    Sample::new(Kind::Png)
        .kept(*b"\x89PNG\r\n\x1a\n")
        .kept(png_chunk(*b"IHDR", b"\0\0\x02\x80\0\0\x01\xe0\x08\x03\0\0\0"))
        .kept(png_chunk(*b"iCCP", b"profile\0\0zipped"))
        .dropped(png_chunk(*b"eXIf", b"MM\0*where and when"))
        .dropped(png_chunk(*b"tEXt", b"Author\0Ada"))
        .dropped(png_chunk(*b"zTXt", b"Comment\0\0zipped"))
        .dropped(png_chunk(*b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta/>"))
        .dropped(png_chunk(*b"tIME", b"\x07\xea\x01\x02\x03\x04\x05"))
        .dropped(png_chunk(*b"caBX", b"credentials"))
        .dropped(png_chunk(*b"tEXt", b""))
        .kept(png_chunk(*b"gAMA", b"\0\0\xb1\x8f"))
        .kept(png_chunk(*b"PLTE", &[7; 9]))
        .kept(png_chunk(*b"tRNS", &[0]))
        .kept(png_chunk(*b"IDAT", b"zipped pixels"))
        .kept(png_chunk(*b"IDAT", b""))
        .dropped(png_chunk(*b"tEXt", b"Author\0Ada"))
        .kept(png_chunk(*b"IEND", b""))
        .dropped(*b"and an archive")
}

/// 640 by 480 pixels, two frames.
pub(crate) fn gif() -> Sample {
    Sample::new(Kind::Gif)
        .kept(*b"GIF89a\x80\x02\xe0\x01\x80\0\0")
        .kept([9; 6])
        .kept(*b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")
        .kept(*b"\x21\xff\x0bICCRGBG1012\x07profile\0")
        .dropped(*b"\x21\xff\x0bXMP DataXMP\x0c<x:xmpmeta/>\x02\x3b\x2c\0")
        .dropped(*b"\x21\xfe\x03Ada\x04\x3b\x3b\x3b\x3b\0")
        .kept(*b"\x21\xf9\x04\0\0\0\0\0")
        .kept(*b"\x2c\0\0\0\0\x80\x02\xe0\x01\0\x02\x05coded\x03two\0")
        .kept(*b"\x2c\0\0\0\0\x01\0\x01\0\x81\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x02\x01\x3b\0")
        .dropped(*b"\x21\xfe\0")
        .kept([0x3b])
        .dropped(*b"<script>")
}

/// A chunk of a WebP image.
pub(crate) fn webp_chunk(name: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
    let pad: &[u8] = if payload.len() % 2 == 0 { &[] } else { &[0] };
    [&name, length.as_slice(), payload, pad].concat()
}

/// The container of chunks.
pub(crate) fn webp_container(chunks: &[u8]) -> Vec<u8> {
    let size = u32::try_from(chunks.len() + 4).unwrap().to_le_bytes();
    [b"RIFF", size.as_slice(), b"WEBP"].concat()
}

/// A lossy picture of 640 by 480 pixels.
fn lossy() -> Vec<u8> {
    webp_chunk(*b"VP8 ", b"\x10\0\0\x9d\x01\x2a\x80\x02\xe0\x01coded")
}

/// A lossless one.
fn lossless() -> Vec<u8> {
    webp_chunk(*b"VP8L", &[&[0x2f][..], b"\x7f\xc2\x77\0", b"coded!"].concat())
}

/// Puts parts into a container, with a changed part for each chunk that becomes zeros.
fn contained(chunks: &[(Vec<u8>, bool)]) -> Sample {
    let all: Vec<u8> = chunks.iter().flat_map(|(chunk, _)| chunk.clone()).collect();
    let sample = Sample::new(Kind::Webp).kept(webp_container(&all));
    let sample = chunks.iter().fold(sample, |sample, (chunk, stays)| {
        let zeros = [b"JUNK", &chunk[4..8], &vec![0; chunk.len() - 8]].concat();
        if *stays { sample.kept(chunk.clone()) } else { sample.changed(chunk.clone(), zeros) }
    });
    sample.dropped(*b"and more")
}

/// With a profile and all kinds of metadata.
pub(crate) fn webp() -> Sample {
    let mut sample = contained(&[
        (webp_chunk(*b"VP8X", b"\x3c\0\0\0\x7f\x02\0\xdf\x01\0"), true),
        (webp_chunk(*b"ICCP", b"profile"), true),
        (webp_chunk(*b"ALPH", b"alpha"), true),
        (lossy(), true),
        (webp_chunk(*b"EXIF", b"MM\0*where and when"), false),
        (webp_chunk(*b"XMP ", b"<x:xmpmeta/>"), false),
        (webp_chunk(*b"what", b""), false),
    ]);
    // The flags of the profile and of transparency stay, those of Exif and XMP go.
    sample.parts[1].1[8] = 0x30;
    sample
}

/// Two frames, with metadata between and in them.
pub(crate) fn animated_webp() -> Sample {
    let frame = |chunks: &[u8]| webp_chunk(*b"ANMF", &[&b"\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0\x64\0\0\0"[..], chunks].concat());
    let second = frame(&[lossless(), webp_chunk(*b"EXIF", b"in a frame")].concat());
    let (start, inner) = second.split_at(24);
    let (picture, metadata) = inner.split_at(lossless().len());
    contained(&[
        (webp_chunk(*b"VP8X", b"\x02\0\0\0\x7f\x02\0\xdf\x01\0"), true),
        (webp_chunk(*b"ANIM", &[0; 6]), true),
        (frame(&lossy()), true),
        (webp_chunk(*b"XMP ", b"between frames"), false),
        (start.to_vec(), true),
        (picture.to_vec(), true),
        (metadata.to_vec(), false),
    ])
}

/// Without the chunk that announces others; it may have them all the same.
pub(crate) fn simple_webp() -> Sample {
    contained(&[(lossless(), true), (webp_chunk(*b"EXIF", b"where and when"), false)])
}
