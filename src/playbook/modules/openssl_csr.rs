//! `openssl_csr`: a request for a certificate, made by the program openssl on the host.

use std::fmt::Write as _;

use serde_json::Value;

use super::Arguments;
use super::destination;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;

/// Makes or removes a request for a certificate.
pub(super) static OPENSSL_CSR: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "openssl_csr",
        &["community.crypto", "ansible.builtin"],
        "Makes a request for a certificate with openssl, or removes it.",
        &[
            Parameter::new("path", Kind::Text, "The file of the request."),
            Parameter::new("state", Kind::Choice(&["present", "absent"]), "Whether it exists (default: present)."),
            Parameter::new("privatekey_path", Kind::Text, "The file of the private key."),
            Parameter::new("privatekey_content", Kind::Text, "The private key itself."),
            Parameter::new("privatekey_passphrase", Kind::Text, "The passphrase of the private key."),
            Parameter::new("digest", Kind::Text, "The hash that is signed (default: sha256)."),
            Parameter::new("version", Kind::Number, "The version: 1."),
            Parameter::new("subject", Kind::Any, "Fields of the subject, as a map."),
            Parameter::new(
                "subject_ordered",
                Kind::Any,
                "Fields of the subject, as a list of maps with one field each.",
            ),
            Parameter::new("country_name", Kind::Text, "The country in the subject.").or(&["C", "countryName"]),
            Parameter::new("state_or_province_name", Kind::Text, "The state in the subject.")
                .or(&["ST", "stateOrProvinceName"]),
            Parameter::new("locality_name", Kind::Text, "The place in the subject.").or(&["L", "localityName"]),
            Parameter::new("organization_name", Kind::Text, "The organisation in the subject.")
                .or(&["O", "organizationName"]),
            Parameter::new("organizational_unit_name", Kind::Text, "The department in the subject.")
                .or(&["OU", "organizationalUnitName"]),
            Parameter::new("common_name", Kind::Text, "The name in the subject.").or(&["CN", "commonName"]),
            Parameter::new("email_address", Kind::Text, "The address in the subject.").or(&["E", "emailAddress"]),
            Parameter::new("subject_alt_name", Kind::List, "Further names: DNS:example.org, IP:192.0.2.1.")
                .or(&["subjectAltName"]),
            Parameter::new("subject_alt_name_critical", Kind::Flag, "Whether they are critical.")
                .or(&["subjectAltName_critical"]),
            Parameter::new(
                "use_common_name_for_san",
                Kind::Flag,
                "Whether the name is a further name (default: true).",
            )
            .or(&["useCommonNameForSAN"]),
            Parameter::new("key_usage", Kind::List, "What the key is for: digitalSignature.").or(&["keyUsage"]),
            Parameter::new("key_usage_critical", Kind::Flag, "Whether that is critical.").or(&["keyUsage_critical"]),
            Parameter::new("extended_key_usage", Kind::List, "What else: serverAuth.")
                .or(&["extKeyUsage", "extendedKeyUsage"]),
            Parameter::new("extended_key_usage_critical", Kind::Flag, "Whether that is critical.")
                .or(&["extKeyUsage_critical", "extendedKeyUsage_critical"]),
            Parameter::new("basic_constraints", Kind::List, "Limits of an authority: CA:TRUE, pathlen:0.")
                .or(&["basicConstraints"]),
            Parameter::new("basic_constraints_critical", Kind::Flag, "Whether they are critical.")
                .or(&["basicConstraints_critical"]),
            Parameter::new("ocsp_must_staple", Kind::Flag, "Whether a server must staple.").or(&["ocspMustStaple"]),
            Parameter::new("ocsp_must_staple_critical", Kind::Flag, "Whether that is critical.")
                .or(&["ocspMustStaple_critical"]),
            Parameter::new("create_subject_key_identifier", Kind::Flag, "Whether it has the hash of the key."),
            Parameter::new("subject_key_identifier", Kind::Text, "That hash: 00:11:22."),
            Parameter::new("force", Kind::Flag, "Whether it is made anew in any case (default: false)."),
            Parameter::new("return_content", Kind::Flag, "Whether the result has the request (default: false)."),
            Parameter::new("select_crypto_backend", Kind::Any, "No effect: openssl makes the request."),
            destination::BACKUP,
            destination::MODE,
        ],
    )
    .with(&destination::ATTRIBUTES)
    .needs(&[&["path"]])
    .excludes(&[&["privatekey_path", "privatekey_content"]]),
    text: concat!(include_str!("openssl_key.sh"), include_str!("openssl_signing.sh"), include_str!("openssl_csr.sh")),
    prepare,
};

/// The parameters that are fields of the subject, in Ansible's order.
const FIELDS: [(&str, &str); 7] = [
    ("country_name", "C"),
    ("state_or_province_name", "ST"),
    ("locality_name", "L"),
    ("organization_name", "O"),
    ("organizational_unit_name", "OU"),
    ("common_name", "CN"),
    ("email_address", "emailAddress"),
];

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let path = arguments.non_empty("privatekey_path")?;
    let is_given = path.is_some() || arguments.non_empty("privatekey_content")?.is_some();
    if !is_given && arguments.text("state")?.as_deref() != Some("absent") {
        return Err("the request needs `privatekey_path` or `privatekey_content`".to_owned());
    }
    let subject = subject(arguments)?;
    let mut names = arguments.list("subject_alt_name")?.unwrap_or_default();
    if names.is_empty() && arguments.flag("use_common_name_for_san")? != Some(false) {
        let common = subject.iter().find(|(field, _)| matches!(field.as_str(), "CN" | "commonName"));
        names.extend(common.map(|(_, name)| format!("DNS:{name}")));
    }
    let extensions = extensions(arguments, &names)?;
    let shown = |list: Vec<String>| if list.is_empty() { Value::Null } else { list.into() };
    let list = |name: &str| Ok::<_, String>(shown(arguments.list(name)?.unwrap_or_default()));
    let pairs = subject.iter().map(|(field, value)| Value::from(vec![field.as_str(), value.as_str()]));
    run.set("digest", &digest(arguments, "digest")?)
        .set("subject", &subject_option(&subject)?)
        .set("extensions", &extensions)
        .flag("is_ordered", arguments.value("subject_ordered").is_some())
        .result("privatekey", path)
        .result("subject", pairs.collect::<Vec<_>>())
        .result("subjectAltName", shown(names))
        .result("keyUsage", list("key_usage")?)
        .result("extendedKeyUsage", list("extended_key_usage")?)
        .result("basicConstraints", list("basic_constraints")?)
        .result("ocspMustStaple", arguments.flag("ocsp_must_staple")? == Some(true))
        .attributes(arguments)?
        .paths(&["path", "privatekey_path"], arguments)
}

/// Reads the name of a hash.
pub(super) fn digest(arguments: &Arguments<'_>, name: &str) -> Result<String, String> {
    let digest = arguments.non_empty(name)?.unwrap_or_else(|| "sha256".to_owned());
    let is_plain = digest.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !digest.starts_with('-');
    if is_plain { Ok(digest) } else { Err(format!("`{name}` must be the name of a hash, not `{digest}`")) }
}

/// Returns the fields of the subject.
fn subject(arguments: &Arguments<'_>) -> Result<Vec<(String, String)>, String> {
    let mut subject = Vec::new();
    for (parameter, field) in FIELDS {
        subject.extend(arguments.non_empty(parameter)?.map(|value| (field.to_owned(), value)));
    }
    let mut add = |map: &Value, name: &str| {
        for (field, value) in map.as_object().ok_or_else(|| format!("`{name}` must have fields with values"))? {
            let values = value.as_array().map_or_else(|| vec![value], |values| values.iter().collect());
            for value in values.into_iter().filter(|value| !value.is_null()) {
                let text = scalar_text(value).ok_or_else(|| format!("`{field}` of `{name}` must be text"))?;
                subject.push((field.clone(), text));
            }
        }
        Ok::<_, String>(())
    };
    if let Some(map) = arguments.value("subject") {
        add(map, "subject")?;
    }
    if let Some(list) = arguments.value("subject_ordered") {
        for map in list.as_array().ok_or("`subject_ordered` must be a list of maps")? {
            add(map, "subject_ordered")?;
        }
        if arguments.value("subject").is_some() || FIELDS.iter().any(|(name, _)| arguments.value(name).is_some()) {
            return Err("subject_ordered cannot be combined with any other subject field".to_owned());
        }
    }
    Ok(subject)
}

/// Returns the subject as openssl takes it: `/C=DE/CN=example.org`.
fn subject_option(subject: &[(String, String)]) -> Result<String, String> {
    let mut option = String::new();
    for (field, value) in subject {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.';
        if field.is_empty() || !field.chars().all(is_name) || value.is_empty() {
            return Err(format!("the subject cannot have the field `{field}` with the value `{value}`"));
        }
        let value = value.replace('\\', "\\\\").replace('/', "\\/").replace('+', "\\+");
        write!(option, "/{field}={value}").unwrap_or_default();
    }
    Ok(if option.is_empty() { "/".to_owned() } else { option })
}

/// Returns the lines of a configuration of openssl with the extensions.
fn extensions(arguments: &Arguments<'_>, names: &[String]) -> Result<String, String> {
    let critical = |name: &str| {
        let is_critical = arguments.flag(&format!("{name}_critical"))? == Some(true);
        Ok::<_, String>(if is_critical { "critical," } else { "" })
    };
    let mut lines = String::new();
    for (parameter, extension) in [
        ("key_usage", "keyUsage"),
        ("extended_key_usage", "extendedKeyUsage"),
        ("basic_constraints", "basicConstraints"),
    ] {
        let words = arguments.list(parameter)?.unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || " .:-_".contains(c);
        if let Some(word) = words.iter().find(|word| !word.chars().all(is_plain)) {
            return Err(format!("`{parameter}` cannot have `{word}`"));
        }
        if !words.is_empty() {
            let words: Vec<&str> = words.iter().map(|word| usage(word)).collect();
            writeln!(lines, "{extension}={}{}", critical(parameter)?, words.join(",")).unwrap_or_default();
        }
    }
    if arguments.flag("ocsp_must_staple")? == Some(true) {
        writeln!(lines, "tlsfeature={}status_request", critical("ocsp_must_staple")?).unwrap_or_default();
    }
    if let Some(hash) = arguments.non_empty("subject_key_identifier")? {
        if !hash.chars().all(|c| c.is_ascii_hexdigit() || c == ':') {
            return Err(format!("Cannot parse subject_key_identifier: `{hash}`"));
        }
        writeln!(lines, "subjectKeyIdentifier={hash}").unwrap_or_default();
    } else if arguments.flag("create_subject_key_identifier")? == Some(true) {
        lines.push_str("subjectKeyIdentifier=hash\n");
    }
    if !names.is_empty() {
        writeln!(lines, "subjectAltName={}@names\n[names]", critical("subject_alt_name")?).unwrap_or_default();
        for (number, name) in names.iter().enumerate() {
            let (kind, value) = alternative_name(name)?;
            writeln!(lines, "{kind}.{number}={}", escaped(value)?).unwrap_or_default();
        }
    }
    Ok(lines)
}

/// Returns the name that openssl has for a usage.
fn usage(word: &str) -> &str {
    match word {
        "Digital Signature" => "digitalSignature",
        "contentCommitment" | "Content Commitment" | "Non Repudiation" => "nonRepudiation",
        "Key Encipherment" => "keyEncipherment",
        "Data Encipherment" => "dataEncipherment",
        "Key Agreement" => "keyAgreement",
        "Certificate Sign" => "keyCertSign",
        "CRL Sign" => "cRLSign",
        "Encipher Only" => "encipherOnly",
        "Decipher Only" => "decipherOnly",
        "any" | "Any" => "anyExtendedKeyUsage",
        word => word,
    }
}

/// Returns the kind of a further name, and the name.
fn alternative_name(name: &str) -> Result<(&str, &str), String> {
    let (kind, value) = name.split_once(':').unwrap_or_default();
    match kind {
        "DNS" | "IP" | "URI" | "email" | "RID" | "otherName" => Ok((kind, value)),
        _ => Err(format!("muster cannot use the name `{name}`: expected DNS:, IP:, URI:, email:, RID: or otherName:")),
    }
}

/// Escapes a value of a configuration of openssl.
fn escaped(value: &str) -> Result<String, String> {
    if value.chars().any(char::is_control) {
        return Err(format!("the name `{}` has a control character", value.escape_default()));
    }
    let mut escaped = String::new();
    for c in value.chars() {
        if "\\\"'`$#;,".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::alternative_name;
    use super::escaped;
    use super::subject_option;

    #[test]
    fn values_mean_nothing_to_openssl() {
        let field = |name: &str, value: &str| subject_option(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(field("CN", "a/b+c=d\\").unwrap(), r"/CN=a\/b\+c=d\\");
        assert!(field("C N", "x").is_err() && field("CN", "").is_err());
        assert_eq!(escaped("$HOME#\"").unwrap(), "\\$HOME\\#\\\"");
        assert!(escaped("a\nb").is_err() && alternative_name("example.org").is_err());
    }
}
