//! The lookup `url`: the text at a URL, which curl gets on the machine where the playbook runs.

use std::io::Write;
use std::process::Command;
use std::process::Stdio;

use minijinja::Error;
use minijinja::Value;

use super::super::Scope;
use super::super::arguments::Arguments;
use super::super::value;
use super::super::value::text;
use super::super::value::wrong;

/// The largest text, in bytes.
const LIMIT: &str = "16777216";

/// The options that muster knows.
const OPTIONS: [&str; 11] = [
    "errors",
    "force",
    "force_basic_auth",
    "headers",
    "password",
    "split_lines",
    "timeout",
    "use_proxy",
    "username",
    "validate_certs",
    "wantlist",
];

pub(super) fn url(scope: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    if let Some((name, _)) =
        arguments.named().iter().find(|(name, _)| !OPTIONS.contains(&name.as_str()) && !name.contains(' '))
    {
        return Err(wrong(format!("muster knows no option `{name}` of the lookup `url`")));
    }
    let splits = arguments.by_name("split_lines").is_none_or(|flag| flag.is_true());
    let mut all = Vec::new();
    for term in terms {
        let content = get(scope, &text(term), arguments)?;
        if splits {
            all.extend(content.lines().map(Value::from));
        } else {
            all.push(Value::from(content));
        }
    }
    Ok(all)
}

/// Gets the text at a URL. What may be secret goes to curl on its stdin.
fn get(scope: &Scope, url: &str, arguments: &Arguments) -> Result<String, Error> {
    let is_known = ["http://", "https://", "ftp://", "file://"].iter().any(|scheme| url.starts_with(scheme));
    if !is_known {
        return Err(wrong(format!("`{url}` is no URL")));
    }
    let mut configuration = vec![format!("url = {}", quoted(url))];
    let flag = |name: &str, default: bool| arguments.by_name(name).map_or(default, |flag| flag.is_true());
    if !flag("validate_certs", true) {
        configuration.push("insecure".to_owned());
    }
    if !flag("use_proxy", true) {
        configuration.push("noproxy = \"*\"".to_owned());
    }
    let timeout = arguments.by_name("timeout").map_or_else(|| "10".to_owned(), |timeout| text(&timeout));
    configuration
        .extend([format!("connect-timeout = {}", quoted(&timeout)), format!("speed-time = {}", quoted(&timeout))]);
    if let Some(user) = arguments.by_name("username").filter(Value::is_true) {
        let password = arguments.by_name("password").map(|password| text(&password)).unwrap_or_default();
        configuration.push(format!("user = {}", quoted(&format!("{}:{password}", text(&user)))));
    }
    if let Some(headers) = arguments.by_name("headers").filter(Value::is_true) {
        let header = |(name, content)| format!("header = {}", quoted(&format!("{}: {}", text(&name), text(&content))));
        configuration.extend(value::entries(&headers)?.into_iter().map(header));
    }
    curl(scope, url, &configuration.join("\n"))
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r', '\0'], "");
    format!("\"{escaped}\"")
}

fn curl(scope: &Scope, url: &str, configuration: &str) -> Result<String, Error> {
    let failed = |why: String| wrong(format!("cannot get {url}: {why}"));
    let mut process = Command::new("curl");
    process.args(["--silent", "--show-error", "--fail", "--location", "--max-redirs", "10", "--max-filesize", LIMIT]);
    process.args(["--user-agent", "ansible-httpget", "--config", "-"]);
    process.env_clear().envs(&scope.surroundings()?.environment);
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().map_err(|error| failed(format!("curl does not run: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(configuration.as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    String::from_utf8(output.stdout).map_err(|_| failed("the text is not UTF-8".to_owned()))
}
