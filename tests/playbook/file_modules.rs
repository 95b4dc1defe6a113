//! The modules for files beside `copy`: what recorded plays cannot show. Other users may own the folders and race with root.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::Stage;
use super::ends;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Returns a playbook for one host with this task.
fn book(task: &str) -> String {
    format!("- hosts: h1\n  tasks:\n    - {task}\n")
}

fn is_root() -> bool {
    let is_root = rustix::process::getuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can make files of other users");
    }
    is_root
}

#[tokio::test]
async fn a_tree_gets_its_mode_and_the_targets_of_its_links_do_not() {
    let stage = Stage::new();
    for folder in ["tree", "tree/sub", "outside"] {
        std::fs::create_dir(stage.path(folder)).unwrap();
    }
    for file in ["tree/a", "tree/sub/b", "tree/-rf", "outside/c"] {
        stage.write(file, "x");
        set_mode(&stage.path(file), 0o644);
    }
    symlink("../outside", stage.path("tree/folder")).unwrap();
    symlink("../outside/c", stage.path("tree/file")).unwrap();
    let task = book("file: {path: DIR/tree, state: directory, mode: 'u=rwX,g=,o=', recurse: true}");
    assert_eq!(ends(&stage.play(&task).await.0), ["changed: [h1]"]);
    assert_eq!([mode(&stage.path("tree/a")), mode(&stage.path("tree/-rf"))], [0o600; 2]);
    assert_eq!([mode(&stage.path("tree")), mode(&stage.path("tree/sub"))], [0o700; 2]);
    assert_eq!(mode(&stage.path("outside/c")), 0o644);
    assert_eq!(ends(&stage.play(&task).await.0), ["ok: [h1]"]);
}

#[tokio::test]
async fn the_link_of_another_user_is_not_followed() {
    if !is_root() {
        return;
    }
    let stage = Stage::new();
    std::fs::create_dir(stage.path("home")).unwrap();
    stage.write("victim", "secret\n");
    set_mode(&stage.path("victim"), 0o600);
    // The link of root leads to a link of another user.
    symlink("../victim", stage.path("home/link")).unwrap();
    std::os::unix::fs::lchown(stage.path("home/link"), Some(65_534), None).unwrap();
    symlink("home/link", stage.path("chain")).unwrap();
    for path in ["home/link", "chain"] {
        for task in [
            "lineinfile: {path: DIR/PATH, line: x}",
            "blockinfile: {path: DIR/PATH, block: x}",
            "replace: {path: DIR/PATH, regexp: secret, replace: x}",
            "file: {path: DIR/PATH, state: file, mode: '0644'}",
            "file: {path: DIR/PATH, state: touch, mode: '0644'}",
            "copy: {content: x, dest: DIR/PATH, follow: true}",
        ] {
            let (printed, code) = stage.play(&book(&task.replace("PATH", path))).await;
            assert!(printed.contains("/home/link is a link of another user") && code == 2, "{task}: {printed}");
        }
    }
    assert_eq!((stage.read("victim").as_str(), mode(&stage.path("victim"))), ("secret\n", 0o600));
}

/// The owner of a folder replaces a file by a link to a file of root, and back, all the time.
#[test]
fn the_owner_of_a_folder_cannot_steer_a_change_of_mode_to_another_file() {
    if !is_root() {
        return;
    }
    let stage = Stage::new();
    std::fs::create_dir(stage.path("home")).unwrap();
    stage.write("victim", "secret");
    stage.write("home/own", "x");
    set_mode(&stage.path("victim"), 0o600);
    let (path, victim, own) = (stage.path("home/f"), stage.path("victim"), stage.path("home/own"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for target in [&victim, &own] {
                    let spare = path.with_extension("spare");
                    let made =
                        if target == &own { std::fs::hard_link(target, &spare) } else { symlink(target, &spare) };
                    made.and_then(|()| std::fs::rename(&spare, &path)).unwrap();
                    let _ = std::fs::remove_file(&spare);
                }
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for bits in ["0644", "0666", "0640", "0777", "0604", "0606"] {
            let task = format!("file: {{path: DIR/home/f, follow: false, mode: '{bits}'}}");
            runtime.block_on(stage.play(&book(&task)));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(mode(&victim), 0o600);
}

#[tokio::test]
async fn names_of_files_are_never_commands_or_records() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("d")).unwrap();
    let names = ["-rf", "a b", "*", "$(touch pwned)", "new\nline", "'", "\\", "path=x\u{1}", "é"];
    for name in names {
        stage.write(&format!("d/{name}"), "x");
    }
    let text = "
- hosts: h1
  tasks:
    - find: {paths: DIR/d, get_checksum: true, contains: x}
      register: found
    - stat: {path: '{{ item.path }}'}
      loop: '{{ found.files }}'
      register: looked
    - file: {path: '{{ item.path }}', mode: '0600'}
      loop: '{{ found.files }}'
    - lineinfile: {path: '{{ item.path }}', line: y}
      loop: '{{ found.files }}'
    - slurp: {src: '{{ item.path }}'}
      loop: '{{ found.files }}'
      register: read
";
    let (document, code) = stage.document(text).await;
    let task = |number: usize| document["plays"][0]["tasks"][number]["hosts"]["h1"].clone();
    assert_eq!((code, &task(0)["matched"]), (0, &json!(names.len())), "{document:#}");
    for (number, key) in [(1, "stat"), (4, "content")] {
        let results = task(number)["results"].clone();
        assert_eq!(results.as_array().unwrap().iter().filter(|it| !it[key].is_null()).count(), names.len());
    }
    for name in names {
        let path = stage.path(&format!("d/{name}"));
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("x\ny\n", 0o600), "{name:?}");
    }
    assert!(!Path::new("pwned").exists());
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_is_edited_again() {
    let stage = Stage::new();
    std::fs::write(stage.path("f"), b"caf\xe9\n").unwrap();
    // The check of the new file changes the old one, the first time.
    let once = "sh -c 'test -e DIR/once || { touch DIR/once; echo new >> DIR/f; }' %s";
    let task = format!("lineinfile: {{path: DIR/f, line: last, validate: {}}}", json!(once));
    let (printed, code) = stage.play(&book(&task)).await;
    assert_eq!((ends(&printed).as_slice(), code), (&["changed: [h1]".to_owned()][..], 0), "{printed}");
    assert_eq!(std::fs::read(stage.path("f")).unwrap(), b"caf\xe9\nnew\nlast\n");
    let always = task.replace("test -e DIR/once ||", "").replace("last", "never");
    let (printed, code) = stage.play(&book(&always)).await;
    assert!(printed.contains("/f changed while it was edited") && code == 2, "{printed}");
    assert_eq!(Stage::names(stage.folder.path()), ["f", "hosts", "once"]);
}

/// Answers each request with what the path says, and records the requests.
fn serve(listener: &TcpListener, requests: usize) -> Vec<String> {
    let answer = |request: &str| match request.split(' ').nth(1).unwrap() {
        "/f" if request.contains("If-Modified-Since") => ("304 Not Modified", ""),
        "/f" => ("200 OK", "hello\n"),
        "/sums" => ("200 OK", "0000  other\n5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 *f\n"),
        _ => ("404 Not Found", "no"),
    };
    let one = |_| {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut buffer) = (String::new(), [0; 4096]);
        while !request.contains("\r\n\r\n") {
            let length = stream.read(&mut buffer).unwrap();
            request.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        let (status, body) = answer(&request);
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).unwrap();
        request
    };
    (0..requests).map(one).collect()
}

#[tokio::test]
async fn a_url_is_got_with_headers_and_a_hash_and_only_if_it_is_newer() {
    let curl = std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join("curl").exists());
    if !curl {
        eprintln!("skipped: there is no curl");
        return;
    }
    let stage = Stage::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || serve(&listener, 5));
    let got = "get_url: {url: 'URL/f', dest: DIR/f, headers: {X-Key: 'a \"b\"'}, url_username: u, url_password: p}";
    let listed = "get_url: {url: 'URL/f', dest: DIR/g, checksum: 'sha256:URL/sums'}";
    for (task, expected) in [(got, "changed: [h1]"), (got, "ok: [h1]"), (listed, "changed: [h1]")] {
        let (printed, _) = stage.play(&book(&task.replace("URL", &url))).await;
        assert_eq!(ends(&printed), [expected], "{task}");
    }
    assert_eq!([stage.read("f"), stage.read("g")], ["hello\n", "hello\n"]);
    let (printed, code) = stage.play(&book(&format!("get_url: {{url: '{url}/none', dest: DIR/h}}"))).await;
    assert!(printed.contains(r#""msg": "Request failed""#) && printed.contains("404") && code == 2, "{printed}");
    let requests = server.join().unwrap();
    assert!(requests[0].contains("X-Key: a \"b\"\r\n") && requests[0].contains("Authorization: Basic dTpw"));
    assert!(!stage.path("h").exists());
}

#[test]
fn what_a_module_does_not_take_is_refused_before_anything_runs() {
    for (task, expected) in [
        ("file: {path: /x, context: default}", "module `file` has no `context`"),
        ("copy: {src: a, dest: /x, local_follow: true}", "module `copy` has no `local_follow`"),
        ("file: {path: /x, mode: preserve}", "`mode` must be octal digits"),
        ("lineinfile: {path: /x, line: a, insertafter: b, insertbefore: c}", "module `lineinfile` takes only one of"),
        ("find: {paths: /x, limit: 3}", "module `find` has no `limit`"),
        ("file: {path: /x, state: there}", "`state` must be absent, directory, file, hard, link or touch"),
    ] {
        let fault = super::read(&book(task)).unwrap_err().to_string();
        assert!(fault.contains(expected), "{task}: {fault}");
    }
}

#[tokio::test]
async fn a_file_of_passwords_gets_users_and_keeps_right_passwords() {
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: there is no program openssl");
        assert!(std::env::var_os("CI").is_none());
        return;
    }
    let mut stage = Stage::new();
    for (task, message) in [
        ("name: bob, password: one, create: false", "Destination DIR/f/users does not exist"),
        (
            "name: bob, password: one, mode: '0640'",
            "Created DIR/f/users and added bob and ownership, perms or SE linux context changed",
        ),
        ("name: bob, password: two", "Add/update bob"),
        ("name: amy, password: 'a b$', hash_scheme: sha512_crypt", "Add/update amy"),
        ("name: cy, password: s, crypt_scheme: ldap_sha1", "Add/update cy"),
        ("username: di, password: pw, hash_scheme: plaintext", "Add/update di"),
        ("name: di, state: absent", "Remove di"),
        ("name: nil, state: absent", "nil not present"),
    ] {
        let book =
            book(&format!("htpasswd: {{path: DIR/f/users, {task}}}\n      register: r\n      ignore_errors: true"));
        let book = book + "    - debug: {msg: '{{ r.msg }}'}\n";
        let before = std::fs::read(stage.path("f/users")).ok();
        stage.check = true;
        stage.play(&book).await;
        assert_eq!(std::fs::read(stage.path("f/users")).ok(), before, "{task}");
        stage.check = false;
        let message = message.replace("DIR", &stage.folder.path().display().to_string());
        let (printed, _) = stage.play(&book).await;
        assert!(printed.contains(&format!("\"msg\": \"{message}\"")), "{task}: {printed}");
        assert!(!stage.play(&book).await.0.contains("changed: [h1]"), "{task}");
    }
    let text = std::fs::read_to_string(stage.path("f/users")).unwrap();
    let heads: Vec<&str> = text.lines().map(|line| line.get(..7).unwrap()).collect();
    assert_eq!((heads, mode(&stage.path("f/users"))), (vec!["bob:$ap", "amy:$6$", "cy:{SHA"], 0o640));
}

#[tokio::test]
async fn the_paths_of_keys_may_be_relative() {
    if std::process::Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: there is no program openssl");
        assert!(std::env::var_os("CI").is_none());
        return;
    }
    let stage = Stage::new();
    std::fs::create_dir(stage.path("public")).unwrap();
    // The shells of the stage begin where the test does.
    let up = "../".repeat(std::env::current_dir().unwrap().components().count());
    let folder = format!("{up}{}", stage.folder.path().display());
    let task = |task: &str| book(&task.replace("HERE", &folder));
    let made = stage.play(&task("openssl_privatekey: {path: HERE/key.pem, type: Ed25519}")).await;
    assert!(made.0.contains("changed: [h1]"), "{}", made.0);
    let public = task("openssl_publickey: {path: HERE/public/key.pem, privatekey_path: HERE/key.pem}");
    for expected in ["changed: [h1]", "ok: [h1]"] {
        let (printed, _) = stage.play(&public).await;
        assert!(printed.contains(expected), "{printed}");
    }
    assert!(stage.read("public/key.pem").starts_with("-----BEGIN PUBLIC KEY-----"));
    let (printed, _) = stage.play(&public.replace("/key.pem}", "/none.pem}")).await;
    assert!(printed.contains(&format!("The private key {folder}/none.pem does not exist")), "{printed}");
}
