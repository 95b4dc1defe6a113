//! The modules that make and start containers, with programs that only log what they are told.

use serde_json::Value;
use serde_json::json;

use super::system::Host;

/// A program for containers: what it shows stands in two files.
const PROGRAM: &str = r#"
case "$1 $2" in
  'container inspect') [ -s DIR/container ] || { echo 'Error: no such container web' >&2; exit 125; }; cat DIR/container ;;
  'image inspect') [ -s DIR/image ] || { echo 'Error: nginx: image not known' >&2; exit 125; }; cat DIR/image ;;
  'image pull') echo '[{"Id": "new"}]' > DIR/image ;;
  'container create') printf '%s' "$SECRET" > DIR/secret ;;
  'container start') echo out ;;
esac"#;

const READERS: [&str; 4] =
    ["podman container inspect", "podman image inspect", "docker container inspect", "docker image inspect"];

/// What podman shows of a container that was made with these words.
fn podman(line: &[&str], running: bool) -> String {
    let line: Vec<&str> = ["podman", "container", "create", "--name=web"].iter().chain(line).copied().collect();
    let config = json!({"CreateCommand": line, "Cmd": ["a", "b c"], "Image": "docker.io/library/nginx:latest",
        "Env": ["SECRET=x y", "PATH=/bin"]});
    json!([{"Id": "1", "Image": "old", "Config": config, "State": {"Running": running}}]).to_string()
}

#[tokio::test]
async fn a_container_of_podman_is_brought_to_its_state() {
    let host = Host::new(&[("podman", PROGRAM)]);
    let image = r#"[{"Id": "old"}]"#;
    let up = podman(&["nginx"], true);
    let down = podman(&["nginx"], false);
    let start = "podman container start web";
    let (stop, remove) = ("podman container stop web", "podman container rm --force web");
    for (container, image, task, expected) in [
        (
            "",
            "",
            "{name: web, image: nginx}",
            vec!["podman image pull nginx", "podman container create --name=web nginx", start],
        ),
        (
            "",
            "",
            "{name: web, image: nginx, state: created, pull: never}",
            vec!["podman container create --name=web --pull=never nginx"],
        ),
        (&up, image, "{name: web, image: nginx}", vec![]),
        (&up, image, "{name: web, image: 'registry.example/nginx'}", vec![]),
        (&up, image, "{name: web, image: 'nginx:2'}", vec![]),
        (&down, image, "{name: web, image: nginx}", vec![start]),
        (&down, image, "{name: web, image: nginx, state: present}", vec![]),
        (
            &up,
            image,
            "{name: web, image: nginx, force_restart: yes, env: {A: b}}",
            vec!["podman container restart web"],
        ),
        (&up, image, "{name: web, state: stopped, stop_time: 5}", vec!["podman container stop --time=5 web"]),
        (
            &up,
            image,
            "{name: web, image: nginx, recreate: yes}",
            vec![stop, remove, "podman container create --name=web nginx", start],
        ),
        (
            &up,
            image,
            "{name: web, image: nginx, state: present, user: app}",
            vec![stop, remove, "podman container create --name=web --user=app nginx", start],
        ),
        (
            &down,
            image,
            "{name: web, state: absent, delete_volumes: yes}",
            vec!["podman container rm --force --volumes web"],
        ),
        ("", image, "{name: web, state: absent}", vec![]),
        ("", image, "{name: web}", vec!["Cannot create container when image is not specified!"]),
        (
            "",
            image,
            "{name: '-x', image: nginx}",
            vec!["a container cannot have the name `-x`: expected letters, digits, `_`, `.` and `-`"],
        ),
        ("", image, "{name: web, image: '--rm'}", vec!["the name of an image cannot begin with a dash"]),
    ] {
        host.stage.write("container", container);
        host.stage.write("image", image);
        assert_eq!(host.acts(&format!("podman_container: {task}"), &READERS).await, expected, "{task}");
    }
}

#[tokio::test]
async fn the_options_of_podman_are_compared_with_those_of_its_last_command_line() {
    let host = Host::new(&[("podman", PROGRAM)]);
    host.stage.write("image", r#"[{"Id": "old"}]"#);
    let task = "podman_container: {name: web, image: nginx, command: a 'b c', env: {SECRET: x y}, ports: ['8080:80'], \
                volumes: [/a/:/b], cap_add: [net_admin], memory: 1g, restart_policy: always, labels: {A: B}, \
                log_opt: {max_size: 1m}, etc_hosts: {db: 10.0.0.1}, tmpfs: {/run: 'size=1m'}, privileged: no, \
                network: [one, two], healthcheck: curl x, rm: no}";
    // As muster makes it, and as Ansible does.
    let ours = [
        "--env=SECRET",
        "--publish=8080:80",
        "--volume=/a/:/b",
        "--cap-add=net_admin",
        "--memory=1g",
        "--restart=always",
        "--label=A=B",
        "--log-opt=max-size=1m",
        "--add-host=db:10.0.0.1",
        "--tmpfs=/run:size=1m",
        "--privileged=false",
        "--network=one",
        "--network=two",
        "--health-cmd=curl x",
        "nginx",
        "a",
        "b c",
    ];
    let ansibles = [
        "-e",
        "SECRET=x y",
        "--publish",
        "8080:80",
        "-v",
        "/a:/b/",
        "--cap-add",
        "CAP_NET_ADMIN",
        "--memory",
        "1g",
        "--restart=always",
        "--label",
        "A=B",
        "--log-opt",
        "max-size=1m",
        "--add-host",
        "db:10.0.0.1",
        "--tmpfs",
        "/run:size=1m",
        "--network",
        "two",
        "--network",
        "one",
        "--healthcheck-command",
        "curl x",
        "--detach=True",
        "nginx",
        "a",
        "b c",
    ];
    for line in [&ours[..], &ansibles] {
        host.stage.write("container", &podman(line, true));
        assert_eq!(host.acts(task, &READERS).await, [""; 0], "{line:?}");
    }
    for (is, becomes) in [("x y", "x z"), ("8080:80", "8081:80"), ("1g", "2g"), ("a 'b c'", "a b c"), ("A: B", "A: b")]
    {
        assert_eq!(host.acts(&task.replace(is, becomes), &READERS).await.len(), 4, "{becomes}");
    }
    assert_eq!(host.acts(&task.replace("memory: 1g, ", ""), &READERS).await.len(), 4);
}

#[tokio::test]
async fn the_values_of_variables_reach_a_container_by_no_command_line() {
    let host = Host::new(&[("podman", PROGRAM)]);
    host.stage.write("container", "");
    host.stage.write("image", r#"[{"Id": "old"}]"#);
    let task =
        "podman_container: {name: web, image: nginx, env: {SECRET: \"it's $(x) *\", a.b: c, PATH: /x, program: y}}";
    let (result, log) = host.run(task).await;
    assert_eq!(host.stage.read("secret"), "it's $(x) *");
    assert_eq!(log[2], "podman container create --name=web --env=SECRET --env=a.b=c --env=PATH=/x --env=program nginx");
    assert!(!log.concat().contains("$(x)"), "{log:?}");
    assert_eq!(
        result["podman_actions"][0],
        "podman container create --name=web --env=SECRET --env=a.b --env=PATH --env=program nginx"
    );
    assert_eq!((&result["actions"], &result["stdout"]), (&json!(["started web"]), &"out".into()));
}

#[tokio::test]
async fn a_container_of_podman_has_ansibles_results_and_a_check_changes_nothing() {
    let mut host = Host::new(&[("podman", PROGRAM)]);
    host.stage.write("container", &podman(&["--user", "old", "nginx"], true));
    host.stage.write("image", "");
    host.stage.check = true;
    host.stage.diff = true;
    let (result, log) = host.run("containers.podman.podman_container: {name: web, image: nginx, user: app}").await;
    assert_eq!(
        (log, &result["changed"]),
        (vec!["podman container inspect web".to_owned(), "podman image inspect nginx".to_owned()], &true.into())
    );
    assert_eq!(result["actions"], json!(["pulled image nginx", "recreated web"]));
    assert_eq!(result["container"]["State"]["Running"], true);
    assert_eq!(result["diff"], json!({"before": "user - old\n", "after": "user - app\n"}));
    host.stage.check = false;
    let (result, _) = host.run("podman_container: {name: web, state: absent}").await;
    assert_eq!((&result["container"], &result["actions"]), (&json!({}), &json!(["deleted web"])));
}

#[tokio::test]
async fn a_program_that_cannot_answer_is_a_failure() {
    let host =
        Host::new(&[("docker", "echo 'Cannot connect to the Docker daemon: no such file or directory' >&2; exit 1")]);
    let failed = host.acts("docker_container: {name: web, state: absent}", &READERS).await;
    assert_eq!(failed, ["Cannot connect to the Docker daemon: no such file or directory"]);
}

/// What docker shows of a container.
fn docker() -> Value {
    json!([{"Id": "1", "Image": "old", "State": {"Running": true},
        "Config": {"Image": "nginx", "Cmd": ["a"], "Entrypoint": null, "Env": ["A=b", "PATH=/bin"], "Labels": {"x": "y"},
            "User": "app", "Tty": false, "Volumes": null, "ExposedPorts": {"80/tcp": {}},
            "Healthcheck": {"Test": ["CMD-SHELL", "curl x"], "Interval": 30_000_000_000_u64}},
        "HostConfig": {"Memory": 536_870_912, "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "Binds": ["/a:/b", "c:/d:ro"],
            "CapAdd": ["CAP_NET_ADMIN"], "Ulimits": [{"Name": "nofile", "Hard": 2, "Soft": 1}], "NetworkMode": "one",
            "Devices": [{"PathOnHost": "/dev/x", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}], "Init": null},
        "NetworkSettings": {"Networks": {"one": {"Aliases": ["w"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}}, "two": {}}}}])
}

#[tokio::test]
async fn a_container_of_docker_is_compared_with_what_the_task_says() {
    let host = Host::new(&[("docker", PROGRAM)]);
    host.stage.write("image", r#"[{"Id": "old"}]"#);
    host.stage.write("container", &docker().to_string());
    let same = "name: web, image: nginx, command: a, env: {A: b}, labels: {x: y}, user: app, tty: no, init: no, memory: 512M, \
                restart_policy: unless-stopped, ports: ['8080:80'], volumes: ['/a:/b:rw', 'c:/d:ro'], capabilities: [NET_ADMIN], \
                ulimits: ['nofile:1:2'], devices: [/dev/x], exposed_ports: [80], \
                healthcheck: {test: [CMD-SHELL, curl x], interval: 30s}, \
                networks: [{name: one, aliases: [w], ipv4_address: 10.0.0.2}]";
    assert_eq!(host.acts(&format!("docker_container: {{{same}}}"), &READERS).await, [""; 0]);
    let create = "docker container create --name=web";
    let (stop, remove, start) =
        ("docker container stop web", "docker container rm --force web", "docker container start web");
    for (task, expected) in [
        ("env: {A: c}", vec![stop, remove, &format!("{create} --env=A nginx"), start]),
        (
            "memory: 1g, restart_policy: on-failure, restart_retries: 3",
            vec!["docker container update --memory=1073741824 --restart=on-failure:3 web"],
        ),
        (
            "memory: 1g, restart: yes",
            vec!["docker container update --memory=1073741824 web", "docker container restart web"],
        ),
        ("env: {B: c}, comparisons: {env: ignore}", vec![]),
        (
            "env: {A: b}, comparisons: {'*': strict, image: ignore}",
            vec![stop, remove, &format!("{create} --env=A nginx"), start],
        ),
        ("state: stopped, force_kill: yes", vec!["docker container kill web"]),
        ("state: present, user: x", vec![stop, remove, &format!("{create} --user=x nginx")]),
        ("state: absent, keep_volumes: no", vec![stop, "docker container rm --force --volumes web"]),
        (
            "networks: [{name: one}, {name: three, aliases: [w]}], purge_networks: yes",
            vec!["docker network connect --alias=w three web", "docker network disconnect two web"],
        ),
        (
            "networks: [{name: one, ipv4_address: 10.0.0.3}, {name: two}], recreate: yes",
            vec![
                stop,
                remove,
                &format!("{create} --network=one --ip=10.0.0.3 nginx"),
                "docker network connect two web",
                start,
            ],
        ),
        (
            "entrypoint: [sh, -c], command: [x y]",
            vec![stop, remove, &format!("{create} --entrypoint=sh nginx -c x y"), start],
        ),
        (
            "networks: [{name: one, ipv4: x}]",
            vec!["muster knows no `ipv4` of `networks`: expected name, ipv4_address, ipv6_address, aliases and links"],
        ),
        ("memory: much", vec!["`memory`: `much` is no size: expected a number with a unit, such as 512M"]),
        ("restart_retries: 3", vec!["`restart_retries` needs `restart_policy`"]),
        (
            "network_mode: two, networks: [{name: one}, {name: two}], recreate: yes",
            vec![stop, remove, &format!("{create} --network=two nginx"), "docker network connect one web", start],
        ),
        ("restart_policy: no", vec!["docker container update --restart=no web"]),
    ] {
        assert_eq!(host.acts(&format!("docker_container: {{name: web, {task}}}"), &READERS).await, expected, "{task}");
    }
    let (result, _) = host.run("docker_container: {name: web, image: nginx, pull: always}").await;
    assert_eq!(result["actions"], json!(["pulled image nginx", "recreated web"]));
    assert_eq!(result["container"]["Id"], "1");
}

#[tokio::test]
async fn an_image_of_podman_is_pulled_built_and_removed() {
    let podman = r#"
case "$*" in
  *' inspect --format'*) cat DIR/id ;;
  *' inspect '*) [ -s DIR/id ] && echo '[{"Id": "x"}]' ;;
  pull* | build*) echo new > DIR/id ;;
esac"#;
    let host = Host::new(&[("podman", podman)]);
    for (id, task, expected) in [
        (
            "",
            "{name: nginx, tag: 4, arch: arm64, validate_certs: no}",
            vec!["podman pull --tls-verify=false --arch=arm64 nginx:4"],
        ),
        ("old\n", "{name: nginx}", vec![]),
        ("old\n", "{name: nginx, force: yes}", vec!["podman pull nginx:latest"]),
        (
            "old\n",
            "{name: web, path: /tmp, state: build, build: {file: /D, cache: no, extra_args: '--build-arg \"a=b c\"'}}",
            vec!["podman build --tag web:latest --file=/D --no-cache --build-arg a=b c /tmp"],
        ),
        ("", "{name: web, pull: no}", vec!["Cannot find the image web:latest locally."]),
        ("old\n", "{name: web, state: absent, force: yes}", vec!["podman image rm --force web:latest"]),
        (
            "",
            "{name: web, path: /tmp, build: {x: y}}",
            vec![
                "muster knows no `x` of `build`: expected annotation, cache, extra_args, file, force_rm, format, rm, target and volume",
            ],
        ),
    ] {
        host.stage.write("id", id);
        assert_eq!(host.acts(&format!("podman_image: {task}"), &["podman image inspect"]).await, expected, "{task}");
    }
    let (result, _) = host.run("containers.podman.podman_image: {name: nginx, force: yes}").await;
    assert_eq!(result["image"], json!([{"Id": "x"}]));
}
