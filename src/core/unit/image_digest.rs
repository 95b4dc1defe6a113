//! Digests of images: with its digest, a container gets the same image again although the tag in its file may name another one
//! by now.

use std::fmt;
use std::str::FromStr;

use super::UnitFile;
use super::UnitName;
use super::UnitType;
use super::quadlet::is_made;
use crate::core::text_record::text_record;

/// The digest of the manifest of an image: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageDigest(String);

/// The text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid digest of an image: expected `sha256:` and 64 lower-case hexadecimal digits")]
pub struct BadImageDigest;

impl ImageDigest {
    /// Returns the first twelve hexadecimal digits, as Podman shows them.
    pub fn short(&self) -> &str {
        self.0.get(ALGORITHM.len()..ALGORITHM.len() + 12).unwrap_or(&self.0)
    }
}

/// What a digest begins with.
const ALGORITHM: &str = "sha256:";

impl FromStr for ImageDigest {
    type Err = BadImageDigest;

    fn from_str(text: &str) -> Result<Self, BadImageDigest> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let digits = text.strip_prefix(ALGORITHM).filter(|digits| digits.len() == 64 && digits.bytes().all(is_digit));
        digits.map(|_| Self(text.to_owned())).ok_or(BadImageDigest)
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_record!(ImageDigest);

/// Returns the name of the image of a container, as its file has it. `None` if another unit makes the image.
pub fn image_of<'f>(name: &UnitName, file: &'f UnitFile) -> Option<&'f str> {
    let image = file.values("Container", "Image").next_back().filter(|_| name.kind() == UnitType::Container)?;
    Some(image).filter(|image| !image.is_empty() && !is_made(image))
}

/// Returns a container's file with the digest of its image in place of the tag. `None` if the file has one already, or if it
/// names no image with a tag.
pub fn pinned(name: &UnitName, file: &UnitFile, digest: &ImageDigest) -> Option<UnitFile> {
    let image = image_of(name, file).filter(|image| !image.contains(['@', '%']))?;
    let tag = image.rfind(':').filter(|at| !image.get(*at..).is_some_and(|rest| rest.contains('/')));
    let repository = tag.and_then(|at| image.get(..at)).unwrap_or(image);
    let mut text = String::new();
    for option in file.options() {
        let is_image = (option.section.as_str(), option.name.as_str()) == ("Container", "Image");
        let value = if is_image { format!("{repository}@{digest}") } else { option.value.clone() };
        text.push_str(&format!("[{}]\n{}={value}\n", option.section, option.name));
    }
    UnitFile::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: &str) -> ImageDigest {
        format!("sha256:{}", digit.repeat(64)).parse().unwrap()
    }

    #[test]
    fn a_digest_has_its_form() {
        assert_eq!(digest("a").short(), "a".repeat(12));
        for bad in [
            "",
            "sha256:",
            &"a".repeat(71),
            &format!("sha256:{}", "A".repeat(64)),
            &format!("sha512:{}", "a".repeat(64)),
        ] {
            assert_eq!(bad.parse::<ImageDigest>(), Err(BadImageDigest), "{bad}");
        }
    }

    #[test]
    fn the_digest_takes_the_place_of_the_tag() {
        let web: UnitName = "web.container".parse().unwrap();
        let pin = |image: &str| {
            let file =
                UnitFile::parse(&format!("[Container]\nImage={image}\nNetwork=host\n\n[Service]\nRestart=always\n"))
                    .unwrap();
            pinned(&web, &file, &digest("1")).map(|file| file.text().to_owned())
        };
        let one = digest("1");
        for (image, repository) in [
            ("docker.io/library/nginx:1.29", "docker.io/library/nginx"),
            ("localhost:5000/box", "localhost:5000/box"),
            ("localhost:5000/box:2", "localhost:5000/box"),
        ] {
            let expected =
                format!("[Container]\nImage={repository}@{one}\nNetwork=host\n\n[Service]\nRestart=always\n");
            assert_eq!(pin(image), Some(expected));
        }
        for image in [&*format!("a/b@{one}"), "app.build", "app.image", "a/b:%i", ""] {
            assert_eq!(pin(image), None, "{image}");
        }
        let file = UnitFile::parse("[Container]\nImage=a/b:1\n").unwrap();
        assert_eq!(pinned(&"web.service".parse().unwrap(), &file, &one), None);
    }
}
