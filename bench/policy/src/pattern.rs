//! What a pattern covers, once more: the function that plain casbin is given.
//!
//! `*` stands for any characters of one segment, `**` as the last one for everything beneath. No path of the bench has an escape, which
//! Weir's own function would not cut in two.

/// Whether `pattern` covers `path`.
pub fn covers(pattern: &str, path: &str) -> bool {
    let (mut globs, mut segments) = (pattern.split('/'), path.split('/'));
    loop {
        match (globs.next(), segments.next()) {
            (Some("**"), Some(_)) | (None, None) => return true,
            (Some(glob), Some(segment)) if fits(glob, segment) => {}
            _ => return false,
        }
    }
}

fn fits(glob: &str, segment: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else { return glob == segment };
    let Some(left) = segment.strip_prefix(first) else { return false };
    match rest.split_once('*') {
        None => left.ends_with(rest),
        Some((next, _)) => left.match_indices(next).any(|(at, _)| fits(rest, &left[at..])),
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn stars_keep_to_their_segment() {
        for (pattern, path, expected) in [
            ("/timescale/sensors/*", "/timescale/sensors/room-4", true),
            ("/timescale/sensors/*", "/timescale/sensors", false),
            ("/timescale/sensors/*", "/timescale/sensors/a/b", false),
            ("/timescale/sensors/*-temperature", "/timescale/sensors/room-4-temperature", true),
            ("/timescale/sensors/a*b*a", "/timescale/sensors/axbyba", true),
            ("/timescale/sensors/a*b*a", "/timescale/sensors/axa", false),
            ("/storage/files/reports/**", "/storage/files/reports/2026/a.pdf", true),
            ("/storage/files/reports/**", "/storage/files/reports", false),
            ("/**", "/platform/projects", true),
        ] {
            assert_eq!(covers(pattern, path), expected, "{pattern} {path}");
        }
    }
}
