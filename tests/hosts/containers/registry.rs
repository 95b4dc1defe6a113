//! Containers whose images come from a real registry that asks for a login: Debian's docker-registry on one of the hosts.

use muster::lab::TemporaryLab;

use super::BOX;
use super::HOSTS;
use super::LIMIT;
use super::lab_with;
use super::pulled;
use super::runs_away_from;
use super::ssh;
use super::unit_file;
use super::with_identity;

/// Lets the registry take the user `admin` with the password `a-password`, whose hash this is, and starts it.
const REGISTRY: &str = r#"printf '%s\n' 'admin:$2b$05$tdHJYdaYPFY8QXHY8qIJteV.NQFKlZPZ4oVhGNjtHF3h/ncqi81SK' >/etc/docker/registry/htpasswd
systemctl restart docker-registry
for i in 1 2 3 4 5 6 7 8 9 10; do busybox wget -q -O - http://127.0.0.1:5000/ >/dev/null 2>&1 && break; busybox sleep 0.5; done
echo a-password | podman login --tls-verify=false --username admin --password-stdin 127.0.0.1:5000 >/dev/null || exit
ip -4 -oneline address show dev host0 | busybox awk '{ sub(/\/.*/, "", $4); print $4 }'"#;

/// Makes a lab with a registry, and keeps the login to it as the secret `registry`. Returns its address too.
fn with_registry() -> Option<(TemporaryLab, String)> {
    let lab = lab_with(&["podman", "crun", "busybox-static", "docker-registry"])?;
    let address = format!("{}:5000", ssh(&lab, HOSTS[0], REGISTRY));
    push(&lab, 1, "1");
    with_identity(&lab, &["secret", "init", "--name", "operator"]).ok();
    let login = lab.dir().join("login.json");
    // The base64 of `admin:a-password`.
    let text = format!("{{\"auths\": {{\"{address}\": {{\"auth\": \"YWRtaW46YS1wYXNzd29yZA==\"}}}}}}");
    std::fs::write(&login, text).unwrap();
    with_identity(&lab, &["secret", "set", "registry", "--file", login.to_str().unwrap()]).ok();
    Some((lab, address))
}

/// Pushes another image each time, with this tag. The host forgets the image: where an image was made, it has another digest than in
/// the registry.
fn push(lab: &TemporaryLab, number: u32, tag: &str) {
    let made = BOX.replace("tar -C", &format!("touch $d/{number} && tar -C"));
    let push = format!("podman push --quiet --tls-verify=false localhost/box:1 docker://127.0.0.1:5000/box:{tag}");
    ssh(lab, HOSTS[0], &format!("{made} && {push} && podman rmi localhost/box:1 >/dev/null"));
}

/// Returns a container of an image of the registry.
fn container(image: &str, more: &str) -> String {
    pulled(image, &format!("PodmanArgs=--tls-verify=false\n{more}\n[X-Muster]\nRegistryLogin=registry"))
}

#[test]
#[ignore = "it needs an image with Podman: scripts/night runs it"]
fn a_container_goes_back_to_its_image_although_the_tag_names_another_one() {
    let Some((lab, registry)) = with_registry() else { return };
    let container = |more: &str| container(&format!("{registry}/box:1"), more);
    let web = unit_file(&lab, "web.container", &container(""));
    with_identity(&lab, &["start", &web]).ok();
    let home = runs_away_from(&lab, "web.container", "", LIMIT);
    let image = || ssh(&lab, &home, "podman container inspect --format '{{.Image}} {{.ImageDigest}}' systemd-web");
    let first = image();
    push(&lab, 2, "1");
    unit_file(&lab, "web.container", &container("Pull=newer"));
    with_identity(&lab, &["start", "--replace", &web]).ok();
    let second = image();
    assert_ne!(second, first);
    let history = with_identity(&lab, &["history", "-l", "web.container"]).ok();
    let digest = first.split(' ').nth(1).unwrap();
    let rows: Vec<Vec<&str>> = history.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((rows.len(), rows[1][1], *rows[2].last().unwrap()), (3, "present", digest), "{history}");
    ssh(&lab, &home, "podman image prune --force");
    with_identity(&lab, &["revert", "web.container"]).ok();
    assert_eq!(image(), first);
    let pinned = format!("Image={registry}/box@{digest}\n");
    assert!(with_identity(&lab, &["cat", "web.container"]).ok().contains(&pinned));
    with_identity(&lab, &["revert", "web.container"]).ok();
    assert_eq!(image(), second);
}

#[test]
#[ignore = "it needs an image with Podman: scripts/night runs it"]
fn an_image_file_pulls_from_a_registry_and_a_wrong_login_is_told() {
    let Some((lab, registry)) = with_registry() else { return };
    push(&lab, 2, "2");
    let text =
        |tag| format!("[Image]\nImage={registry}/box:{tag}\nTLSVerify=false\n[X-Muster]\nRegistryLogin=registry\n");
    let app = unit_file(&lab, "app.image", &text("1"));
    let web = unit_file(&lab, "web.container", &pulled("app.image", ""));
    with_identity(&lab, &["start", &app, &web]).ok();
    let home = runs_away_from(&lab, "web.container", "", LIMIT);
    let image = || ssh(&lab, &home, "podman container inspect --format '{{.ImageName}}' systemd-web");
    assert_eq!(image(), format!("{registry}/box:1"));
    unit_file(&lab, "app.image", &text("2"));
    with_identity(&lab, &["start", "--replace", &app]).ok();
    assert_eq!(
        (image(), runs_away_from(&lab, "web.container", "", LIMIT)),
        (format!("{registry}/box:2"), home.clone())
    );
    with_identity(&lab, &["revert", "app.image"]).ok();
    assert_eq!(
        (image(), runs_away_from(&lab, "web.container", "", LIMIT)),
        (format!("{registry}/box:1"), home.clone())
    );
    with_identity(&lab, &["drain", &home]).ok();
    assert_ne!(runs_away_from(&lab, "web.container", &home, LIMIT), home);
    with_identity(&lab, &["destroy", "web.container", "app.image"]).ok();

    let wrong = lab.dir().join("wrong.json");
    std::fs::write(&wrong, format!("{{\"auths\": {{\"{registry}\": {{\"auth\": \"YWRtaW46eA==\"}}}}}}")).unwrap();
    with_identity(&lab, &["secret", "set", "registry", "--file", wrong.to_str().unwrap()]).ok();
    let other = unit_file(&lab, "other.container", &container(&format!("{registry}/box:9"), ""));
    let refused = with_identity(&lab, &["start", &other]);
    assert!(
        refused.code == Some(1)
            && refused.err.contains("cannot pull")
            && refused.err.contains("authentication required"),
        "{refused:#?}"
    );
}
