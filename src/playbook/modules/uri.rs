//! `uri`: a request to a web server, sent by the host with curl or wget.

use serde_json::Value;

use super::Arguments;
use super::curl;
use super::curl::option;
use super::destination;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;
use crate::inventory::Vars;
use crate::playbook::host_script::HostReport;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Status;
use crate::playbook::template;

/// Sends a request.
pub(super) static URI: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "uri",
        &["ansible.builtin", "ansible.legacy"],
        "Sends a request to a web server from the host, with curl or wget.",
        &[
            Parameter::new("url", Kind::Text, "The URL."),
            Parameter::new("method", Kind::Text, "The method (default: GET)."),
            Parameter::new("headers", Kind::Any, "A map of headers."),
            Parameter::new("body", Kind::Any, "The body: a text, or a list or map for the format."),
            Parameter::new(
                "body_format",
                Kind::Choice(&["form-multipart", "form-urlencoded", "json", "raw"]),
                "How the body is written (default: raw).",
            ),
            Parameter::new("src", Kind::Text, "The path of a file on the host with the body."),
            Parameter::new("remote_src", Kind::Flag, "Whether `src` is on the host, which it must be."),
            Parameter::new("status_code", Kind::List, "The statuses that are no failure (default: 200)."),
            Parameter::new("return_content", Kind::Flag, "Whether the result has the content."),
            Parameter::new("dest", Kind::Text, "The path of the file, or of its directory, for the content."),
            Parameter::new("creates", Kind::Text, "A path; if it exists, no request is sent."),
            Parameter::new("removes", Kind::Text, "A path; unless it exists, no request is sent."),
            Parameter::new("timeout", Kind::Number, "The seconds to wait for the server (default: 30)."),
            Parameter::new(
                "follow_redirects",
                Kind::Text,
                "`all`, `none`, or `safe` for GET and HEAD (default: safe).",
            ),
            Parameter::new("validate_certs", Kind::Flag, "Whether the certificate is checked (default: true)."),
            Parameter::new("url_username", Kind::Text, "The user.").or(&["user"]),
            Parameter::new("url_password", Kind::Text, "The password.").or(&["password"]),
            Parameter::new("force_basic_auth", Kind::Flag, "No effect: the password is sent with the first request."),
            Parameter::new("client_cert", Kind::Text, "The path of a certificate on the host."),
            Parameter::new("client_key", Kind::Text, "The path of its key."),
            Parameter::new("ca_path", Kind::Text, "The path of the certificates that sign those of servers."),
            Parameter::new("http_agent", Kind::Text, "The name of the client (default: ansible-httpget)."),
            Parameter::new("unix_socket", Kind::Text, "The path of a socket instead of a TCP port."),
            Parameter::new("use_proxy", Kind::Flag, "Whether the proxy of the environment is used (default: true)."),
            Parameter::new("force", Kind::Flag, "Whether caches on the way are asked for nothing."),
            Parameter::new("decompress", Kind::Flag, "Whether content is decompressed (default: true)."),
            Parameter::new("unredirected_headers", Kind::List, "No effect: headers go to the same host only."),
            destination::MODE,
        ],
    )
    .with(&destination::ATTRIBUTES)
    .needs(&[&["url"]])
    .excludes(&[&["body", "src"]]),
    text: include_str!("uri.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let request = Request::read(arguments)?;
    if arguments.non_empty("src")?.is_some() && arguments.flag("remote_src")? != Some(true) {
        return Err("`src` is a path on the host: set `remote_src: true`, or give `body: \"{{ lookup('file', …) }}\"`"
            .to_owned());
    }
    let accepted = arguments.list("status_code")?.unwrap_or_else(|| vec!["200".to_owned()]);
    if let Some(code) = accepted.iter().find(|code| code.parse::<u16>().is_err()) {
        return Err(format!("`status_code` must be numbers, not `{code}`"));
    }
    let run = run
        .set("for_curl", &request.for_curl(arguments)?)
        .set("for_wget", &request.for_wget(arguments)?)
        .set("only_curl", if request.form.is_empty() { "" } else { "multipart forms" })
        .set("accepted", &accepted.join(" "))
        .set("method", &request.method)
        .flag("has_body", request.body.is_some())
        .set("timeout", &arguments.number("timeout")?.unwrap_or(30).to_string())
        .stdin(request.body.unwrap_or_default().into_bytes())
        .attributes(arguments)?
        .paths(&["dest", "creates", "removes", "src"], arguments)?;
    Ok(run.read(read))
}

/// A request.
struct Request {
    url: String,
    method: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    /// The parts of a multipart form.
    form: Vec<(String, String)>,
    follows: bool,
}

impl Request {
    fn read(arguments: &Arguments<'_>) -> Result<Self, String> {
        let method = arguments.non_empty("method")?.unwrap_or_else(|| "GET".to_owned()).to_uppercase();
        if !method.chars().all(|sign| sign.is_ascii_uppercase()) {
            return Err("Parameter 'method' needs to be a single word in uppercase, like GET or POST.".to_owned());
        }
        let follows = match arguments.non_empty("follow_redirects")?.as_deref() {
            None | Some("safe" | "urllib2") => matches!(method.as_str(), "GET" | "HEAD"),
            Some("all" | "yes" | "True") => true,
            Some("none" | "no" | "False") => false,
            Some(other) => return Err(format!("`follow_redirects` must be all, none or safe, not `{other}`")),
        };
        let url = arguments.required("url")?;
        let mut request = Self { url, method, headers: headers(arguments)?, body: None, form: Vec::new(), follows };
        let format = arguments.non_empty("body_format")?.unwrap_or_else(|| "raw".to_owned());
        let Some(body) = arguments.value("body") else { return Ok(request) };
        let mut kind = None;
        match (format.as_str(), body) {
            ("form-multipart", body) => request.form = fields(body)?,
            ("form-urlencoded", Value::Object(_) | Value::Array(_)) => {
                let pairs = fields(body)?;
                let pairs: Vec<String> = pairs.iter().map(|(key, value)| encode(key) + "=" + &encode(value)).collect();
                request.body = Some(pairs.join("&"));
                kind = Some("application/x-www-form-urlencoded");
            }
            ("json", Value::String(text)) => (request.body, kind) = (Some(text.clone()), Some("application/json")),
            ("json", body) => (request.body, kind) = (Some(template::to_json(body)), Some("application/json")),
            (_, body) => request.body = Some(scalar_text(body).unwrap_or_else(|| body.to_string())),
        }
        let has_kind = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if let Some(kind) = kind.filter(|_| !has_kind) {
            request.headers.push(("Content-Type".to_owned(), kind.to_owned()));
        }
        Ok(request)
    }

    /// Returns the configuration for curl. No password stands in the list of processes.
    fn for_curl(&self, arguments: &Arguments<'_>) -> Result<String, String> {
        let mut lines = vec![option("url", &self.url)];
        if self.method == "HEAD" {
            lines.push("head".to_owned());
        } else {
            lines.push(option("request", &self.method));
        }
        lines.extend(self.headers.iter().filter_map(|(name, value)| curl::header(name, value).ok()));
        lines.extend(self.form.iter().map(|(name, value)| option("form-string", &format!("{name}={value}"))));
        let texts = [("client_cert", "cert"), ("client_key", "key"), ("unix_socket", "unix-socket")];
        for (name, key) in texts {
            lines.extend(arguments.non_empty(name)?.map(|value| option(key, &value)));
        }
        lines.extend(arguments.non_empty("ca_path")?.map(|path| option("cacert", &path)));
        if let Some(user) = arguments.non_empty("url_username")? {
            let password = arguments.text("url_password")?.unwrap_or_default();
            lines.push(option("user", &format!("{user}:{password}")));
        }
        let flags = [
            (self.follows, "location"),
            (arguments.flag("validate_certs")? == Some(false), "insecure"),
            (arguments.flag("use_proxy")? == Some(false), "noproxy = \"*\""),
            (arguments.flag("decompress")? != Some(false), "compressed"),
        ];
        lines.extend(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, line)| (*line).to_owned()));
        Ok(lines.join("\n") + "\n")
    }

    /// Returns the configuration for wget, which quotes nothing.
    fn for_wget(&self, arguments: &Arguments<'_>) -> Result<String, String> {
        let mut lines: Vec<String> =
            self.headers.iter().map(|(name, value)| format!("header = {name}: {value}")).collect();
        for (name, key) in [
            ("url_username", "user"),
            ("url_password", "password"),
            ("client_cert", "certificate"),
            ("client_key", "private_key"),
            ("ca_path", "ca_certificate"),
        ] {
            let value = arguments.non_empty(name)?.filter(|value| !value.contains('\n'));
            lines.extend(value.map(|value| format!("{key} = {value}")));
        }
        let flags = [
            (!self.follows, "max_redirect = 0"),
            (arguments.flag("validate_certs")? == Some(false), "check_certificate = off"),
            (arguments.flag("use_proxy")? == Some(false), "use_proxy = off"),
            (true, "auth_no_challenge = on"),
            (true, "content_on_error = on"),
        ];
        lines.extend(flags.iter().filter(|(is_set, _)| *is_set).map(|(_, line)| (*line).to_owned()));
        Ok(lines.join("\n") + "\n")
    }
}

fn headers(arguments: &Arguments<'_>) -> Result<Vec<(String, String)>, String> {
    let mut headers = match arguments.value("headers") {
        None => Vec::new(),
        Some(map @ Value::Object(_)) => fields(map)?,
        Some(_) => return Err("`headers` must be a map".to_owned()),
    };
    let agent = arguments.non_empty("http_agent")?.unwrap_or_else(|| "ansible-httpget".to_owned());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
        headers.push(("User-Agent".to_owned(), agent));
    }
    if arguments.flag("force")? == Some(true) {
        headers.push(("Cache-Control".to_owned(), "no-cache".to_owned()));
    }
    headers.iter().try_for_each(|(name, value)| curl::header(name, value).map(drop))?;
    Ok(headers)
}

/// Returns the pairs of a map, or of a list of pairs. A list as a value is several pairs.
fn fields(value: &Value) -> Result<Vec<(String, String)>, String> {
    let wrong = || "`body` and `headers` must be maps of texts".to_owned();
    let texts = |name: &str, value: &Value| match value {
        Value::Array(items) => items
            .iter()
            .map(|item| scalar_text(item).map(|text| (name.to_owned(), text)).ok_or_else(wrong))
            .collect::<Result<Vec<_>, _>>(),
        Value::Object(part) if part.get("filename").is_none() => {
            let content = part.get("content").and_then(scalar_text).ok_or_else(wrong)?;
            Ok(vec![(name.to_owned(), content)])
        }
        Value::Object(_) => Err("muster sends no file in a form".to_owned()),
        value => Ok(vec![(name.to_owned(), scalar_text(value).unwrap_or_default())]),
    };
    let pairs: Result<Vec<Vec<_>>, String> = match value {
        Value::Object(map) => map.iter().map(|(name, value)| texts(name, value)).collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| match item.as_array().map(Vec::as_slice) {
                Some([name, value]) => texts(&scalar_text(name).ok_or_else(wrong)?, value),
                _ => Err(wrong()),
            })
            .collect(),
        _ => return Err(wrong()),
    };
    Ok(pairs?.concat())
}

/// Returns a text as a form in a URL has it.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Adds the headers and the content to the result.
fn read(report: &HostReport, outcome: &mut Outcome) {
    let headers = outcome.detail.remove("headers").unwrap_or_default();
    for (name, value) in header_vars(headers.as_str().unwrap_or_default()) {
        outcome.detail.entry(name).or_insert(value);
    }
    let text = String::from_utf8_lossy(&report.content);
    let is_refused = report.is("refused:flag");
    outcome.detail.remove("refused");
    let kind = outcome.detail.get("content_type").and_then(Value::as_str).unwrap_or_default();
    if kind.contains("json")
        && let Ok(json) = serde_json::from_str::<Value>(&text)
    {
        outcome.detail.insert("json".to_owned(), json);
    }
    if report.is("returned:flag") || is_refused {
        outcome.detail.insert("content".to_owned(), text.into_owned().into());
    }
    outcome.detail.remove("returned");
    if is_refused {
        outcome.status = Status::Failed;
    }
}

/// Returns the headers of the last answer as Ansible names them.
fn header_vars(headers: &str) -> Vars {
    let mut vars = Vars::new();
    for line in headers.lines().map(str::trim) {
        if line.starts_with("HTTP/") {
            vars.clear();
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let name = name.to_lowercase().replace('-', "_");
        match vars.get_mut(&name) {
            Some(Value::String(known)) => known.push_str(&format!(", {}", value.trim())),
            _ => _ = vars.insert(name, value.trim().into()),
        }
    }
    vars
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Arguments;
    use super::Request;
    use super::header_vars;
    use crate::inventory::Vars;
    use crate::playbook::template::Scope;

    fn request<T>(args: &serde_json::Value, read: impl Fn(&Arguments<'_>) -> T) -> T {
        let (args, scope): (Vars, Scope) = (args.as_object().unwrap().clone(), Scope::new(Vec::new()));
        read(&Arguments { args: &args, scope: &scope, folders: &[], file: std::path::Path::new(""), role: None })
    }

    #[test]
    fn curl_gets_every_value_in_quotes() {
        let args = json!({"url": "http://a/\"\n-o /etc/passwd", "method": "post", "body_format": "json", "body": {"a": [1]},
            "url_username": "u", "url_password": "p\\", "validate_certs": false});
        let text = request(&args, |it| Request::read(it).unwrap().for_curl(it).unwrap());
        assert_eq!(
            text,
            "url = \"http://a/\\\"\\n-o /etc/passwd\"\nrequest = \"POST\"\nheader = \"User-Agent: ansible-httpget\"\n\
             header = \"Content-Type: application/json\"\nuser = \"u:p\\\\\"\ninsecure\ncompressed\n"
        );
        assert_eq!(request(&args, |it| Request::read(it).unwrap().body).as_deref(), Some(r#"{"a": [1]}"#));
    }

    #[test]
    fn a_form_is_encoded() {
        let args = json!({"url": "x", "body_format": "form-urlencoded", "body": {"a b": "c&d", "e": ["f", 1]}});
        assert_eq!(request(&args, |it| Request::read(it).unwrap().body).as_deref(), Some("a+b=c%26d&e=f&e=1"));
        let bad = json!({"url": "x", "headers": {"a": "b\r\nc: d"}});
        assert!(request(&bad, |it| Request::read(it).is_err()));
    }

    #[test]
    fn the_headers_of_the_last_answer_count() {
        let vars = header_vars(
            "HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX: 1\r\nx: 2\r\n\r\n",
        );
        assert_eq!(serde_json::Value::Object(vars), json!({"content_type": "a/b", "x": "1, 2"}));
    }
}
