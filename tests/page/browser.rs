//! A headless Chromium, driven with WebDriver over HTTP.

use std::io::BufRead as _;
use std::io::BufReader;
use std::panic::Location;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

/// How long the page has for what a test waits for.
const LIMIT: Duration = Duration::from_secs(10);

/// How often a condition of the page is evaluated.
const POLL: Duration = Duration::from_millis(15);

/// The programs, as Debian installs them.
const PROGRAMS: [&str; 2] = ["/usr/bin/chromedriver", "/usr/bin/chromium"];

/// Chromium asks no server by itself, and no name but that of this host is resolved.
const ARGUMENTS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1360,860",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// Reports whether Chromium is installed.
pub(super) fn installed() -> bool {
    PROGRAMS.iter().all(|program| Path::new(program).exists())
}

pub(super) struct Browser {
    driver: Child,
    client: reqwest::Client,
    /// The address of the session.
    session: String,
    _profile: TempDir,
}

impl Browser {
    pub(super) async fn start() -> Self {
        let mut driver = Command::new(PROGRAMS[0]);
        let mut driver = driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            Some(line.strip_prefix("ChromeDriver was started successfully on port ")?.trim_end_matches('.').to_owned())
        });
        let profile = tempfile::tempdir().unwrap();
        let arguments = ARGUMENTS.iter().map(|text| (*text).to_owned());
        let arguments: Vec<String> =
            arguments.chain([format!("--user-data-dir={}", profile.path().display())]).collect();
        let wish = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": PROGRAMS[1], "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let base = format!("http://127.0.0.1:{}/session", port.expect("chromedriver says its port"));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer: Value = client.post(&base).json(&wish).send().await.unwrap().json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Self { driver, client, session: format!("{base}/{id}"), _profile: profile }
    }

    /// Ends the session and the driver.
    pub(super) async fn end(mut self) {
        let _ = self.client.delete(&self.session).send().await;
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }

    async fn command(&self, path: &str, body: &Value) -> Value {
        let answer = self.client.post(format!("{}/{path}", self.session)).json(body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {answer:#}");
        answer["value"].clone()
    }

    pub(super) async fn open(&self, address: &str) {
        self.command("url", &json!({"url": address})).await;
    }

    /// Runs the body of a function in the page.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []})).await
    }

    /// Returns the value of an expression.
    pub(super) async fn get(&self, expression: &str) -> Value {
        self.run(&format!("return {expression};")).await
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(super) fn until(&self, expression: &str) -> impl Future<Output = Duration> + use<'_> {
        self.comes_true(format!("Boolean({expression})"), expression.to_owned(), Location::caller())
    }

    /// Waits until the page shows a text.
    #[track_caller]
    pub(super) fn shows(&self, text: &str) -> impl Future<Output = Duration> + use<'_> {
        let expression = format!("document.body.innerText.includes({})", json!(text));
        self.comes_true(expression, format!("the text {text:?}"), Location::caller())
    }

    async fn comes_true(&self, expression: String, what: String, caller: &'static Location<'static>) -> Duration {
        let began = Instant::now();
        while self.get(&expression).await != json!(true) {
            if began.elapsed() >= LIMIT {
                let shown = self.get("document.body.innerText").await;
                panic!("{caller}: after {LIMIT:?} there is no {what}: {}", shown.as_str().unwrap_or_default());
            }
            tokio::time::sleep(POLL).await;
        }
        began.elapsed()
    }

    /// Returns the text that an element shows.
    pub(super) async fn text(&self, selector: &str) -> String {
        let text = self.get(&format!("document.querySelector({})?.innerText ?? null", json!(selector))).await;
        text.as_str().unwrap_or_else(|| panic!("there is no {selector}")).to_owned()
    }

    /// Waits for an element, and clicks it as a mouse does.
    #[track_caller]
    pub(super) fn click(&self, selector: &str) -> impl Future<Output = ()> + use<'_> {
        let is_there = self.until(&format!("document.querySelector({})", json!(selector)));
        let selector = selector.to_owned();
        async move {
            is_there.await;
            let found = self.command("element", &json!({"using": "css selector", "value": selector})).await;
            let id = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
            self.command(&format!("element/{id}/click"), &json!({})).await;
        }
    }

    /// Presses keys, one after the other, where the focus is.
    pub(super) async fn press(&self, keys: &[&str]) {
        let named = |key: &str| match key {
            "Enter" => "\u{e007}".to_owned(),
            "Escape" => "\u{e00c}".to_owned(),
            "Tab" => "\u{e004}".to_owned(),
            "ArrowDown" => "\u{e015}".to_owned(),
            "ArrowRight" => "\u{e014}".to_owned(),
            "End" => "\u{e010}".to_owned(),
            key => key.to_owned(),
        };
        let keys = keys
            .iter()
            .map(|key| named(key))
            .flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]);
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys.collect::<Vec<_>>()}]});
        self.command("actions", &actions).await;
    }

    /// Types a text where the focus is.
    pub(super) async fn type_text(&self, text: &str) {
        let keys: Vec<String> = text.chars().map(String::from).collect();
        self.press(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    /// Sends a command of the DevTools.
    pub(super) async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command("goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }

    /// Shows the page as on a screen of this size, dark or light.
    pub(super) async fn screen(&self, (width, height, is_phone): (u32, u32, bool), scheme: &str) {
        let scale = if is_phone { 2 } else { 1 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics).await;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &features).await;
    }

    /// Returns what the console says since the last call.
    pub(super) async fn console(&self) -> Vec<String> {
        let entries = self.command("se/log", &json!({"type": "browser"})).await;
        let text = |entry: &Value| format!("{}: {}", entry["level"], entry["message"]);
        entries.as_array().unwrap().iter().map(text).collect()
    }

    /// Writes a picture of the page.
    pub(super) async fn picture(&self, path: &Path) {
        let answer: Value =
            self.client.get(format!("{}/screenshot", self.session)).send().await.unwrap().json().await.unwrap();
        std::fs::write(path, BASE64_STANDARD.decode(answer["value"].as_str().unwrap()).unwrap()).unwrap();
    }

    /// Returns the process of the driver, whose children are those of Chromium.
    pub(super) fn process(&self) -> u32 {
        self.driver.id()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its driver.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
