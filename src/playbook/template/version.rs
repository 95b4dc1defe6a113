//! The order of versions, as Ansible's test `version` has it.

use std::cmp::Ordering;

/// One part of a version.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Number(u128),
    Text(String),
}

/// Compares two versions. `kind` is loose, strict, semver, semantic or pep440.
pub(super) fn compare(one: &str, other: &str, kind: &str) -> Result<Ordering, String> {
    match kind {
        "loose" => loose(one, other),
        "strict" => Ok(strict(one)?.cmp(&strict(other)?)),
        "semver" | "semantic" => semantic(one, other),
        "pep440" => Ok(python(one)?.cmp(&python(other)?)),
        _ => Err(format!("invalid version_type `{kind}`: expected loose, strict, semver, semantic or pep440")),
    }
}

fn invalid(version: &str) -> String {
    format!("invalid version `{version}`")
}

/// Splits a version into numbers and words.
fn parts(version: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let kind = |c: char| (c.is_ascii_digit(), c.is_ascii_lowercase());
        let end = rest.find(|c| kind(c) != kind(first) || c == '.').unwrap_or(rest.len()).max(first.len_utf8());
        let (part, tail) = rest.split_at(end);
        if first != '.' {
            parts.push(part.parse().map_or_else(|_| Part::Text(part.to_owned()), Part::Number));
        }
        rest = tail;
    }
    parts
}

fn loose(one: &str, other: &str) -> Result<Ordering, String> {
    let (a, b) = (parts(one), parts(other));
    for (one_part, other_part) in a.iter().zip(&b) {
        let order = match (one_part, other_part) {
            (Part::Number(one), Part::Number(other)) => one.cmp(other),
            (Part::Text(one), Part::Text(other)) => one.cmp(other),
            _ => {
                return Err(format!(
                    "the versions `{one}` and `{other}` cannot be compared: a number stands against a word"
                ));
            }
        };
        if order != Ordering::Equal {
            return Ok(order);
        }
    }
    Ok(a.len().cmp(&b.len()))
}

/// The sort key of a strict version: the release, and whether it is final, or the letter and number of what it precedes.
type StrictVersion = (Vec<u64>, (bool, String, u64));

/// Reads `1.2`, `1.2.3` or `1.2.3a4`.
fn strict(version: &str) -> Result<StrictVersion, String> {
    let at = version.find(['a', 'b']).unwrap_or(version.len());
    let (release, pre) = version.split_at(at);
    let numbers: Option<Vec<u64>> = release.split('.').map(|part| part.parse().ok()).collect();
    let mut numbers = numbers.filter(|numbers| (2..=3).contains(&numbers.len())).ok_or_else(|| invalid(version))?;
    numbers.resize(3, 0);
    let pre = match pre.get(..1) {
        None => (true, String::new(), 0),
        Some(letter) => {
            let number = pre.get(1..).unwrap_or_default().parse().map_err(|_| invalid(version))?;
            (false, letter.to_owned(), number)
        }
    };
    Ok((numbers, pre))
}

fn semantic(one: &str, other: &str) -> Result<Ordering, String> {
    let split = |version: &str| {
        let without_build = version.split('+').next().unwrap_or_default().to_owned();
        let (core, pre) =
            without_build.split_once('-').map_or((without_build.as_str(), None), |(core, pre)| (core, Some(pre)));
        let numbers: Option<Vec<u64>> = core.split('.').map(|part| part.parse().ok()).collect();
        let numbers = numbers.filter(|numbers| numbers.len() == 3).ok_or_else(|| invalid(version))?;
        Ok::<_, String>((numbers, pre.map(str::to_owned)))
    };
    let ((a, pre_a), (b, pre_b)) = (split(one)?, split(other)?);
    Ok(a.cmp(&b).then_with(|| match (pre_a, pre_b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => pre_releases(&a, &b),
    }))
}

fn pre_releases(one: &str, other: &str) -> Ordering {
    let identifiers = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (a, b) = (identifiers(one), identifiers(other));
    let order = a.iter().zip(&b).map(|(a, b)| match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    });
    order.into_iter().find(|order| *order != Ordering::Equal).unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// The sort key of a version of a Python package: release, phase (dev, a, b, rc, final, post) and its number.
type PythonVersion = (u64, Vec<u64>, [(u8, u64); 3]);

fn python(version: &str) -> Result<PythonVersion, String> {
    let lower = version.trim().to_lowercase();
    let text = lower.strip_prefix('v').unwrap_or(&lower).split('+').next().unwrap_or_default().to_owned();
    let (epoch, text) = match text.split_once('!') {
        Some((epoch, rest)) => (epoch.parse().map_err(|_| invalid(version))?, rest.to_owned()),
        None => (0, text),
    };
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (release, suffix) = text.split_at(end);
    let release: Option<Vec<u64>> = release.trim_end_matches('.').split('.').map(|part| part.parse().ok()).collect();
    let mut release = release.ok_or_else(|| invalid(version))?;
    while release.len() > 1 && release.last() == Some(&0) {
        release.pop();
    }
    let (mut pre, mut post, mut dev) = (None, None, None);
    for part in parts(&suffix.replace(['-', '_'], ".")) {
        match part {
            Part::Text(word) => match word.as_str() {
                "a" | "alpha" => pre = Some((1, 0)),
                "b" | "beta" => pre = Some((2, 0)),
                "rc" | "c" | "pre" | "preview" => pre = Some((3, 0)),
                "post" | "rev" | "r" => post = Some(0),
                "dev" => dev = Some(0),
                _ => return Err(invalid(version)),
            },
            Part::Number(number) => {
                let number = u64::try_from(number).map_err(|_| invalid(version))?;
                match (&mut pre, &mut post, &mut dev) {
                    (_, _, Some(dev)) => *dev = number,
                    (_, Some(post), _) => *post = number,
                    (Some(pre), ..) => pre.1 = number,
                    _ => return Err(invalid(version)),
                }
            }
        }
    }
    let phase = pre.unwrap_or(if dev.is_some() && post.is_none() { (0, 0) } else { (4, 0) });
    Ok((epoch, release, [phase, post.map_or((0, 0), |post| (1, post)), dev.map_or((1, 0), |dev| (0, dev))]))
}
