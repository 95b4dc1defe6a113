//! Noting a host key: one line at the end of a known_hosts file, whoever else is writing to it.

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

/// Appends a host's key to a file, which is made (0600, its directory 0700) if it is not there.
///
/// # Errors
/// The file cannot be written; it is as it was, or has part of the line at its end.
pub fn note(file: &Path, host: &HostName, key: &PublicKey, hashed: bool) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut out = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    // Several processes may meet a host for the first time at once; the lock goes with the file.
    out.lock()?;
    let names = if hashed { hash(host.noted())? } else { host.noted().to_owned() };
    let text = key.to_openssh().map_err(io::Error::other)?;
    // The comment is the server's to choose and none of ours.
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
