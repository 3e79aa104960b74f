//! Kinds of images: by their first bytes, by a media type, by the end of a name.

use serde::Deserialize;

use crate::gif::Gif;
use crate::jpeg::Jpeg;
use crate::png::Png;
use crate::rules::Picture;
use crate::walk::Format;
use crate::webp::Webp;

/// First bytes that are enough to tell what something is.
pub(crate) const FRONT: usize = 16;

/// A kind of image that this validator can look into.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    Jpeg,
    Png,
    Gif,
    Webp,
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Content {
    Image(Kind),
    /// An image of another kind: its name.
    OtherImage(&'static str),
    Unknown,
}

/// What a media type or a name says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Claim {
    Image(Kind),
    OtherImage,
    NoImage,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::Gif, Self::Webp];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::Webp => "WebP",
        }
    }

    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }

    /// What knows how such an image is made.
    pub(crate) fn format(self, picture: Picture) -> Box<dyn Format> {
        match self {
            Self::Jpeg => Box::new(Jpeg::new(picture)),
            Self::Png => Box::new(Png::new(picture)),
            Self::Gif => Box::new(Gif::new(picture)),
            Self::Webp => Box::new(Webp::new(picture)),
        }
    }
}

impl Content {
    /// What something is by its first [`FRONT`] bytes, or by all that it has.
    pub(crate) fn of(front: &[u8]) -> Self {
        match front {
            [0xff, 0xd8, 0xff, ..] => Self::Image(Kind::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Self::Image(Kind::Png),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Self::Image(Kind::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::Image(Kind::Webp),
            [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => Self::OtherImage("TIFF"),
            [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Self::OtherImage("BMP"),
            [0, 0, 1 | 2, 0, 1..=255, 0, ..] => Self::OtherImage("ICO"),
            [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Self::OtherImage("JPEG XL"),
            [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] => Self::OtherImage("JPEG 2000"),
            [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand {
                [b'a', b'v', b'i', b'f' | b's', ..] => Self::OtherImage("AVIF"),
                [b'h', b'e', b'i' | b'v', b'c' | b'x' | b'm' | b's', ..] | [b'm', b'i' | b's', b'f', b'1', ..] => {
                    Self::OtherImage("HEIF")
                }
                _ => Self::Unknown,
            },
            _ => Self::Unknown,
        }
    }
}

impl Claim {
    /// What a media type says; nothing, if it stands for any bytes.
    pub(crate) fn of_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "" | "application/octet-stream" | "binary/octet-stream" => None,
            "image/jpeg" | "image/jpg" | "image/pjpeg" => Some(Self::Image(Kind::Jpeg)),
            "image/png" | "image/x-png" | "image/apng" => Some(Self::Image(Kind::Png)),
            "image/gif" => Some(Self::Image(Kind::Gif)),
            "image/webp" => Some(Self::Image(Kind::Webp)),
            other if other.starts_with("image/") => Some(Self::OtherImage),
            _ => Some(Self::NoImage),
        }
    }

    /// What the end of a name says; nothing, if it is not one of images.
    pub(crate) fn of_ending(ending: &str) -> Option<Self> {
        match ending.to_ascii_lowercase().as_str() {
            "jpg" | "jpeg" | "jpe" | "jfif" => Some(Self::Image(Kind::Jpeg)),
            "png" | "apng" => Some(Self::Image(Kind::Png)),
            "gif" => Some(Self::Image(Kind::Gif)),
            "webp" => Some(Self::Image(Kind::Webp)),
            "avif" | "bmp" | "heic" | "heif" | "ico" | "jp2" | "jxl" | "svg" | "svgz" | "tif" | "tiff" => Some(Self::OtherImage),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_what_it_is() {
        assert_eq!(Content::of(b"\xff\xd8\xff\xe0"), Content::Image(Kind::Jpeg));
        assert_eq!(Content::of(b"RIFF\0\0\0\0WEBPVP8 "), Content::Image(Kind::Webp));
        assert_eq!(Content::of(b"RIFF\0\0\0\0WAVEfmt "), Content::Unknown);
        assert_eq!(Content::of(b"\0\0\0\x1cftypavif\0\0\0\0"), Content::OtherImage("AVIF"));
        assert_eq!(Content::of(b"\0\0\0\x18ftypheic\0\0\0\0"), Content::OtherImage("HEIF"));
        assert_eq!(Content::of(b"\0\0\0\x18ftypmp42\0\0\0\0"), Content::Unknown);
        assert_eq!(Content::of(b"BM is a text here"), Content::Unknown);
        assert_eq!(Content::of(b"GIF89"), Content::Unknown);
        assert_eq!(Content::of(b""), Content::Unknown);
    }

    #[test]
    fn media_types_and_endings_are_read_in_any_case() {
        assert_eq!(Claim::of_media_type("Image/JPG; q=1"), Some(Claim::Image(Kind::Jpeg)));
        assert_eq!(Claim::of_media_type("image/svg+xml"), Some(Claim::OtherImage));
        assert_eq!(Claim::of_media_type("text/html"), Some(Claim::NoImage));
        assert_eq!(Claim::of_media_type("application/octet-stream"), None);
        assert_eq!(Claim::of_ending("PNG"), Some(Claim::Image(Kind::Png)));
        assert_eq!(Claim::of_ending("txt"), None);
    }
}
