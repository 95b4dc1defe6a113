//! Appends a host key to a known_hosts file, to which other processes may write at the same time.

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use russh::keys::PublicKey;
use russh::keys::ssh_key::known_hosts::HostPatterns;

use super::HostName;
use super::line::hash_name;

/// Appends the key of a host to a file. A missing file is made with mode 0600, its directory with 0700.
///
/// # Errors
/// The file cannot be written. It is unchanged, or has a part of the line at its end.
pub fn record(file: &Path, host: &HostName, key: &PublicKey, hashed: bool) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut out = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    // Several processes may record a host at once. The lock ends with the file.
    out.lock()?;
    let names = if hashed { hash(host.recorded_as())? } else { host.recorded_as().to_owned() };
    let text = key.to_openssh().map_err(io::Error::other)?;
    // The server chooses the comment, so it is left out.
    let text: Vec<&str> = text.split(' ').take(2).collect();
    let line = format!("{}{names} {}\n", if ends_in_newline(&mut out)? { "" } else { "\n" }, text.join(" "));
    out.write_all(line.as_bytes())
}

fn ends_in_newline(file: &mut fs::File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn hash(name: &str) -> io::Result<String> {
    let mut salt = [0; 20];
    fs::File::open("/dev/urandom")?.read_exact(&mut salt)?;
    let hashed = HostPatterns::HashedName { salt: salt.to_vec(), hash: hash_name(name, &salt) };
    Ok(hashed.to_string())
}
