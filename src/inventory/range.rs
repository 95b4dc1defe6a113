//! Host ranges: `web[01:50].example.com`, `db-[a:f]`, `rack[1:9:4]`; several in one name multiply.

/// The most hosts that one name may stand for.
const LIMIT: usize = 65_536;

/// Returns the names that a name with ranges stands for.
pub(super) fn expand(name: &str) -> Result<Vec<String>, String> {
    let Some((head, rest)) = name.split_once('[') else {
        return Ok(vec![name.to_owned()]);
    };
    let Some((range, tail)) = rest.split_once(']') else {
        return Err(format!("`{name}` has a `[` without its `]`"));
    };
    let bounds = bounds(range)?;
    let tails = expand(tail)?;
    if bounds.len().saturating_mul(tails.len()) > LIMIT {
        return Err(format!("`{name}` stands for more than {LIMIT} hosts"));
    }
    let all = bounds.iter().flat_map(|bound| tails.iter().map(move |tail| format!("{head}{bound}{tail}")));
    Ok(all.collect())
}

/// Returns every value of `begin:end` or `begin:end:step`, both ends included.
fn bounds(range: &str) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match parts[..] {
        [begin, end] => (begin, end, "1"),
        [begin, end, step] => (begin, end, step),
        _ => return Err(format!("the host range [{range}] must be begin:end or begin:end:step")),
    };
    if end.is_empty() {
        return Err(format!("the host range [{range}] has no end"));
    }
    let begin = if begin.is_empty() { "0" } else { begin };
    let step: usize = step
        .parse()
        .ok()
        .filter(|step| *step > 0)
        .ok_or_else(|| format!("the step of the host range [{range}] must be a number above 0"))?;
    if let (Some(first), Some(last)) = (letter(begin), letter(end)) {
        ordered(range, first, last)?;
        let letters = (first..=last).step_by(step);
        return Ok(letters.map(|index| char::from(LETTERS.get(index).copied().unwrap_or(b'?')).to_string()).collect());
    }
    let padded = begin.len() > 1 && begin.starts_with('0');
    if padded && begin.len() != end.len() {
        return Err(format!("begin and end of the host range [{range}] must be equally long when they start with 0"));
    }
    let (first, last) = (number(range, begin)?, number(range, end)?);
    ordered(range, first, last)?;
    if last.saturating_sub(first) / step >= LIMIT {
        return Err(format!("the host range [{range}] stands for more than {LIMIT} hosts"));
    }
    let width = if padded { begin.len() } else { 1 };
    Ok((first..=last).step_by(step).map(|value| format!("{value:0width$}")).collect())
}

/// The order of letters in a range: lower case first.
const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

fn letter(text: &str) -> Option<usize> {
    let [letter] = text.as_bytes() else { return None };
    LETTERS.iter().position(|other| other == letter)
}

fn number(range: &str, digits: &str) -> Result<usize, String> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| digits.parse().ok()).flatten();
    number.ok_or_else(|| format!("the host range [{range}] must be between two numbers or two letters"))
}

fn ordered(range: &str, first: usize, last: usize) -> Result<(), String> {
    if first > last {
        return Err(format!("the host range [{range}] ends before it begins"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn a_range_includes_both_ends_keeps_zeros_and_steps() {
        for (name, expected) in [
            ("web1", "web1"),
            ("web[1:3]", "web1 web2 web3"),
            ("web[01:03].x", "web01.x web02.x web03.x"),
            ("web[08:11]", "web08 web09 web10 web11"),
            ("r[1:9:4]", "r1 r5 r9"),
            ("r[:2]", "r0 r1 r2"),
            ("db[a:c]", "dba dbb dbc"),
            ("db[y:B]", "dby dbz dbA dbB"),
            ("db[a:e:2]", "dba dbc dbe"),
            ("r[1:2]n[a:b]", "r1na r1nb r2na r2nb"),
            ("[1:2]", "1 2"),
        ] {
            assert_eq!(expand(name).unwrap().join(" "), expected, "{name}");
        }
    }

    #[test]
    fn an_invalid_range_is_an_error() {
        for (name, expected) in [
            ("web[1:", "without its"),
            ("web[1]", "must be begin:end"),
            ("web[1:2:3:4]", "must be begin:end"),
            ("web[1:]", "has no end"),
            ("web[01:100]", "equally long"),
            ("web[5:1]", "ends before it begins"),
            ("web[b:a]", "ends before it begins"),
            ("web[1:b]", "two numbers or two letters"),
            ("web[-1:3]", "two numbers or two letters"),
            ("web[1:9:0]", "above 0"),
            ("web[0:99999999999999]", "more than"),
            ("web[1:999][1:999]", "more than"),
        ] {
            let error = expand(name).unwrap_err();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_makes_it_panic(name in r"[a-z0-9:\[\]-]{0,24}") {
            let _ = expand(&name);
        }
    }
}
