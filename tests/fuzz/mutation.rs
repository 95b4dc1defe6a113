//! Makes new inputs of those in a corpus, by chance.

use crate::simulator::dice::Dice;

/// The longest input by chance alone.
const RANDOM: usize = 600;

/// The longest input.
const LONGEST: usize = 8192;

/// Bytes that mean something in most of the formats.
const SIGNS: &[u8] = b"\0\n\r\t \"#%'*,-./:=?@[\\]{|}~!&09AZaz\x7f\x80\xc3\xff";

/// Returns an input of the corpus with a few changes, or now and then one by chance alone.
pub(super) fn mutate(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    if dice.chance(50) {
        return (0..dice.index(RANDOM)).map(|_| byte(dice)).collect();
    }
    let mut data = corpus[dice.index(corpus.len())].clone();
    for _ in 0..=dice.index(6) {
        change(&mut data, corpus, dice);
    }
    data.truncate(LONGEST);
    data
}

fn change(data: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    let at = dice.index(data.len() + 1);
    match dice.index(7) {
        0 => data.insert(at, SIGNS[dice.index(SIGNS.len())]),
        1 => data.insert(at, byte(dice)),
        2 if at < data.len() => data[at] ^= 1 << dice.index(8),
        3 if at < data.len() => data[at] = SIGNS[dice.index(SIGNS.len())],
        4 => drop(data.drain(part(data, dice))),
        5 => {
            let repeated = data[part(data, dice)].repeat(1 + dice.index(4));
            data.splice(at..at, repeated);
        }
        _ => {
            let other = &corpus[dice.index(corpus.len())];
            data.splice(at..at, other[part(other, dice)].to_vec());
        }
    }
}

/// Returns a part of the data, most often a short one.
fn part(data: &[u8], dice: &mut Dice) -> std::ops::Range<usize> {
    let from = dice.index(data.len() + 1);
    let longest = if dice.chance(200) { data.len() - from } else { (data.len() - from).min(16) };
    from..from + dice.index(longest + 1)
}

fn byte(dice: &mut Dice) -> u8 {
    u8::try_from(dice.between(0, 255)).unwrap()
}
