//! Writing a file on a host: the script that does it in one round trip, atomically.
//!
//! The content comes on stdin. The script checks its SHA-256 before it replaces the old file, so that a connection that
//! breaks leaves the old file in place.

use std::fmt::Write as _;

use sha2::Digest as _;
use sha2::Sha256;

use super::shell_expand::quote_expanding;

/// A file to write on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The content.
    pub content: Vec<u8>,
    /// The destination: an absolute path, or a path in a home directory (`~/x`). If it ends in `/` or is a directory, the
    /// file is written into it.
    pub dest: String,
    /// The file's name if the destination is a directory.
    pub name: String,
    /// The permissions, three or four octal digits. The default is the old file's, or 0644.
    pub mode: Option<String>,
    /// The owner. The default is the old file's, or the user that writes the file.
    pub owner: Option<String>,
    /// The group. The default is the old file's, or the writing user's.
    pub group: Option<String>,
}

/// The first line of the script's output if nothing had to change.
pub const SAME: &str = "muster-file same";
/// The first line of the script's output if something changed, or would change in a check.
pub const CHANGED: &str = "muster-file changed";

impl File {
    /// Returns the script for the host, which takes the content on stdin. With `check` nothing is written.
    pub fn script(&self, check: bool) -> Result<String, shlex::QuoteError> {
        let quoted = |text: &Option<String>| shlex::try_quote(text.as_deref().unwrap_or_default()).map(String::from);
        let mut script = String::new();
        let sum: String = Sha256::digest(&self.content).iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        script.push_str(&format!("d={}\n", quote_expanding(&self.dest)?));
        script.push_str(&format!("n={}\n", shlex::try_quote(&self.name)?));
        script.push_str(&format!(
            "mode={}\nowner={}\ngroup={}\n",
            quoted(&self.mode)?,
            quoted(&self.owner)?,
            quoted(&self.group)?
        ));
        script.push_str(&format!("sum={sum}\ncheck={}\n", if check { "1" } else { "" }));
        script.push_str(SCRIPT);
        Ok(script)
    }
}

/// The script for the host. The variables that describe the file precede it.
const SCRIPT: &str = r#"
fail() { echo "$1" >&2; exit 1; }
case $d in */) [ -d "$d" ] || fail "no directory $d" ;; esac
[ ! -d "$d" ] || d=${d%/}/$n
[ ! -d "$d" ] || fail "$d is a directory"
sum_of() { s=$(sha256sum < "$1") && s=${s%% *}; }
dir=$(dirname -- "$d")
change= m=${mode#0}
if [ -e "$d" ]; then
  sum_of "$d" || exit 1
  [ "$s" = "$sum" ] || change=content
  [ -z "$mode" ] || [ "$(printf %04d "$(stat -Lc %a -- "$d")")" = "$(printf %04d "$m")" ] || change="$change mode"
  [ -z "$owner" ] || [ "$(stat -Lc %U -- "$d")" = "$owner" ] || [ "$(stat -Lc %u -- "$d")" = "$owner" ] || change="$change owner"
  [ -z "$group" ] || [ "$(stat -Lc %G -- "$d")" = "$group" ] || [ "$(stat -Lc %g -- "$d")" = "$group" ] || change="$change group"
else
  change=content
fi
if [ -n "$check" ]; then
  cat > /dev/null
  [ -d "$dir" ] || fail "no directory $dir"
  if [ -n "$change" ]; then echo "muster-file changed"; else echo "muster-file same"; fi
  echo "$d"; exit 0
fi
if [ -z "$change" ]; then cat > /dev/null; echo "muster-file same"; echo "$d"; exit 0; fi
# A link is followed: its target is replaced, the link stays.
[ ! -L "$d" ] || d=$(readlink -f -- "$d") || exit 1
t=$(mktemp -- "$(dirname -- "$d")/.muster.XXXXXXXX") || exit 1
trap 'rm -f -- "$t"' EXIT
trap 'exit 1' HUP INT TERM
cat > "$t" || exit 1
sum_of "$t" || exit 1
[ "$s" = "$sum" ] || fail "the content did not arrive whole"
if [ -e "$d" ]; then
  chown --reference="$d" -- "$t" 2>/dev/null || :
  chmod --reference="$d" -- "$t" || exit 1
else
  chmod 0644 -- "$t" || exit 1
fi
[ -z "$owner" ] || chown -- "$owner" "$t" || exit 1
[ -z "$group" ] || chgrp -- "$group" "$t" || exit 1
[ -z "$mode" ] || chmod -- "$mode" "$t" || exit 1
mv -fT -- "$t" "$d" || exit 1
trap - EXIT
echo "muster-file changed"; echo "$d"
"#;
