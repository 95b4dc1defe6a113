//! The modules for containers and for the servers of a proxy, with tools that only log what they are told.

use std::io::BufRead as _;
use std::io::Write as _;

use serde_json::json;

use super::system::Host;

#[tokio::test]
async fn an_image_is_pulled_loaded_built_tagged_and_removed() {
    let docker = r#"
case "$*" in
  *' inspect --format'*) cat DIR/id ;;
  *' inspect '*) [ -s DIR/id ] && echo '[{"Id": "x"}]' ;;
  pull* | build* | 'image load'*) echo new > DIR/id ;;
esac"#;
    let mut host = Host::new(&[("docker", docker)]);
    let readers = ["docker image inspect"];
    host.stage.write("tidb.tar", "");
    for (id, task, expected) in [
        ("", "{name: nginx}", vec!["docker pull nginx:latest"]),
        ("old\n", "{name: nginx, source: pull}", vec![]),
        (
            "old\n",
            "{name: 'r:5/nginx', tag: '1', source: pull, force_source: yes, pull: {platform: arm64}}",
            vec!["docker pull --platform arm64 r:5/nginx:1"],
        ),
        ("", "{name: tidb, tag: v1, load_path: DIR/tidb.tar, force: yes}", vec!["docker image load --input tidb.tar"]),
        (
            "",
            "{name: 'web:2', source: build, build: {path: /tmp, dockerfile: D, args: {a: 1}, pull: no}}",
            vec!["docker build --tag web:2 --file /tmp/D --build-arg a=1 /tmp"],
        ),
        ("", "{name: web, source: local}", vec!["Cannot find the image web:latest locally."]),
        ("old\n", "{name: web, state: absent, force_absent: yes}", vec!["docker image rm --force web:latest"]),
        ("", "{name: web, state: absent}", vec![]),
        ("", "{name: web, source: load}", vec!["`source: load` needs the path of the source"]),
    ] {
        host.stage.write("id", id);
        assert_eq!(host.acts(&format!("docker_image: {task}"), &readers).await, expected, "{task}");
    }
    host.stage.write("id", "new\n");
    let (result, _) = host.run("docker_image: {name: web, source: pull, force_source: yes}").await;
    assert_eq!((&result["changed"], &result["actions"]), (&false.into(), &json!(["Pulled image web:latest"])));
    assert_eq!(result["image"], json!({"Id": "x"}));
    host.stage.write("id", "");
    host.stage.check = true;
    let (result, log) = host.run("community.docker.docker_image: {name: web, source: pull}").await;
    assert_eq!((&result["changed"], log), (&true.into(), vec!["docker image inspect web:latest".to_owned()]));
}

#[tokio::test]
async fn a_server_of_haproxy_is_put_out_of_use_and_into_use() {
    let socat = r#"
read -r command
echo "$command" >> DIR/told
case $command in
  'show stat') printf '# pxname,svname,scur,status,weight,\nweb,FRONTEND,0,OPEN,,\nweb,h1,0,%s,1,\nweb,BACKEND,0,UP,1,\n' "$(cat DIR/status)" ;;
  *'disable server'*) echo MAINT > DIR/status ;;
  *'enable server'*) echo UP > DIR/status ;;
esac"#;
    let mut host = Host::new(&[("socat", socat)]);
    let _socket = std::os::unix::net::UnixListener::bind(host.stage.path("socket")).unwrap();
    let told = |host: &Host| -> Vec<String> {
        host.stage.read("told").lines().filter(|line| *line != "show stat").map(str::to_owned).collect()
    };
    for (status, task, expected, changed) in [
        ("UP", "state: disabled, backend: web", vec!["get weight web/h1; disable server web/h1"], true),
        ("MAINT", "state: disabled", vec!["get weight web/h1; disable server web/h1"], false),
        (
            "MAINT",
            "state: enabled, weight: 50%, health: yes, wait: yes",
            vec!["get weight web/h1; enable server web/h1; enable health web/h1; set weight web/h1 50%"],
            true,
        ),
        ("UP", "state: drain, backend: none", vec![], false),
    ] {
        host.stage.write("told", "");
        host.stage.write("status", status);
        let (result, _) = host.run(&format!("haproxy: {{host: h1, socket: DIR/socket, {task}}}")).await;
        assert_eq!(
            (told(&host), &result["changed"]),
            (expected.iter().map(|it| (*it).to_owned()).collect(), &changed.into()),
            "{task} {result:#}"
        );
    }
    let (result, _) = host
        .run("haproxy: {host: h1, state: enabled, backend: none, fail_on_not_found: yes, socket: DIR/socket}")
        .await;
    assert_eq!(result["msg"], "The specified backend 'none/h1' was not found!");
    host.stage.write("status", "UP");
    let (result, _) = host.run("haproxy: {host: h1, state: disabled, socket: DIR/socket}").await;
    assert_eq!(result["state_before"], json!([{"status": "UP", "weight": "1", "scur": "0"}]));
    assert_eq!(result["state_after"], json!([{"status": "MAINT", "weight": "1", "scur": "0"}]));
    host.stage.check = true;
    let (result, _) = host.run("haproxy: {host: h1, state: disabled, socket: DIR/socket}").await;
    assert_eq!(result["skipped"], true, "{result:#}");
}

#[tokio::test]
async fn a_host_with_perl_alone_reaches_the_socket_of_haproxy() {
    let host = Host::new(&[]);
    let socket = std::os::unix::net::UnixListener::bind(host.stage.path("socket")).unwrap();
    std::thread::spawn(move || {
        let mut status = "UP";
        for mut stream in socket.incoming().map(Result::unwrap) {
            let mut told = String::new();
            std::io::BufReader::new(&stream).read_line(&mut told).unwrap();
            if told.ends_with("; disable server web/h1\n") {
                status = "MAINT";
            }
            let answer = format!("# pxname,svname,scur,status,weight,\nweb,h1,0,{status},1,\nweb,BACKEND,0,UP,1,\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let (result, _) = host.run("haproxy: {host: h1, state: disabled, socket: DIR/socket}").await;
    assert_eq!(result["state_after"], json!([{"status": "MAINT", "weight": "1", "scur": "0"}]), "{result:#}");
}

#[tokio::test]
async fn notifications_of_nagios_are_turned_off_and_on() {
    let mut host = Host::new(&[("date", "echo 5")]);
    let fifo = host.stage.path("commands");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    // A reader lets the module open the file at once.
    let _reader = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    for (task, expected) in [
        (
            "action: disable_alerts, host: h1, services: 'web,db'",
            json!(["[5] DISABLE_SVC_NOTIFICATIONS;h1;web", "[5] DISABLE_SVC_NOTIFICATIONS;h1;db",]),
        ),
        ("action: enable_alerts, host: h1, service: host", json!(["[5] ENABLE_HOST_NOTIFICATIONS;h1"])),
        (
            "action: unsilence, host: h1",
            json!(["[5] ENABLE_HOST_SVC_NOTIFICATIONS;h1", "[5] ENABLE_HOST_NOTIFICATIONS;h1",]),
        ),
        ("action: silence_nagios", json!(["[5] DISABLE_NOTIFICATIONS"])),
        ("action: command, command: X;y", json!(["[5] X;y"])),
    ] {
        let (result, _) = host.run(&format!("nagios: {{cmdfile: DIR/commands, {task}}}")).await;
        assert_eq!((&result["nagios_commands"], &result["changed"]), (&expected, &true.into()), "{task} {result:#}");
    }
    let (result, _) = host.run("nagios: {action: silence, cmdfile: DIR/commands}").await;
    assert_eq!(result["msg"], "action is silence but all of the following are missing: host");
    host.stage.write("plain", "");
    let (result, _) = host.run("nagios: {action: silence_nagios, cmdfile: DIR/plain}").await;
    assert_eq!(result["msg"], "nagios command file is not a fifo file");
    host.stage.check = true;
    let (result, _) = host.run("nagios: {action: silence_nagios, cmdfile: DIR/none}").await;
    assert_eq!(result["changed"], true);
}
