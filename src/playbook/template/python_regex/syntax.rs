//! The translation of a pattern from Python's syntax to that of the engine.
//!
//! Every literal character is escaped, so that nothing that only the engine knows (`[a&&b]`, `\<`, `\h`) gets a meaning.

/// A pattern for the engine.
pub(super) struct Translated {
    pub(super) text: String,
    /// The same pattern for text with a line break at its end, if `$` makes a difference there.
    pub(super) before_line_break: Option<String>,
}

/// How `$` is written where it matches at the end of the text only.
const END: &str = r"\z";

/// How `$` is written where it also matches before a line break at the end.
const END_OR_BREAK: &str = r"(?=\n?\z)";

/// Translates a pattern.
pub(super) fn translate(pattern: &str, multiline: bool) -> Result<Translated, String> {
    let mut text = String::new();
    let mut ends = Vec::new();
    let mut translation = Translation {
        rest: pattern,
        text: &mut text,
        ends: &mut ends,
        modes: vec![Mode { multiline, verbose: false }],
        repeats: Repeats::Nothing,
    };
    translation.run()?;
    let before_line_break = (!ends.is_empty()).then(|| {
        let mut text = text.clone();
        for at in ends.iter().rev() {
            text.replace_range(*at..*at + END.len(), END_OR_BREAK);
        }
        text
    });
    Ok(Translated { text, before_line_break })
}

#[derive(Clone, Copy)]
struct Mode {
    multiline: bool,
    verbose: bool,
}

/// What stands before the next character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeats {
    /// The begin of an alternative, or a place: no repetition may follow.
    Nothing,
    Item,
    /// A repetition: no other one may follow.
    Repetition,
}

struct Translation<'p> {
    rest: &'p str,
    text: &'p mut String,
    /// Where `$` is written.
    ends: &'p mut Vec<usize>,
    /// The mode of each open group.
    modes: Vec<Mode>,
    repeats: Repeats,
}

impl Translation<'_> {
    fn mode(&self) -> Mode {
        self.modes.last().copied().unwrap_or(Mode { multiline: false, verbose: false })
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    fn take(&mut self, prefix: &str) -> bool {
        self.rest.strip_prefix(prefix).map(|rest| self.rest = rest).is_some()
    }

    fn run(&mut self) -> Result<(), String> {
        self.global_flags()?;
        while let Some(c) = self.next() {
            if self.mode().verbose && (c.is_ascii_whitespace() || c == '\x0b') {
                continue;
            }
            match c {
                '#' if self.mode().verbose => {
                    self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
                }
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                ')' => self.close()?,
                '|' => self.write("|", Repeats::Nothing),
                '*' | '+' | '?' => self.repeat(&c.to_string())?,
                '{' => self.bounds()?,
                '$' if !self.mode().multiline => {
                    self.ends.push(self.text.len());
                    self.write(END, Repeats::Nothing);
                }
                '^' | '$' => self.write(&c.to_string(), Repeats::Nothing),
                '.' => self.write(".", Repeats::Item),
                c => self.literal(c),
            }
        }
        if self.modes.len() > 1 { Err("a parenthesis is not closed".to_owned()) } else { Ok(()) }
    }

    fn write(&mut self, text: &str, repeats: Repeats) {
        self.text.push_str(text);
        self.repeats = repeats;
    }

    fn literal(&mut self, c: char) {
        let text = literal(c);
        self.write(&text, Repeats::Item);
    }

    /// Writes a repetition, which may be followed by `?` or `+`.
    fn repeat(&mut self, text: &str) -> Result<(), String> {
        match self.repeats {
            Repeats::Nothing => return Err(format!("there is nothing to repeat before `{text}`")),
            Repeats::Repetition => return Err(format!("`{text}` follows another repetition")),
            Repeats::Item => self.write(text, Repeats::Repetition),
        }
        for suffix in ["?", "+"] {
            if self.take(suffix) {
                self.text.push_str(suffix);
                break;
            }
        }
        Ok(())
    }

    /// Reads `{2}`, `{2,}`, `{,3}` or `{2,3}`. Any other brace is a character.
    fn bounds(&mut self) -> Result<(), String> {
        let inner = self.rest.split_once('}').filter(|(inner, _)| {
            let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
            let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
            digits(low) && digits(high) && !inner.is_empty()
        });
        let Some((inner, rest)) = inner else {
            self.literal('{');
            return Ok(());
        };
        self.rest = rest;
        let number = |text: &str| text.parse::<u16>().ok();
        if inner.split_once(',').and_then(|(low, high)| Some(number(low)? > number(high)?)) == Some(true) {
            return Err(format!("the bounds `{{{inner}}}` are in the wrong order"));
        }
        let bounds = if inner.starts_with(',') { format!("{{0{inner}}}") } else { format!("{{{inner}}}") };
        self.repeat(&bounds)
    }

    /// Reads flags for the whole pattern, which may stand only at its begin.
    fn global_flags(&mut self) -> Result<(), String> {
        while let Some((flags, rest)) = self.rest.strip_prefix("(?").and_then(|rest| rest.split_once(')')) {
            if flags.is_empty() || !flags.bytes().all(|c| c.is_ascii_alphabetic()) {
                break;
            }
            let known = self.flags(flags)?;
            if !known.is_empty() {
                self.text.push_str(&format!("(?{known})"));
            }
            self.rest = rest;
        }
        Ok(())
    }

    /// Sets the mode of the innermost group by flags, and returns those for the engine.
    fn flags(&mut self, flags: &str) -> Result<String, String> {
        let mut known = String::new();
        let mut on = true;
        let mut mode = self.mode();
        for flag in flags.chars() {
            match flag {
                '-' => on = false,
                'x' => mode.verbose = on,
                'm' => mode.multiline = on,
                'i' | 's' | 'u' => {}
                'a' => return Err("muster does not know the flag `a` (ASCII)".to_owned()),
                _ => return Err(format!("there is no flag `{flag}`")),
            }
            // Comments and blanks are left out, and text is always Unicode.
            if !matches!(flag, 'x' | 'u') {
                known.push(flag);
            }
        }
        if let Some(innermost) = self.modes.last_mut() {
            *innermost = mode;
        }
        Ok(if known == "-" { String::new() } else { known })
    }

    fn open(&mut self, text: &str) {
        self.modes.push(self.mode());
        self.write(text, Repeats::Nothing);
    }

    fn close(&mut self) -> Result<(), String> {
        if self.modes.len() == 1 {
            return Err("a parenthesis is closed and not open".to_owned());
        }
        self.modes.pop();
        self.write(")", Repeats::Item);
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        if !self.take("?") {
            self.open("(");
            return Ok(());
        }
        for kind in [":", "=", "!", "<=", "<!", ">"] {
            if self.take(kind) {
                self.open(&format!("(?{kind}"));
                return Ok(());
            }
        }
        if self.take("#") {
            let (_, rest) = self.rest.split_once(')').ok_or("a comment is not closed")?;
            self.rest = rest;
        } else if self.take("P<") {
            let name = self.name('>')?;
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(format!("`{name}` is no name of a group"));
            }
            if self.text.contains(&format!("(?P<{name}>")) {
                return Err(format!("two groups are called `{name}`"));
            }
            self.open(&format!("(?P<{name}>"));
        } else if self.take("P=") {
            let name = self.name(')')?;
            self.write(&format!("(?P={name})"), Repeats::Item);
        } else if self.take("(") {
            let name = self.name(')')?;
            let name = if name.starts_with(|c: char| c.is_ascii_digit()) { name } else { format!("<{name}>") };
            self.open(&format!("(?({name})"));
        } else {
            self.scoped_flags()?;
        }
        Ok(())
    }

    fn scoped_flags(&mut self) -> Result<(), String> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphabetic() || c == '-')).unwrap_or(self.rest.len());
        let (flags, rest) = self.rest.split_at(end);
        if rest.starts_with(')') && !flags.is_empty() {
            return Err(format!("the flags `(?{flags})` must stand at the begin"));
        }
        let rest = rest.strip_prefix(':').filter(|_| !flags.is_empty());
        self.rest =
            rest.ok_or_else(|| format!("there is no group `(?{}`", self.rest.chars().take(2).collect::<String>()))?;
        self.open("");
        let known = self.flags(flags)?;
        self.write(&format!("(?{known}:"), Repeats::Nothing);
        Ok(())
    }

    fn name(&mut self, end: char) -> Result<String, String> {
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let (name, rest) = self.rest.split_once(end).ok_or("the name of a group is not closed")?;
        if !is_name(name) {
            return Err(format!("`{name}` is no name of a group"));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn escape(&mut self) -> Result<(), String> {
        let c = self.next().ok_or("it ends with a backslash")?;
        match c {
            'A' | 'b' | 'B' => self.write(&format!("\\{c}"), Repeats::Nothing),
            'Z' => self.write(END, Repeats::Nothing),
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => self.write(&format!("\\{c}"), Repeats::Item),
            '1'..='9' => self.back_reference(c),
            c => {
                let c = self.character(c)?;
                self.literal(c);
            }
        }
        Ok(())
    }

    fn back_reference(&mut self, first: char) {
        let digits = self.rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
        let more = self.rest.get(..digits).unwrap_or_default();
        if let Some(c) = octal(&format!("{first}{more}")).filter(|_| digits == 2) {
            self.rest = self.rest.get(2..).unwrap_or_default();
            self.literal(c);
            return;
        }
        let number: String = [first].into_iter().chain(more.chars().take(1)).collect();
        self.rest = self.rest.get(number.len() - 1..).unwrap_or_default();
        self.write(&format!("\\k<{number}>"), Repeats::Item);
    }

    /// Reads the rest of an escape for one character.
    fn character(&mut self, c: char) -> Result<char, String> {
        Ok(match c {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => self.hexadecimal(2)?,
            'u' => self.hexadecimal(4)?,
            'U' => self.hexadecimal(8)?,
            '0'..='7' => {
                let more: String = self.rest.chars().take(2).take_while(|c| ('0'..='7').contains(c)).collect();
                self.rest = self.rest.get(more.len()..).unwrap_or_default();
                octal(&format!("{c}{more}")).ok_or("an octal escape must be at most \\377")?
            }
            c if c.is_ascii_alphanumeric() => return Err(format!("`\\{c}` has no meaning in Python")),
            c => c,
        })
    }

    fn hexadecimal(&mut self, digits: usize) -> Result<char, String> {
        let text = self.rest.get(..digits).filter(|text| text.bytes().all(|c| c.is_ascii_hexdigit()));
        let c = text.and_then(|text| u32::from_str_radix(text, 16).ok()).and_then(char::from_u32);
        let c = c.ok_or_else(|| format!("expected {digits} hexadecimal digits of a character"))?;
        self.rest = self.rest.get(digits..).unwrap_or_default();
        Ok(c)
    }

    /// Reads a set of characters.
    fn class(&mut self) -> Result<(), String> {
        let negated = self.take("^");
        self.text.push_str(if negated { "[^" } else { "[" });
        let mut first = true;
        loop {
            if !first && self.take("]") {
                break;
            }
            first = false;
            let low = self.class_item()?;
            let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
            match low {
                Err(set) if is_range => return Err(format!("a range cannot begin with `{set}`")),
                Err(set) => self.text.push_str(&set),
                Ok(low) => {
                    self.text.push_str(&literal(low));
                    if is_range {
                        self.take("-");
                        let high = self.class_item()?.map_err(|set| format!("a range cannot end with `{set}`"))?;
                        self.text.push_str(&format!("-{}", literal(high)));
                    }
                }
            }
        }
        self.write("]", Repeats::Item);
        Ok(())
    }

    /// Reads one item of a set: a character, or a set such as `\d`.
    fn class_item(&mut self) -> Result<Result<char, String>, String> {
        let open = "a set of characters is not closed";
        let c = self.next().ok_or(open)?;
        if c != '\\' {
            return Ok(Ok(c));
        }
        let c = self.next().ok_or(open)?;
        Ok(match c {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => Err(format!("\\{c}")),
            'b' => Ok('\x08'),
            c => Ok(self.character(c)?),
        })
    }
}

/// Returns a character as the engine reads it literally.
fn literal(c: char) -> String {
    if c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii() {
        c.to_string()
    } else {
        format!("\\x{{{:x}}}", u32::from(c))
    }
}

fn octal(digits: &str) -> Option<char> {
    u32::from_str_radix(digits, 8).ok().filter(|value| *value <= 0o377).and_then(char::from_u32)
}
