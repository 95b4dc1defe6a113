//! known_hosts files as OpenSSH and editors write them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;

const ED_A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHO5VLKwaJ+xXlCS7of+Wc7m/bPmdoyFqRd1kw36145U";
const ED_B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKCZ6F1jylwYmqsjsjJa9AnR7z37f2GLjB7B5MbqsAUE";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA8Ohxp8OtjTuy6lSt6V3O8Hmo0XWcDRHIkO1e0mEyNCZyPRmyoIvpx/c0k4gybV8Vl4uFijxplmEG6J3fe7eu4=";

fn key(text: &str) -> PublicKey {
    PublicKey::from_openssh(text).unwrap()
}

fn known(text: &str) -> KnownHosts {
    let mut known = KnownHosts::default();
    known.take(Path::new("known"), text);
    known
}

fn host() -> HostName {
    HostName::new("Core-01", 22)
}

fn at(line: usize) -> Place {
    Place { file: Path::new("known").into(), line }
}

fn check(text: &str) -> KeyStatus {
    known(text).check(&host(), &key(ED_A))
}

#[test]
fn a_key_is_trusted_where_it_is_named_and_only_there() {
    for names in ["core-01", "db,core-01", "core-*", "*,!db", "CORE-01", "core-0?"] {
        assert_eq!(check(&format!("{names} {ED_A}\n")), KeyStatus::Trusted(at(1)), "{names}");
    }
    for names in ["db", "core", "*,!core-01", "[core-01]:2222", "!db"] {
        assert_eq!(check(&format!("{names} {ED_A}\n")), KeyStatus::Unknown(Vec::new()), "{names}");
    }
}

#[test]
fn a_file_of_revoked_keys_counts_for_every_host_and_one_that_does_not_parse_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("revoked");
    let without = || known(&format!("core-01 {ED_A}\n")).without([file.as_path()]);
    assert!(without().unwrap_err().to_string().contains("/revoked: No such file"));
    fs::write(&file, format!("# gone\n\n{ECDSA} comment\n{ED_A}\n")).unwrap();
    let place = Place { file: file.as_path().into(), line: 4 };
    assert_eq!(without().unwrap().check(&host(), &key(ED_A)), KeyStatus::Revoked(place));
    for (text, why) in [
        (format!("{ECDSA}\n{}\n", &ED_A[..40]), "line 2: the ssh-ed25519 key does not parse"),
        ("core-01\n".to_owned(), "line 1: the line is not a public key"),
        ("SSHKRL\n\0\0\0\0\x01".to_owned(), "it is a KRL"),
    ] {
        fs::write(&file, &text).unwrap();
        let error = without().unwrap_err().to_string();
        assert!(error.contains(why), "{text:?}: {error}");
    }
}

#[test]
fn tabs_comments_empty_lines_and_carriage_returns_do_not_change_line_numbers() {
    let text = format!("# hosts\r\n\r\n\tdb\t{ECDSA}\r\n  core-01\t  {ED_A} comment here\r\n");
    assert_eq!(check(&text), KeyStatus::Trusted(at(4)));
}

#[test]
fn another_key_of_the_same_algorithm_is_a_change_unless_one_line_has_the_key() {
    assert_eq!(check(&format!("core-01 {ED_B}\n")), KeyStatus::Changed(at(1)));
    assert_eq!(check(&format!("core-01 {ED_B}\ncore-01 {ED_A}\n")), KeyStatus::Trusted(at(2)));
    let others = vec![(key(ECDSA).algorithm(), at(1))];
    assert_eq!(check(&format!("core-01 {ECDSA}\n")), KeyStatus::Unknown(others));
}

#[test]
fn a_revoked_key_is_refused_even_if_another_line_trusts_it() {
    for text in [
        format!("core-01 {ED_A}\n@revoked * {ED_A}\n"),
        format!("@revoked core-01 {ED_A}\ncore-01 {ED_A}\n"),
        format!("@revoked\tcore-01\t{ED_A}\r\ncore-01 {ED_A}\n"),
    ] {
        assert!(matches!(check(&text), KeyStatus::Revoked(_)), "{text}");
    }
    assert_eq!(check(&format!("@revoked db {ED_A}\ncore-01 {ED_A}\n")), KeyStatus::Trusted(at(2)));
    assert_eq!(check(&format!("@revoked * {ED_B}\ncore-01 {ED_A}\n")), KeyStatus::Trusted(at(2)));
}

#[test]
fn a_port_has_its_own_name_and_falls_back_to_the_plain_one() {
    let other = HostName::new("core-01", 2222);
    let check = |text: String| known(&text).check(&other, &key(ED_A));
    assert_eq!(check(format!("[core-01]:2222 {ED_A}\n")), KeyStatus::Trusted(at(1)));
    assert_eq!(check(format!("core-01 {ED_A}\n")), KeyStatus::Trusted(at(1)));
    assert_eq!(check(format!("[core-01]:2222 {ED_B}\ncore-01 {ED_A}\n")), KeyStatus::Changed(at(1)));
    assert_eq!(check(format!("core-01 {ED_B}\n")), KeyStatus::Unknown(Vec::new()));
    assert!(matches!(check(format!("[core-01]:2222 {ED_A}\n@revoked core-01 {ED_A}\n")), KeyStatus::Revoked(_)));
}

#[test]
fn lines_that_do_not_parse_do_not_hide_others() {
    let text = format!(
        "nonsense\n|1|bad|line {ED_A}\n@strange core-01 {ED_A}\ncore-01 ssh-ed25519 AAAA\ncore-01 ssh-rsa {}\ncore-01 {ED_A}\n",
        ED_A.split(' ').nth(1).unwrap()
    );
    assert_eq!(check(&text), KeyStatus::Trusted(at(6)));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "CI says whether what is missing is a failure")]
fn names_that_ssh_keygen_hashed_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known");
    fs::write(&file, format!("core-01 {ED_A}\n[core-01]:2222 {ED_B}\n")).unwrap();
    let Ok(output) = std::process::Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output() else {
        assert!(std::env::var_os("CI").is_none(), "CI has no ssh-keygen");
        eprintln!("skipped: no ssh-keygen");
        return;
    };
    assert!(output.status.success());
    assert!(fs::read_to_string(&file).unwrap().starts_with("|1|"));
    let known = KnownHosts::read([file.as_path()]).unwrap();
    assert!(matches!(known.check(&host(), &key(ED_A)), KeyStatus::Trusted(Place { line: 1, .. })));
    assert!(matches!(
        known.check(&HostName::new("core-01", 2222), &key(ED_B)),
        KeyStatus::Trusted(Place { line: 2, .. })
    ));
    assert!(matches!(known.check(&HostName::new("db", 22), &key(ED_A)), KeyStatus::Unknown(_)));
}

#[test]
fn a_recorded_key_is_known_and_the_file_stays_valid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/ssh/known");
    let port = HostName::new("core-01", 2222);
    record(&file, &host(), &key(&format!("{ED_A} a comment")), false).unwrap();
    record(&file, &port, &key(ED_B), true).unwrap();
    // An editor has left no newline at the end.
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with(&format!("core-01 {ED_A}\n|1|")), "{text}");
    fs::write(&file, text.trim_end()).unwrap();
    record(&file, &HostName::new("db", 22), &key(ECDSA), false).unwrap();
    let known = KnownHosts::read([file.as_path()]).unwrap();
    assert!(matches!(known.check(&host(), &key(ED_A)), KeyStatus::Trusted(Place { line: 1, .. })));
    assert!(matches!(known.check(&port, &key(ED_B)), KeyStatus::Trusted(Place { line: 2, .. })));
    assert!(matches!(known.check(&HostName::new("db", 22), &key(ECDSA)), KeyStatus::Trusted(Place { line: 3, .. })));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_a_missing_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    assert!(KnownHosts::read([folder.path()]).is_err());
    assert!(KnownHosts::read([folder.path().join("absent").as_path()]).is_ok());
}

#[test]
fn the_algorithms_of_known_keys_are_preferred() {
    let known = known(&format!("core-01 {ECDSA}\n@cert-authority *.example {ED_A}\n"));
    assert_eq!(known.algorithms(&host()), [key(ECDSA).algorithm()]);
    assert!(!known.has_authority(&host()));
    assert!(known.has_authority(&HostName::new("a.example", 2222)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_causes_a_panic(text in "(@revoked|@cert-authority|core-01|\\|1\\||ssh-ed25519|AAAA[A-Za-z0-9+/]{0,20}|[ \t\r\n,!*|=#@\u{0}é]){0,30}") {
        let _ = known(&text).check(&host(), &key(ED_A));
    }
}
