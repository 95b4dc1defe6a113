//! `x509_certificate`: a certificate, signed with its own key or by an authority of the host, with the program openssl.

use super::Arguments;
use super::destination;
use super::openssl_csr::digest;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::host_script::HostReport;
use crate::playbook::outcome::Outcome;

/// Makes or removes a certificate.
pub(super) static X509_CERTIFICATE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "x509_certificate",
        &["community.crypto"],
        "Makes a certificate with openssl, or removes it.",
        PARAMETERS,
    )
    .with(&destination::ATTRIBUTES)
    .needs(&[&["path"]])
    .excludes(&[
        &["csr_path", "csr_content"],
        &["privatekey_path", "privatekey_content"],
        &["ownca_path", "ownca_content"],
        &["ownca_privatekey_path", "ownca_privatekey_content"],
    ]),
    text: TEXT,
    prepare,
};

/// The module under its name in earlier versions.
pub(super) static OPENSSL_CERTIFICATE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "openssl_certificate",
        &["community.crypto", "ansible.builtin"],
        "Makes a certificate with openssl, or removes it: x509_certificate in earlier versions.",
        PARAMETERS,
    )
    .with(&destination::ATTRIBUTES)
    .needs(&[&["path"]]),
    text: TEXT,
    prepare,
};

const TEXT: &str =
    concat!(include_str!("openssl_key.sh"), include_str!("openssl_signing.sh"), include_str!("x509_certificate.sh"));

const IDENTIFIER: Kind = Kind::Choice(&["create_if_not_provided", "never_create"]);

const PARAMETERS: &[Parameter] = &[
    Parameter::new("path", Kind::Text, "The file of the certificate."),
    Parameter::new("state", Kind::Choice(&["present", "absent"]), "Whether it exists (default: present)."),
    Parameter::new("provider", Kind::Choice(&["ownca", "selfsigned"]), "Whose key signs it."),
    Parameter::new("csr_path", Kind::Text, "The file of the request."),
    Parameter::new("csr_content", Kind::Text, "The request itself."),
    Parameter::new("privatekey_path", Kind::Text, "The file of its private key."),
    Parameter::new("privatekey_content", Kind::Text, "Its private key itself."),
    Parameter::new("privatekey_passphrase", Kind::Text, "The passphrase of its private key."),
    Parameter::new("selfsigned_digest", Kind::Text, "The hash that is signed (default: sha256)."),
    Parameter::new("selfsigned_not_after", Kind::Text, "Its end, such as +3650d, the default.")
        .or(&["selfsigned_notAfter"]),
    Parameter::new("selfsigned_not_before", Kind::Text, "Its beginning (default: +0s).").or(&["selfsigned_notBefore"]),
    Parameter::new("selfsigned_version", Kind::Number, "The version: 3."),
    Parameter::new("selfsigned_create_subject_key_identifier", IDENTIFIER, "Whether it has the hash of its key."),
    Parameter::new("ownca_path", Kind::Text, "The file of the authority's certificate."),
    Parameter::new("ownca_content", Kind::Text, "The authority's certificate itself."),
    Parameter::new("ownca_privatekey_path", Kind::Text, "The file of the authority's private key."),
    Parameter::new("ownca_privatekey_content", Kind::Text, "The authority's private key itself."),
    Parameter::new("ownca_privatekey_passphrase", Kind::Text, "The passphrase of the authority's private key."),
    Parameter::new("ownca_digest", Kind::Text, "The hash that is signed (default: sha256)."),
    Parameter::new("ownca_not_after", Kind::Text, "Its end, such as +3650d, the default."),
    Parameter::new("ownca_not_before", Kind::Text, "Its beginning (default: +0s)."),
    Parameter::new("ownca_version", Kind::Number, "The version: 3."),
    Parameter::new("ownca_create_subject_key_identifier", IDENTIFIER, "Whether it has the hash of its key."),
    Parameter::new("ownca_create_authority_key_identifier", Kind::Flag, "Whether it names the authority's key."),
    Parameter::new("ignore_timestamps", Kind::Flag, "Whether other times are no difference (default: true)."),
    Parameter::new("force", Kind::Flag, "Whether it is made anew in any case (default: false)."),
    Parameter::new("return_content", Kind::Flag, "Whether the result has the certificate (default: false)."),
    Parameter::new("select_crypto_backend", Kind::Any, "No effect: openssl makes the certificate."),
    destination::BACKUP,
    destination::MODE,
];

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let is_given = |name: &str| {
        let content = name.strip_suffix("_path").map(|name| format!("{name}_content")).unwrap_or_default();
        Ok::<_, String>(arguments.non_empty(name)?.or(arguments.non_empty(&content)?).is_some())
    };
    let provider = arguments.non_empty("provider")?;
    let is_present = arguments.text("state")?.as_deref() != Some("absent");
    let needed: &[&str] = match provider.as_deref() {
        _ if !is_present => &[],
        Some("selfsigned") => &["privatekey_path"],
        Some(_) => &["csr_path", "ownca_path", "ownca_privatekey_path"],
        None => return Err("`provider` must be ownca or selfsigned".to_owned()),
    };
    for name in needed {
        if !is_given(name)? {
            let content = name.replace("_path", "_content");
            return Err(format!("the certificate needs `{name}` or `{content}`"));
        }
    }
    let is_own = provider.as_deref() == Some("ownca");
    let of_provider = |name: &str| format!("{}_{name}", if is_own { "ownca" } else { "selfsigned" });
    let time = |name: &str, default: &str| {
        let name = of_provider(name);
        let text = arguments.non_empty(&name)?.unwrap_or_else(|| default.to_owned());
        shell_time(&text)
            .ok_or_else(|| format!("`{name}` must be a time such as +365d or 20301231235959Z, not `{text}`"))
    };
    let never = |name: &str| Ok::<_, String>(arguments.text(&of_provider(name))?.as_deref() == Some("never_create"));
    let mut run = run
        .set("digest", &digest(arguments, &of_provider("digest"))?)
        .set("not_before", &time("not_before", "+0s")?)
        .set("not_after", &time("not_after", "+3650d")?)
        .flag("has_identifier", !never("create_subject_key_identifier")?)
        .flag("names_authority", is_own && arguments.flag("ownca_create_authority_key_identifier")? != Some(false))
        .result("privatekey", arguments.non_empty("privatekey_path")?)
        .result("csr", arguments.non_empty("csr_path")?);
    if is_own {
        run = run
            .result("ca_cert", arguments.non_empty("ownca_path")?)
            .result("ca_privatekey", arguments.non_empty("ownca_privatekey_path")?);
    }
    let paths = ["path", "csr_path", "privatekey_path", "ownca_path", "ownca_privatekey_path"];
    run.attributes(arguments)?.read(read).paths(&paths, arguments)
}

/// Puts the serial number into the result as a decimal number. It is too large for a number of JSON.
fn read(report: &HostReport, outcome: &mut Outcome) {
    outcome.detail.shift_remove("serial");
    if let Some(digits) = report.get("serial") {
        outcome.detail.insert("serial_number".to_owned(), decimal(digits).into());
    }
}

/// Returns hexadecimal digits as decimal ones.
fn decimal(digits: &str) -> String {
    let mut number: Vec<u32> = vec![0];
    for digit in digits.chars().filter_map(|digit| digit.to_digit(16)) {
        let mut carry = digit;
        for place in &mut number {
            carry += *place * 16;
            *place = carry % 10;
            carry /= 10;
        }
        while carry > 0 {
            number.push(carry % 10);
            carry /= 10;
        }
    }
    number.iter().rev().filter_map(|place| char::from_digit(*place, 10)).collect()
}

/// Returns a time as the script takes it: `+SECONDS`, `-SECONDS` or `YYYYMMDDHHMMSSZ`.
fn shell_time(text: &str) -> Option<String> {
    let is_time = |digits: &str| digits.len() == 14 && digits.chars().all(|c| c.is_ascii_digit());
    if text.strip_suffix('Z').is_some_and(is_time) {
        return Some(text.to_owned());
    }
    let sign = text.chars().next().filter(|sign| "+-".contains(*sign))?;
    let mut rest = text.get(1..)?;
    let mut seconds: u64 = 0;
    for (unit, length) in [('w', 604_800), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((number, after)) = rest.split_once(unit) {
            seconds = number.parse::<u64>().ok()?.checked_mul(length)?.checked_add(seconds)?;
            rest = after;
        }
    }
    (rest.is_empty() && text.len() > 1).then(|| format!("{sign}{seconds}"))
}

#[cfg(test)]
mod tests {
    use super::decimal;
    use super::shell_time;

    #[test]
    fn a_serial_number_is_decimal() {
        assert_eq!(
            ["0", "FF", "123456789ABCDEF0123456789"].map(decimal),
            ["0", "255", "90144042682896311822508713865"]
        );
    }

    #[test]
    fn times_are_relative_or_absolute() {
        let times = ["+1w2d", "-3h1s", "20301231235959Z", "+0s"].map(|text| shell_time(text).unwrap());
        assert_eq!(times, ["+777600", "-10801", "20301231235959Z", "+0"]);
        assert!(["", "+", "5d", "+5x", "+1d1w", "2030Z"].iter().all(|text| shell_time(text).is_none()));
    }
}
