//! The discovery service: its protocol, and unmodified etcd servers that find each other through it.

use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use muster::discovery::registry;
use muster::store::Op;
use muster::store::SqliteStore;
use muster::store::Store as _;

use crate::store::server::free_port;
use crate::store::server::installed;

/// Calls a function until it returns a value.
fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A process that is killed when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process of the service, with its store in a file.
struct Service {
    process: Process,
    address: SocketAddr,
}

impl Service {
    fn start(folder: &Path, port: u16) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = muster(folder);
        command.args(["discovery", "serve", "--listen", &address.to_string()]);
        let process = Process(command.stderr(Stdio::null()).spawn().unwrap());
        let service = Self { process, address };
        until("the service answers", Duration::from_secs(20), || service.try_ask("GET", "/health", ""));
        service
    }

    /// Asks the service to end, and waits until it has ended, even with open requests.
    fn stop(mut self) {
        let pid = self.process.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = until("the service ends", Duration::from_secs(10), || self.process.0.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }

    fn try_ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, String, String)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, head.to_lowercase(), body.to_owned()))
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String, String) {
        self.try_ask(method, path, body).unwrap()
    }

    fn json(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let (status, head, body) = self.ask(method, path, body);
        assert!(head.contains("x-etcd-index: "), "{head}");
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    /// Creates a token and returns its path.
    fn token(&self, size: u32) -> String {
        let (status, _, url) = self.ask("GET", &format!("/new?size={size}"), "");
        assert_eq!(status, 200, "{url}");
        let path = url.strip_prefix(&format!("http://{}", self.address)).unwrap_or_else(|| panic!("{url}"));
        assert_eq!(path.len(), 33, "{url}");
        path.to_owned()
    }
}

fn muster(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.env_clear().current_dir(folder).args(["--store", "sqlite:registry.db"]);
    command
}

#[test]
fn the_protocol_equals_that_of_etcd() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), free_port());
    let t = service.token(2);

    let (status, size) =
        service.json("GET", &format!("{t}/_config/size?quorum=false&recursive=false&sorted=false"), "");
    let index = size["node"]["createdIndex"].clone();
    let node = serde_json::json!({"key": format!("{t}/_config/size"), "value": "2", "modifiedIndex": index, "createdIndex": index});
    assert_eq!((status, &size), (200, &serde_json::json!({"action": "get", "node": node})));

    let (status, empty) = service.json("GET", &format!("{t}?quorum=false&recursive=false&sorted=false"), "");
    let node = serde_json::json!({"key": t, "dir": true, "modifiedIndex": index, "createdIndex": index});
    assert_eq!((status, &empty), (200, &serde_json::json!({"action": "get", "node": node})));

    let member = format!("{t}/287eb8a692cf5fee");
    let body = "value=e1%3Dhttp%3A%2F%2F127.0.0.1%3A21380";
    let (status, made) = service.json("PUT", &format!("{member}?prevExist=false"), body);
    assert_eq!((status, &made["action"]), (201, &serde_json::json!("create")));
    let node = made["node"].clone();
    assert_eq!(
        (&node["key"], &node["value"]),
        (&serde_json::json!(member), &serde_json::json!("e1=http://127.0.0.1:21380"))
    );
    let at = node["createdIndex"].as_i64().unwrap();

    let (status, taken) = service.json("PUT", &format!("{member}?prevExist=false"), body);
    assert_eq!((status, &taken["errorCode"], &taken["message"]), (412, &105.into(), &"Key already exists".into()));

    let (_, oneself) = service.json("GET", &format!("{member}?recursive=false&wait=true&waitIndex={at}"), "");
    assert_eq!(oneself, serde_json::json!({"action": "create", "node": node}));

    // A request waits for the next server and gets it.
    std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| service.json("GET", &format!("{t}?recursive=true&wait=true&waitIndex={}", at + 1), ""));
        let (status, _) =
            service.json("PUT", &format!("{t}/163e2bbf6b6cefb7?prevExist=false"), "value=e2%3Dhttp://127.0.0.1:1");
        assert_eq!(status, 201);
        let (status, came) = waiting.join().unwrap();
        assert_eq!((status, &came["node"]["key"]), (200, &serde_json::json!(format!("{t}/163e2bbf6b6cefb7"))));
    });
    let (_, all) = service.json("GET", &format!("{t}/"), "");
    assert_eq!(all["node"]["nodes"].as_array().unwrap().len(), 2);

    let (status, gone) = service.json("DELETE", &member, "");
    assert_eq!((status, &gone["action"], &gone["prevNode"]["value"]), (200, &"delete".into(), &node["value"]));
    assert_eq!(service.json("GET", &member, "").0, 404);
}

#[test]
fn invalid_requests_are_answered_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), free_port());
    for size in ["0", "-1", "x", "99999999999", "10001", ""] {
        assert_eq!(service.ask("PUT", &format!("/new?size={size}"), "").0, 400, "{size:?}");
    }
    let unknown = "/00000000000000000000000000000000";
    let (status, answer) = service.json("GET", &format!("{unknown}/_config/size"), "");
    assert_eq!((status, &answer["errorCode"], &answer["message"]), (404, &100.into(), &"Key not found".into()));
    assert_eq!(answer["cause"], format!("{unknown}/_config/size"));
    let t = service.token(1);
    for (method, path, body, expected) in [
        ("GET", "/%2e%2e/%2e%2e".to_owned(), "", 404),
        ("GET", "/default".to_owned(), "", 404),
        ("GET", "/a/b/c/d".to_owned(), "", 404),
        ("PUT", format!("{unknown}/1?prevExist=false"), "value=a%3Db", 404),
        ("PUT", format!("{t}/xyz?prevExist=false"), "value=a%3Db", 400),
        ("PUT", format!("{t}/00000000000000000000000000000001?prevExist=false"), "value=a%3Db", 400),
        ("PUT", format!("{t}/1?prevExist=false"), "value=nothing", 400),
        ("PUT", format!("{t}/1?prevExist=false"), "value=a%3Db%0Ac", 400),
        ("PUT", format!("{t}/1?prevExist=false"), "", 400),
        ("PUT", format!("{t}/1?prevExist=true"), "value=a%3Db", 400),
        ("GET", format!("{t}?wait=true&waitIndex=-5"), "", 400),
        ("DELETE", format!("{t}/1"), "", 404),
    ] {
        let (status, answer) = service.json(method, &path, body);
        assert_eq!(status, expected, "{method} {path}: {answer}");
    }
    let large = format!("value=a%3D{}", "b".repeat(20_000));
    assert_eq!(service.json("PUT", &format!("{t}/1?prevExist=false"), &large).0, 400);
    for n in 0..18 {
        assert_eq!(service.json("PUT", &format!("{t}/{n:x}?prevExist=false"), "value=a%3Db").0, 201);
    }
    assert_eq!(
        service.json("PUT", &format!("{t}/ff?prevExist=false"), "value=a%3Db").0,
        400,
        "the number of servers is bounded"
    );
}

#[tokio::test]
async fn machines_that_joined_do_not_count_as_servers() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("registry.db")).await.unwrap();
    let keys = registry::create(&store, 3, None).await.unwrap();
    let machines = (0..22).map(|n| Op::put(format!("{}{n:032x}", keys.members()), format!("web{n}=ssh://web{n}")));
    store.commit(vec![], machines.collect()).await.unwrap();
    let service = Service::start(folder.path(), free_port());
    let member = format!("/{}/287eb8a692cf5fee?prevExist=false", keys.token());
    let (status, made) = service.json("PUT", &member, "value=e1%3Dhttp%3A%2F%2F127.0.0.1%3A21380");
    assert_eq!(status, 201, "{made}");
}

#[test]
fn a_token_is_created_shown_and_printed_alone() {
    let folder = tempfile::tempdir().unwrap();
    let output = muster(folder.path()).args(["discovery", "new", "--size", "3"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let token = String::from_utf8(output.stdout).unwrap();
    let token = token.strip_suffix('\n').unwrap();
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    let shown = muster(folder.path()).args(["discovery", "show", token]).output().unwrap();
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), "size 3, 0 registered\n");
    let shown = muster(folder.path()).args(["discovery", "show", token, "-o", "json"]).output().unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown, serde_json::json!({"token": token, "size": 3, "members": []}));
    for (arguments, code) in
        [(["new", "--size=0"], 2), (["new", "--size=x"], 2), (["show", "a/b"], 2), (["show", "0123"], 1)]
    {
        let output = muster(folder.path()).arg("discovery").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    }
}

/// An etcd server that knows only its discovery URL.
struct Etcd {
    folder: tempfile::TempDir,
    process: Process,
    client: u16,
}

impl Etcd {
    fn start(name: &str, url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (client, peer) = (free_port(), free_port());
        let (client_url, peer_url) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("/usr/bin/etcd");
        command.args(["--name", name, "--discovery", url, "--discovery-fallback", "exit"]);
        command.args(["--data-dir".as_ref(), folder.path().join("data").as_os_str()]);
        command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
        command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
        let process = Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        Self { folder, process, client }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits until the server has given up, and returns its log.
    fn end(mut self) -> String {
        let status = until("etcd gives up", Duration::from_secs(30), || self.process.0.try_wait().unwrap());
        assert!(!status.success());
        self.log()
    }

    fn members(&self) -> Option<usize> {
        let output = Command::new("/usr/bin/etcdctl")
            .env("ETCDCTL_API", "3")
            .args([&format!("--endpoints=127.0.0.1:{}", self.client), "member", "list"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        output.status.success().then(|| text.lines().filter(|line| line.contains(", started, ")).count())
    }
}

#[test]
fn three_unmodified_etcd_servers_find_each_other_and_a_fourth_learns_that_the_cluster_is_full() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let service = Service::start(folder.path(), port);
    let token = service.token(3);
    let url = format!("http://127.0.0.1:{port}{token}");
    let mut servers = vec![Etcd::start("e1", &url), Etcd::start("e2", &url)];
    until("two have registered", Duration::from_secs(30), || {
        let (_, all) = service.json("GET", &token, "");
        (all["node"]["nodes"].as_array().map(Vec::len) == Some(2)).then_some(())
    });
    // They wait for the third one, while the service restarts.
    service.stop();
    let service = Service::start(folder.path(), port);
    servers.push(Etcd::start("e3", &url));
    until("three are members", Duration::from_mins(1), || {
        servers.iter().all(|server| server.members() == Some(3)).then_some(())
    });
    let fourth = Etcd::start("e4", &url).end();
    assert!(fourth.contains("cluster is full"), "{fourth}");
    let stranger = Etcd::start("e5", &format!("http://127.0.0.1:{port}/{}", "0".repeat(32))).end();
    assert!(stranger.contains("Key not found") || stranger.contains("size key not found"), "{stranger}");
    let shown = muster(folder.path()).args(["discovery", "show", &token[1..]]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with("size 3, 3 registered\n") && shown.contains("e3"), "{shown}");
    drop(service);
}
