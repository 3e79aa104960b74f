//! What may pass, and the words for what may not.

use weir_validator_sdk::Object;

use crate::kind::{Claim, Content, Kind};
use crate::settings::{OnMismatch, OtherFiles};
use crate::walk::Fate;

/// What may pass.
pub(crate) struct Rules {
    pub(crate) allow: Vec<Kind>,
    pub(crate) max_bytes: u64,
    pub(crate) picture: Picture,
    pub(crate) on_mismatch: OnMismatch,
    pub(crate) other_files: OtherFiles,
}

/// What may be in an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture {
    pub(crate) max_width: u32,
    pub(crate) max_height: u32,
    pub(crate) max_pixels: u64,
    pub(crate) strip: bool,
    pub(crate) strip_profile: bool,
}

/// What the sender says that an object is.
#[derive(Default)]
pub(crate) struct Claims {
    media_type: Option<String>,
    ending: Option<String>,
    /// What its content turned out to be.
    kind: Option<Kind>,
}

impl Rules {
    pub(crate) fn too_large(&self) -> String {
        format!("it has more than {} bytes, which is the limit", self.max_bytes)
    }

    /// Whether something may pass that is this and is said to be that; an error says why not.
    pub(crate) fn admit(&self, content: Content, claims: &Claims) -> Result<(), String> {
        match content {
            Content::OtherImage(name) => Err(format!("the content is {} {name} image; {}", article(name), self.allowed())),
            Content::Image(kind) if !self.allow.contains(&kind) => {
                Err(format!("the content is {} {} image; {}", article(kind.name()), kind.name(), self.allowed()))
            }
            Content::Image(kind) => match claims.against(|claim| claim != Claim::Image(kind)) {
                Some(claim) if self.on_mismatch == OnMismatch::Reject => {
                    Err(format!("{claim}, but the content is {} {} image", article(kind.name()), kind.name()))
                }
                _ => Ok(()),
            },
            Content::Unknown => match claims.against(|claim| claim != Claim::NoImage) {
                // Not to be corrected: there is nothing to say what it is.
                Some(claim) => Err(format!("{claim}, but the content is no image that is known here")),
                None if self.other_files == OtherFiles::Pass => Ok(()),
                None => Err(format!("the content is no image that is known here; {}", self.allowed())),
            },
        }
    }

    fn allowed(&self) -> String {
        let names: Vec<_> = self.allow.iter().map(|kind| kind.name()).collect();
        if names.is_empty() { "no image is allowed".to_owned() } else { format!("allowed are {}", names.join(", ")) }
    }
}

impl Claims {
    pub(crate) fn of(object: &Object<'_>) -> Self {
        let file = object.name.rsplit('/').next().unwrap_or_default();
        let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_owned());
        Self { media_type: object.media_type.map(str::to_owned), ending, kind: None }
    }

    /// Takes note of what the content is.
    pub(crate) fn settle(&mut self, content: Content) {
        if let Content::Image(kind) = content {
            self.kind = Some(kind);
        }
    }

    /// The media type to be stored, where it is another than the sender gave.
    pub(crate) fn correction(&self) -> Option<String> {
        let right = self.kind?.media_type();
        (self.media_type.as_deref() != Some(right)).then(|| right.to_owned())
    }

    /// The first claim that is wrong, in words.
    fn against(&self, wrong: impl Fn(Claim) -> bool) -> Option<String> {
        let said = |text: &Option<String>, read: fn(&str) -> Option<Claim>| text.as_deref().and_then(read).is_some_and(&wrong);
        if said(&self.media_type, Claim::of_media_type) {
            return Some(format!("the media type is {}", self.media_type.as_deref().unwrap_or_default()));
        }
        said(&self.ending, Claim::of_ending).then(|| format!("the name ends in .{}", self.ending.as_deref().unwrap_or_default()))
    }
}

impl Picture {
    /// Holds a width and a height to the limits.
    pub(crate) fn measure(&self, width: u32, height: u32) -> Result<(), String> {
        let Self { max_width, max_height, max_pixels, .. } = *self;
        let limit = if width == 0 || height == 0 {
            return Err(format!("the image is {width} by {height} pixels, which is none"));
        } else if width > max_width {
            format!("a width of {max_width}")
        } else if height > max_height {
            format!("a height of {max_height}")
        } else if u64::from(width) * u64::from(height) > max_pixels {
            format!("{max_pixels} pixels")
        } else {
            return Ok(());
        };
        Err(format!("the image is {width} by {height} pixels; the limit is {limit}"))
    }

    /// What becomes of metadata.
    pub(crate) fn metadata(&self) -> Fate {
        if self.strip { Fate::Drop } else { Fate::Keep }
    }

    /// What becomes of a colour profile.
    pub(crate) fn profile(&self) -> Fate {
        if self.strip_profile { Fate::Drop } else { Fate::Keep }
    }
}

fn article(name: &str) -> &'static str {
    if name.starts_with(['A', 'I']) { "an" } else { "a" }
}
