//! `get_url`: gets a file from a web server onto the host, with curl(1) there.
//!
//! The options for curl, which may hold a password, are given on its stdin, where other users cannot read them.

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::curl;
use super::destination;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::file::Content;
use crate::playbook::file::Download;
use crate::playbook::file::File;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::outcome::Outcome;

/// Gets a file.
pub(super) struct GetUrl;

static SPEC: Spec = Spec::new(
    "get_url",
    &["ansible.builtin", "ansible.legacy"],
    "Gets a file from a web server onto the host, with curl there.",
    &[
        Parameter::new("url", Kind::Text, "The URL: http, https, ftp or file."),
        Parameter::new("checksum", Kind::Text, "The hash as ALGORITHM:DIGITS, or ALGORITHM:URL of a list of hashes."),
        Parameter::new("sha256sum", Kind::Text, "The hash as digits of SHA-256."),
        Parameter::new(
            "force",
            Kind::Flag,
            "Whether to get a file again that is there (default: if the server has a newer one).",
        ),
        Parameter::new(
            "timeout",
            Kind::Number,
            "The time to connect and the longest silence, in seconds (default: 10).",
        ),
        Parameter::new("headers", Kind::Any, "Headers of the request, as a map."),
        Parameter::new("url_username", Kind::Text, "The user for basic authentication.").or(&["username"]),
        Parameter::new("url_password", Kind::Text, "The password for basic authentication.").or(&["password"]),
        Parameter::new("force_basic_auth", Kind::Flag, "Whether to send the user at once; muster always does so."),
        Parameter::new("validate_certs", Kind::Flag, "Whether certificates are checked (default: true)."),
        Parameter::new("use_proxy", Kind::Flag, "Whether the host's proxy variables count (default: true)."),
        destination::DEST,
        destination::BACKUP,
        destination::MODE,
        destination::UNSAFE_WRITES,
    ],
)
.with(&destination::ATTRIBUTES)
.needs(&[&["url"], &["dest"]]);

impl Module for GetUrl {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let url = arguments.required("url")?;
        let (algorithm, checksum) = checksum(arguments)?;
        let download = Download {
            name: url_name(&url),
            is_forced: arguments.flag("force")?.unwrap_or(false),
            options: curl_options(arguments)?,
            url: url.clone(),
            algorithm,
            checksum,
        };
        let name = Some(download.name.clone());
        let mut file = destination::file(arguments, Content::Download(download), name, None)?;
        // Here `force` speaks of the download.
        file.keep = false;
        Ok(Action::on_host(Request { url, file }))
    }
}

/// Returns the algorithm and the digits, or the URL of a list of hashes.
fn checksum(arguments: &Arguments<'_>) -> Result<(String, String), String> {
    let sha256 = arguments.non_empty("sha256sum")?.map(|digits| format!("sha256:{digits}"));
    let text = sha256.map_or_else(|| arguments.non_empty("checksum"), |text| Ok(Some(text)))?;
    let Some(text) = text else { return Ok((String::new(), String::new())) };
    let parts = text.split_once(':');
    let (algorithm, sum) = parts.ok_or("The checksum parameter has to be in format <algorithm>:<checksum>")?;
    if !["md5", "sha1", "sha224", "sha256", "sha384", "sha512"].contains(&algorithm) {
        return Err(format!("Could not hash file with algorithm '{algorithm}'"));
    }
    if sum.contains("://") {
        return Ok((algorithm.to_owned(), sum.to_owned()));
    }
    let digits: String = sum.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect::<String>().to_lowercase();
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("The checksum format is invalid".to_owned());
    }
    Ok((algorithm.to_owned(), digits))
}

/// Returns the name of the file in a URL.
fn url_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let name = path.split_once('/').and_then(|(_, path)| path.rsplit('/').next()).unwrap_or_default();
    if name.is_empty() { "index.html".to_owned() } else { name.to_owned() }
}

/// Returns the lines of curl's configuration, without the URL.
fn curl_options(arguments: &Arguments<'_>) -> Result<String, String> {
    let timeout = arguments.number("timeout")?.unwrap_or(10);
    let mut lines = vec![
        "location".to_owned(),
        "silent".to_owned(),
        "show-error".to_owned(),
        "proto = \"=http,https,ftp,file\"".to_owned(),
        "user-agent = \"muster\"".to_owned(),
        format!("connect-timeout = {timeout}"),
        "speed-limit = 1".to_owned(),
        format!("speed-time = {timeout}"),
    ];
    if arguments.flag("validate_certs")? == Some(false) {
        lines.push("insecure".to_owned());
    }
    if arguments.flag("use_proxy")? == Some(false) {
        lines.push("noproxy = \"*\"".to_owned());
    }
    if let Some(user) = arguments.text("url_username")? {
        let password = arguments.text("url_password")?.unwrap_or_default();
        lines.push(curl::option("user", &format!("{user}:{password}")));
    }
    match arguments.value("headers") {
        None => {}
        Some(Value::Object(headers)) => {
            for (name, value) in headers {
                let value = scalar_text(value).ok_or_else(|| format!("the header `{name}` must be text"))?;
                lines.push(curl::header(name, &value)?);
            }
        }
        Some(_) => return Err("`headers` must be a map".to_owned()),
    }
    Ok(lines.join("\n") + "\n")
}

/// A file to get.
struct Request {
    url: String,
    file: File,
}

#[async_trait::async_trait]
impl HostAction for Request {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let named = |mut outcome: Outcome| {
            outcome.detail.insert("url".to_owned(), self.url.clone().into());
            outcome
        };
        let report = self.file.write(connection).await.map_err(named)?;
        let mut vars = report.vars(&["dest", "backup_file", "msg", "checksum_src", "checksum_dest"]);
        vars.insert("url".to_owned(), self.url.clone().into());
        vars.entry("checksum_dest").or_insert(Value::Null);
        if let Some(status) = report.get("status_code").and_then(|code| code.parse::<u16>().ok()).filter(|it| *it > 0) {
            vars.insert("status_code".to_owned(), status.into());
        }
        Ok(Outcome::done(report.is("changed"), vars))
    }
}

#[cfg(test)]
mod tests {
    use super::url_name;

    #[test]
    fn the_name_is_the_last_part_of_the_path() {
        for (url, expected) in [
            ("https://a.b/c/d.tgz?x=/y#z", "d.tgz"),
            ("https://a.b/", "index.html"),
            ("https://a.b", "index.html"),
            ("file:///x/y", "y"),
        ] {
            assert_eq!(url_name(url), expected, "{url}");
        }
    }
}
