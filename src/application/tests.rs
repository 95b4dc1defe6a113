use std::fs;
use std::path::Path;

use super::*;
use crate::core::unit::Hash;

/// Renders a template to its text in upper case.
struct Upper;

impl Templates for Upper {
    fn render(&self, folder: &Path, path: &Path, text: &str) -> Result<String, String> {
        assert!(path.starts_with(folder));
        if text.contains("bad") { Err("`bad` is undefined".to_owned()) } else { Ok(text.to_uppercase()) }
    }
}

/// Makes a folder called `shop` with these files and reads it. A file whose text begins with `->` is a link.
fn read(files: &[(&str, &str)]) -> Result<Application, BadApplication> {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("shop");
    fs::create_dir(&folder).unwrap();
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("->") {
            Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            None => fs::write(path, text).unwrap(),
        }
    }
    Application::read(&folder, &Upper)
}

fn text(application: &Application, unit: &str) -> String {
    application.units[&unit.parse::<UnitName>().unwrap()].file.text().to_owned()
}

fn refusal(files: &[(&str, &str)]) -> String {
    let text = read(files).unwrap_err().to_string();
    text.rsplit_once("/shop").map_or(text.clone(), |(_, rest)| rest.to_owned())
}

#[test]
fn a_folder_becomes_units_with_the_name_of_the_application() {
    let shop = read(&[("web.service", "[Service]\nExecStart=/bin/web\n"), ("README.md", "x"), (".git/a.service", "x")]);
    let shop = shop.unwrap();
    assert_eq!(shop.name, "shop");
    assert_eq!(text(&shop, "web.service"), "[Service]\nExecStart=/bin/web\n\n[X-Muster]\nApplication=shop\n");
    assert_eq!(shop.units.len(), 1);
}

#[test]
fn drop_ins_come_after_the_unit_file_and_those_of_an_instance_override_those_of_its_template() {
    let shop = read(&[
        ("web@.service", "[Service]\nA=1\n"),
        ("web@1.service", "->web@.service"),
        ("web@.service.d/10-a.conf", "[Service]\nA=2\n"),
        ("web@.service.d/20-b.conf", "[Service]\nA=\n"),
        ("web@1.service.d/20-b.conf", "[Unit]\nB=1\n"),
        ("web@.service.d/note.txt", "not read"),
    ]);
    let shop = shop.unwrap();
    assert!(text(&shop, "web@.service").starts_with("[Service]\nA=1\nA=2\nA=\n\n[X-Muster]"));
    assert!(text(&shop, "web@1.service").starts_with("[Service]\nA=1\nA=2\n\n[Unit]\nB=1\n\n[X-Muster]"));
}

#[test]
fn files_that_a_unit_names_go_with_it_and_the_unit_names_their_hash() {
    let unit = "[Unit]\nDescription=see ./spare\n[Service]\nEnvironmentFile=-./env\nExecStart=/bin/web -c .//conf/ -d ./env:/x ../y\n";
    let files =
        [("web.service", unit), ("env", "A=b\n"), ("conf/a.conf", "a"), ("conf/in/b.conf", "b"), ("spare", "x")];
    let shop = read(&files).unwrap();
    let here = "/run/fleet/files/web.service";
    let expected = format!(
        "[Unit]\nDescription=see ./spare\n\n[Service]\nEnvironmentFile=-{here}/env\nExecStart=/bin/web -c {here}/conf/ -d {here}/env:/x ../y\n\n\
         [X-Muster]\nApplication=shop\nFile=conf/a.conf {}\nFile=conf/in/b.conf {}\nFile=env {}\n",
        Hash::of(b"a"),
        Hash::of(b"b"),
        Hash::of(b"A=b\n"),
    );
    assert_eq!(text(&shop, "web.service"), expected);
    let web = &shop.units[&"web.service".parse::<UnitName>().unwrap()];
    assert_eq!(web.contents.len(), 3);
}

#[test]
fn the_files_of_a_container_are_where_its_service_has_them_and_those_of_an_instance_where_systemd_says() {
    let percent = read(&[("a.service", "[Service]\nA=./a%b\n"), ("a%b", "x")]).unwrap();
    assert!(text(&percent, "a.service").contains("\nA=/run/fleet/files/a.service/a%%b\n"));
    let container = ("web.container", "[Container]\nImage=x\nVolume=./conf:/etc/x:ro\n");
    let shop = read(&[container, ("conf/a", "a"), ("job@.service", "[Service]\nA=./conf\n")]).unwrap();
    assert!(text(&shop, "web.container").contains("\nVolume=/run/fleet/files/web.service/conf:/etc/x:ro\n"));
    assert!(text(&shop, "job@.service").contains("\nA=/run/fleet/files/%n/conf\n"));
}

#[test]
fn a_folder_that_is_wrong_is_refused_with_the_place() {
    let unit = ("web.service", "[Service]\nA=b\n");
    for (files, said) in [
        (&[("README", "x")][..], ": no unit file in this folder"),
        (&[("web.service", "[Service\n")], "/web.service:1:1: "),
        (&[unit, ("web.service.d/a.conf", "[Service]\nA\n")], "/web.service.d/a.conf:2:1: "),
        (&[unit, ("db.service.d/a.conf", "[Service]\n")], "/db.service.d: there is no db.service in the folder"),
        (&[("my web.service", "[Service]\n")], "/my web.service: invalid character ' ' in unit name"),
        (&[("web.service", "[Service]\nA=./../x\n")], "/web.service: A=./../x: the path leaves the folder"),
        (
            &[("web.service", "[Service]\nA=./gone\n")],
            "/web.service: A=./gone: the folder has no ./gone; write the path",
        ),
        (&[("web.service", "[Service]\nA=./x\n"), ("x", "->/etc/passwd")], "/x: the link leads out of the folder"),
        (&[("a\\x2db.service", "[Service]\nA=./x\n"), ("x", "x")], "/a\\x2db.service: a unit with a backslash"),
        (&[("web.service", "[Service]\nA=./d\n"), ("d/a\nb", "x")], "/d/a\\nb\": the name has a control character"),
        (&[("web.service", "[X-Muster]\nApplication=x\n")], "/web.service: [X-Muster] Application=: remove it"),
    ] {
        let text = refusal(files);
        assert!(text.starts_with(said), "{text}");
    }
    let missing = Application::read(Path::new("/no/such/folder"), &Upper).unwrap_err();
    assert_eq!(missing.to_string(), "cannot read /no/such/folder");
}

#[test]
fn more_than_a_commit_takes_is_refused() {
    let large = "x".repeat(600_000);
    let text = refusal(&[("web.service", "[Service]\nA=./large\n"), ("large", &large)]);
    assert_eq!(text, "web.service: the files that go with it have 600000 bytes: expected at most 524288");
}

#[test]
fn a_template_is_rendered_and_has_the_name_without_its_ending() {
    let shop = read(&[
        ("web.service.j2", "[SERVICE]\nA=x\n"),
        ("web.service.d/1.conf.j2", "[SERVICE]\nB=x\n"),
        ("db.service", "[Service]\nA=./env ./conf\n"),
        ("env.j2", "a\n"),
        ("conf/x.j2", "b\n"),
        ("conf/y", "c\n"),
    ]);
    let shop = shop.unwrap();
    assert!(text(&shop, "web.service").starts_with("[SERVICE]\nA=X\nB=X\n"), "{}", text(&shop, "web.service"));
    let db = text(&shop, "db.service");
    for (path, content) in [("env", "A\n"), ("conf/x", "B\n"), ("conf/y", "c\n")] {
        assert!(db.contains(&format!("File={path} {}\n", Hash::of(content.as_bytes()))), "{path}: {db}");
    }
    assert_eq!(refusal(&[("web.service.j2", "bad")]), "/web.service.j2: `bad` is undefined");
    let twice = refusal(&[("web.service.j2", ""), ("web.service", "")]);
    assert!(twice.ends_with("/web.service.j2 are both for one unit: remove one of them"), "{twice}");
}
