//! What the validator is deployed with.

use serde::Deserialize;

use crate::kind::Kind;
use crate::rules::{Picture, Rules};

/// The configuration as it is written.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Settings {
    allow: Vec<Kind>,
    max_bytes: u64,
    max_width: u32,
    max_height: u32,
    max_pixels: u64,
    on_mismatch: OnMismatch,
    metadata: Metadata,
    color_profile: ColorProfile,
    other_files: OtherFiles,
}

/// What becomes of an image that is not what its media type or its name says.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum OnMismatch {
    #[default]
    Reject,
    /// It gets the media type of what it is.
    Correct,
}

/// What becomes of an image's metadata.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Metadata {
    #[default]
    Strip,
    Keep,
}

/// What becomes of an image's colour profile, where other metadata is stripped.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ColorProfile {
    Strip,
    #[default]
    Keep,
}

/// What becomes of files that are no images and do not say that they are.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum OtherFiles {
    #[default]
    Reject,
    Pass,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow: Kind::ALL.to_vec(),
            max_bytes: u64::MAX,
            max_width: u32::MAX,
            max_height: u32::MAX,
            max_pixels: u64::MAX,
            on_mismatch: OnMismatch::default(),
            metadata: Metadata::default(),
            color_profile: ColorProfile::default(),
            other_files: OtherFiles::default(),
        }
    }
}

impl Settings {
    /// Makes rules of it. Limits that nothing keeps are an error: somebody meant something else.
    pub(crate) fn rules(self) -> Result<Rules, String> {
        let numbers = [
            ("maxBytes", self.max_bytes),
            ("maxWidth", self.max_width.into()),
            ("maxHeight", self.max_height.into()),
            ("maxPixels", self.max_pixels),
        ];
        if let Some((name, _)) = numbers.into_iter().find(|(_, number)| *number == 0) {
            return Err(format!("the configuration is wrong at `{name}`: it is 0, and no image is that small"));
        }
        if self.allow.is_empty() && self.other_files == OtherFiles::Reject {
            return Err("the configuration is wrong at `allow`: it is empty, so that nothing would pass".to_owned());
        }
        let strip = self.metadata == Metadata::Strip;
        let picture = Picture {
            max_width: self.max_width,
            max_height: self.max_height,
            max_pixels: self.max_pixels,
            strip,
            strip_profile: strip && self.color_profile == ColorProfile::Strip,
        };
        let (on_mismatch, other_files) = (self.on_mismatch, self.other_files);
        Ok(Rules { allow: self.allow, max_bytes: self.max_bytes, picture, on_mismatch, other_files })
    }
}

#[cfg(test)]
mod tests {
    use weir_validator_sdk::Config;

    use super::*;

    fn problem(config: &str) -> String {
        Config::new(config).parse().and_then(Settings::rules).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_wrong_configuration_is_a_sentence() {
        assert_eq!(
            problem(r#"{"allow": ["jpeg", "tiff"]}"#),
            "the configuration is wrong at `allow[1]`: unknown variant `tiff`, expected one of `jpeg`, `png`, `gif`, `webp`"
        );
        assert_eq!(
            problem(r#"{"maxWidth": -1}"#),
            "the configuration is wrong at `maxWidth`: invalid value: integer `-1`, expected u32"
        );
    }

    #[test]
    fn limits_that_nothing_keeps_are_refused() {
        assert_eq!(
            problem(r#"{"maxBytes": 0}"#),
            "the configuration is wrong at `maxBytes`: it is 0, and no image is that small"
        );
        assert_eq!(problem(r#"{"allow": []}"#), "the configuration is wrong at `allow`: it is empty, so that nothing would pass");
    }
}
