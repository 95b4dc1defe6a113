//! The inventory against Ansible's output. The expected files are recorded from `ansible-inventory --list`, `--graph` and
//! `ansible --list-hosts` of ansible-core 2.19 on the files in tests/data/inventory.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

use super::Inventory;
use super::InventoryError;
use super::builder::InventoryBuilder;
use super::diagnostic::Diagnostic;
use super::ini;
use super::script;
use super::vars;
use super::yaml;
use crate::remote::Connection;
use crate::vault::ClosedValue;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn load(path: &str) -> Inventory {
    Inventory::load(&[repository(path)]).unwrap()
}

fn recorded(path: &str) -> String {
    std::fs::read_to_string(repository("tests/data/inventory").join(path)).unwrap()
}

/// Sorts every list of groups: Ansible does not define their order.
fn sort_children(listing: &mut Value) {
    for (_, group) in listing.as_object_mut().unwrap() {
        if let Some(children) = group.get_mut("children").and_then(Value::as_array_mut) {
            children.sort_by_key(ToString::to_string);
        }
    }
}

/// Compares two listings. Only newer versions of Ansible list empty groups and profiles.
fn assert_same_listing(case: &str, source: &str) {
    let mut expected: Value = serde_json::from_str(&recorded(&format!("{case}.expected.json"))).unwrap();
    expected["_meta"].as_object_mut().unwrap().remove("profile");
    let hostvars = expected["_meta"]["hostvars"].clone();
    let inventory = load(source);
    let mut listing = inventory.to_json();
    for host in inventory.hosts.values() {
        let expected = hostvars.get(&host.name).cloned().unwrap_or_else(|| json!({}));
        assert_eq!(Value::Object((*host.vars).clone()), expected, "variables of {} in {case}", host.name);
    }
    listing["_meta"]["hostvars"] = hostvars;
    sort_children(&mut expected);
    sort_children(&mut listing);
    assert_eq!(listing, expected, "{case}");
}

#[test]
fn hosts_groups_and_variables_are_those_of_ansible() {
    assert_same_listing("ini", "tests/data/inventory/ini/hosts");
    assert_same_listing("yaml", "tests/data/inventory/yaml/hosts.yaml");
    assert_same_listing("merge", "tests/data/inventory/merge");
    assert_same_listing("ranges", "tests/data/inventory/ranges/hosts");
    assert_same_listing("json", "tests/data/inventory/json/hosts.json");
    assert_same_listing("datacenter", "inventory/datacenter");
}

#[test]
fn the_graph_is_that_of_ansible() {
    assert_eq!(load("inventory/datacenter").to_graph("all", None), recorded("datacenter.expected.graph"));
}

#[test]
fn a_graph_with_a_great_many_paths_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let diamond = |n: usize| {
        format!(
            "[top{n}:children]\nleft{n}\nright{n}\n[left{n}:children]\ntop{0}\n[right{n}:children]\ntop{0}\n",
            n + 1
        )
    };
    let text = (0..40).map(diamond).chain(["[top40]\nweb1\n".to_owned()]).collect::<String>();
    write_files(folder.path(), &[("hosts", &text)]);
    let graph = Inventory::load(&[folder.path().join("hosts")]).unwrap().to_graph("all", None);
    assert!(graph.len() < 17 << 20 && graph.ends_with("once for each path to it.\n"), "{}", graph.len());
}

#[test]
fn patterns_select_the_hosts_that_ansible_lists() {
    let inventory = load("tests/data/inventory/patterns.ini");
    for line in recorded("patterns.txt").lines() {
        let (pattern, expected) = line.split_once(" =>").unwrap();
        let hosts = match inventory.select(pattern) {
            Ok(hosts) => hosts.iter().map(|host| host.name.as_str()).collect(),
            // Ansible warns and continues without hosts; muster stops.
            Err(InventoryError::NoMatch { .. }) => Vec::new(),
            Err(error) => panic!("{pattern}: {error}"),
        };
        assert_eq!(hosts.join(" "), expected.trim(), "{pattern}");
    }
}

#[test]
fn a_term_without_a_match_is_an_error_that_suggests_similar_names() {
    let inventory = load("tests/data/inventory/patterns.ini");
    for (pattern, message, hint) in [
        ("wbe1", "no host or group matches `wbe1`", "`web1`"),
        ("web:&stagign", "no host or group matches `stagign` in `web:&stagign`", "`staging`"),
        ("all:!wbe", "no host or group matches `wbe` in `all:!wbe`", "`web`"),
        ("web1,zzzz", "no host or group matches `zzzz` in `web1,zzzz`", "inventory graph"),
        ("web[7]", "no host or group matches `web[7]`", "`web"),
        ("nothing*", "no host or group matches `nothing*`", "inventory graph"),
        ("web*:db-a,web1", "no host or group matches `web*:db-a` in `web*:db-a,web1`", "`"),
    ] {
        let error = inventory.select(pattern).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(error.hint().unwrap().contains(hint), "{pattern}: {:?}", error.hint());
    }
    assert!(inventory.select("~(").unwrap_err().to_string().contains("invalid pattern"));
    assert!(inventory.select("").unwrap().is_empty());
}

#[test]
fn terms_without_a_match_may_be_passed_over() {
    let inventory = load("tests/data/inventory/patterns.ini");
    for (pattern, expected, unmatched) in [
        ("web1:wbe", vec!["web1"], vec!["wbe"]),
        ("wbe", vec![], vec!["wbe"]),
        ("web1:&wbe", vec![], vec!["wbe"]),
        ("web1:!wbe:x*", vec!["web1"], vec!["x*", "wbe"]),
        ("web1", vec!["web1"], vec![]),
    ] {
        let (hosts, terms) = inventory.select_known(pattern).unwrap();
        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!((names, terms), (expected, unmatched), "{pattern}");
    }
}

fn error_in(name: &str, text: &str) -> Diagnostic {
    let (file, mut builder) = (Path::new(name), InventoryBuilder::default());
    let ini = Path::new(name).extension().is_none_or(|ending| ending == "ini");
    let read = if ini { ini::read(file, text, &mut builder) } else { yaml::read(file, text, &mut builder).map(drop) };
    read.unwrap_err()
}

#[test]
fn an_error_in_an_ini_file_has_its_position() {
    for (text, expected) in [
        ("[web]\nweb1 port\n", "h:2:6: Expected key=value host variable assignment, got: port"),
        ("[p:children]\ng\n", "h:2:1: Section [p:children] includes undefined group: g"),
        ("\n[g:vars]\na=1\n", "h:2:1: Section [g:vars] not valid for undefined group: g"),
        ("[g:variables]\n", "h:1:1: Section [g:variables] has unknown type: variables"),
        ("[my group]\n", "h:1:1: `[my group]` is not a section"),
        ("[g]\n[g:vars]\n  novalue\n", "h:3:3: Expected key=value, got: novalue"),
        ("web1:\n", "h:1:1: `web1:` ends in a `:` without a port"),
        ("---\n", "h:1:1: `---` begins a YAML file, and this one is read as INI"),
        ("web1 a=\"open\n", "h:1:1: a \" is not closed"),
        ("web[5:1]\n", "h:1:1: the host range [5:1] ends before it begins"),
        ("[a:children]\nb\n[b:children]\na\n", "h:4:1: group `a` cannot be in group `b`, which is in `a` itself"),
        (
            "[a]\n[a:vars]\nansible_group_priority=high\n",
            "h:3:1: `ansible_group_priority` must be a whole number, not \"high\"",
        ),
        ("web1:99999\n", "h:1:1: `web1:99999` has no port from 1 to 65535 after its `:`"),
    ] {
        assert_eq!(error_in("h", text).to_string(), expected);
    }
}

#[test]
fn an_error_in_a_yaml_file_has_its_position() {
    for (text, expected) in [
        ("all:\n  host:\n    a:\n", "h.yaml:2:3: group `all` has no `host`"),
        ("all:\n  hosts:\n    - a\n", "h.yaml:3:5: the `hosts` of group `all` must be a map, not a list"),
        ("all:\n  hosts:\n    a: 5\n", "h.yaml:3:8: the variables of host `a` must be a map, not a number"),
        (
            "all:\n  children:\n    a:\n      children:\n        all:\n",
            "h.yaml:5:9: group `all` cannot be in another group",
        ),
        (
            "a:\n  children:\n    b:\n      children: {a: }\n",
            "h.yaml:4:18: group `a` cannot be in group `b`, which is in `a` itself",
        ),
        ("all:\n  hosts:\n    web[1:\n", "h.yaml:3:5: `web[1` has a `[` without its `]`"),
        ("just text\n", "h.yaml:1:1: an inventory must be a map, not text"),
    ] {
        assert_eq!(error_in("h.yaml", text).to_string(), expected);
    }
    assert_eq!(error_in("h.yaml", "all:\n  host:\n").hint.unwrap(), "Did you mean `hosts`?");
}

#[test]
fn invalid_yaml_has_a_position() {
    for (text, place) in [
        ("all:\n\thosts:\n", "h.yaml:2:"),
        ("all: {hosts: [}\n", "h.yaml:1:"),
        ("all:\n---\nall:\n", "h.yaml:3:1: the file has more than one YAML document"),
        ("all:\n  vars:\n    ~: 1\n", "h.yaml:3:5: a key is null"),
        ("all:\n  vars:\n    x: .inf\n", "h.yaml:3:8: `.inf` and `.nan` are not supported"),
        ("all:\n  vars:\n    x: !unsafe 'y'\n", "h.yaml:3:8: muster does not know the tag `!unsafe`"),
        ("plugin: aws_ec2\nregions: [x]\n", "h.yaml:1:1: the file is for the inventory plugin `aws_ec2`"),
        ("all:\n  hosts:\n    a: *nowhere\n", "h.yaml:3:8:"),
        ("all:\n  vars:\n    x: {{ y }}\n", "h.yaml:3:"),
    ] {
        let error = error_in("h.yaml", text);
        assert!(error.to_string().starts_with(place), "{text:?}: {error}");
    }
}

const VAULT: &str = "$ANSIBLE_VAULT;1.2;AES256;prod\n3132\n";

#[test]
fn encrypted_values_stay_closed_with_their_place_and_are_listed_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.yaml");
    let indented = VAULT.replace('\n', "\n      ");
    let text = format!(
        "all:\n  vars:\n    a: !vault |\n      {indented}\n    b: [{{c: !vault-encrypted x}}]\n    d: {{__ansible_vault: x}}\n  hosts: h\n"
    );
    std::fs::write(&file, text).unwrap();
    let inventory = Inventory::load(std::slice::from_ref(&file)).unwrap();
    let vars = &inventory.hosts["h"].vars;
    let place = |line: &str| format!("{}:{line}", file.display());
    let closed = ClosedValue::of(&vars["a"]).unwrap();
    assert_eq!((closed.vault, closed.place), (VAULT, Some(place("3:8").as_str())));
    assert_eq!(ClosedValue::of(&vars["b"][0]["c"]).unwrap().place, Some(place("7:13").as_str()));
    assert_eq!(ClosedValue::of(&vars["d"]).unwrap().vault, "x");
    let listed =
        json!({"a": {"__ansible_vault": VAULT}, "b": [{"c": {"__ansible_vault": "x"}}], "d": {"__ansible_vault": "x"}});
    assert_eq!(inventory.to_json()["_meta"]["hostvars"]["h"], listed);
}

#[test]
fn a_tag_without_a_vault_and_unknown_tags_are_errors() {
    for (text, expected) in [
        ("all:\n  vars:\n    a: !vault\n      [x]\n", "h.yaml:3:8: `!vault` needs the text of a vault, not a list"),
        ("all:\n  vars:\n    a: !vault 1\n", "h.yaml:3:8: `!vault` needs the text of a vault, not a number"),
        ("all:\n  vars:\n    a: !unsafe x\n", "h.yaml:3:8: muster does not know the tag `!unsafe`"),
        ("all:\n  vars:\n    a: !foo {x: 1}\n", "h.yaml:3:8: muster does not know the tag `!foo`"),
        ("all:\n  vars:\n    !foo a: 1\n", "h.yaml:3:"),
    ] {
        let error = error_in("h.yaml", text);
        assert!(error.to_string().starts_with(expected), "{text:?}: {error}");
    }
    let known = "all:\n  vars: {a: !!str 1, b: !!int '2', c: ! x, !!str d: !!map {e: !!seq [1]}}\n  hosts: h\n";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("h.yaml"), known).unwrap();
    let inventory = Inventory::load(&[folder.path().join("h.yaml")]).unwrap();
    assert_eq!(json!(*inventory.hosts["h"].vars), json!({"a": "1", "b": 2, "c": "x", "d": {"e": [1]}}));
}

#[test]
fn toml_is_read_as_ansible_reads_it() {
    assert_same_listing("toml", "tests/data/inventory/hosts.toml");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.toml");
    for (text, expected) in [
        ("[web]\nchildren = \"x\"\n", "2:12: `children` must be a list of names, and this is text"),
        ("[web]\nchildren = [1]\n", "2:13: `children` must be a list of names, and this is a number"),
        ("[web]\nhosts = [\"a\"]\n", "2:9: the `hosts` of group `web` must be a table, not a list"),
        ("[web.hosts]\n\n'ü' = 1\n", "3:7: the variables of host `ü` must be a table, not a number"),
        ("[web]\nother = 1\n", "2:1: group `web` has no `other`"),
        ("[all.vars]\nx = inf\n", "2:5: `inf` and `nan` are not supported"),
        ("[all.vars]\nx = 99999999999999999999\n", "2:5: the number has more than 64 bits"),
        ("fruit = 3\n", "1:9: group `fruit` must be a table, not a number"),
        ("x = \n", "1:"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = Inventory::load(std::slice::from_ref(&file)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}:{expected}", file.display())), "{text:?}: {error}");
    }
    std::fs::write(&file, "[web]\nhosts = [\"a\"]\n").unwrap();
    let hint = Inventory::load(std::slice::from_ref(&file)).unwrap_err().hint();
    assert_eq!(hint.as_deref(), Some("Write a table, such as `hosts = { web1 = {} }` or `[GROUP.hosts.web1]`."));
}

#[test]
fn encrypted_sources_are_errors_without_a_password() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["h", "h.yaml"] {
        let file = folder.path().join(name);
        std::fs::write(&file, "$ANSIBLE_VAULT;1.2;AES256;prod\n33310a33320a3333\n").unwrap();
        let error = Inventory::load(std::slice::from_ref(&file)).unwrap_err().to_string();
        let what = "the file is encrypted with Ansible Vault (label prod): give --vault-password-file, or --vault-id prod@FILE";
        assert_eq!(error, format!("{}:1:1: {what}", file.display()));
    }
}

#[test]
fn a_list_of_names_is_an_inventory() {
    let inventory = Inventory::load(&[PathBuf::from("web[1:2],10.0.0.1:2222,")]).unwrap();
    let names: Vec<&str> = inventory.hosts.keys().map(String::as_str).collect();
    assert_eq!(names, ["web1", "web2", "10.0.0.1"]);
    assert_eq!(inventory.hosts["10.0.0.1"].target().unwrap().address.to_string(), "ssh://10.0.0.1:2222");
}

#[test]
fn later_sources_override_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two.yml"));
    std::fs::write(&one, "[g]\nh a=1 b=1\n").unwrap();
    std::fs::write(&two, "g: {hosts: {h: {b: 2}, i: }}\n").unwrap();
    let inventory = Inventory::load(&[one, two]).unwrap();
    assert_eq!(Value::Object((*inventory.hosts["h"].vars).clone()), json!({"a": 1, "b": 2}));
    assert_eq!(inventory.groups["g"].direct, ["h", "i"]);
}

#[test]
fn variables_beside_the_playbook_override_those_beside_the_inventory() {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("inv/hosts", "h\n"),
        ("inv/group_vars/all", "a: inventory\nb: inventory\n"),
        ("inv/host_vars/h", "c: inventory\n"),
        ("play/group_vars/all", "b: playbook\nc: playbook\n"),
    ] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let sources = [folder.path().join("inv/hosts")];
    let inventory = Inventory::load_beside(&sources, Some(&folder.path().join("play")), &Arc::default()).unwrap();
    let expected = json!({"a": "inventory", "b": "playbook", "c": "inventory"});
    assert_eq!(Value::Object((*inventory.hosts["h"].vars).clone()), expected);
}

/// Writes files into a folder.
fn write_files(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn layers_of_variables_override_each_other_in_the_order_of_ansible() {
    // From the weakest. `v` is set in all layers so far, so the last one must win.
    let layers = [
        ("inv/hosts", "[all:vars]\nv=1\n"),
        ("inv/hosts", "[web:vars]\nv=2\n"),
        ("inv/group_vars/all.yml", "v: 3\n"),
        ("play/group_vars/all.yml", "v: 4\n"),
        ("inv/group_vars/web.yml", "v: 5\n"),
        ("play/group_vars/web.yml", "v: 6\n"),
        ("inv/hosts", "[all]\nw1 v=7\n"),
        ("inv/host_vars/w1.yml", "v: 8\n"),
        ("play/host_vars/w1.yml", "v: 9\n"),
    ];
    for count in 1..=layers.len() {
        let folder = tempfile::tempdir().unwrap();
        let layers = layers.iter().take(count);
        let hosts: String = layers.clone().filter(|(path, _)| *path == "inv/hosts").map(|(_, text)| *text).collect();
        let files: Vec<_> = layers.copied().filter(|(path, _)| *path != "inv/hosts").collect();
        write_files(folder.path(), &files);
        write_files(folder.path(), &[("inv/hosts", &format!("[web]\nw1\n{hosts}"))]);
        let sources = [folder.path().join("inv/hosts")];
        let inventory = Inventory::load_beside(&sources, Some(&folder.path().join("play")), &Arc::default()).unwrap();
        assert_eq!(inventory.hosts["w1"].vars["v"], json!(count), "the first {count} layers");
    }
}

#[test]
fn a_program_is_run_with_list() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("inventory.sh");
    let listing = r#"{"web": {"hosts": ["w1"], "vars": {"v": 1}}, "short": ["w1", "s1"], "up": {"children": ["web"]}, "_meta": {"hostvars": {"w1": {"x": [1]}, "ghost": {}}}}"#;
    std::fs::write(&program, format!("#!/bin/sh\n[ \"$1\" = --list ] && cat <<'END'\n{listing}\nEND\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let inventory = Inventory::load(&[program]).unwrap();
    assert_eq!(inventory.hosts.keys().collect::<Vec<_>>(), ["w1", "s1"]);
    assert_eq!(inventory.hosts["w1"].groups, ["short", "up", "web"]);
    assert_eq!(Value::Object((*inventory.hosts["w1"].vars).clone()), json!({"v": 1, "x": [1]}));
    for (printed, expected) in
        [("[]", "not a JSON object"), (r#"{"g": 5}"#, "group `g`"), (r#"{"g": {"hosts": 5}}"#, "`hosts`")]
    {
        let error = script::read(Path::new("s"), printed, &mut InventoryBuilder::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_missing_source_is_named() {
    let error = Inventory::load(&[PathBuf::from("/nowhere/hosts")]).unwrap_err();
    assert!(error.to_string().starts_with("cannot read the inventory /nowhere/hosts: "), "{error}");
}

/// Writes an executable file.
fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_program_without_meta_is_asked_for_each_host() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("s");
    let answers = r#"#!/bin/sh
case "$1 $2" in
  --list*) echo '{"g": ["h1", "h2"], "i": {"hosts": ["h3"]}}' ;;
  *h1) echo '{"ansible_host": "10.0.0.9"}' ;;
  *h3) echo '{"x": 1}' ;;
esac
"#;
    write_program(&program, answers);
    let inventory = Inventory::load(std::slice::from_ref(&program)).unwrap();
    let vars: Vec<Value> = inventory.hosts.values().map(|host| Value::Object((*host.vars).clone())).collect();
    assert_eq!(vars, [json!({"ansible_host": "10.0.0.9"}), json!({}), json!({"x": 1})]);
    write_program(&program, &answers.replace("{\"x\": 1}", "no"));
    let error = Inventory::load(&[program]).unwrap_err().to_string();
    assert!(error.contains("the output of `--host h3` is not a JSON object"), "{error}");
}

#[test]
fn an_executable_file_that_is_no_program_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("hosts", "[g]\nh1 v=1\n"), ("hosts.yml", "g: {hosts: {h1: {v: 1}}}\n")] {
        write_program(&folder.path().join(name), text);
        let inventory = Inventory::load(&[folder.path().join(name)]).unwrap();
        assert_eq!(inventory.hosts["h1"].vars["v"], json!(1), "{name}");
    }
}

#[test]
fn a_source_of_a_folder_that_cannot_be_read_is_left_out_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    write_files(
        folder.path(),
        &[("inv/a.ini", "[g]\nlost port\n"), ("inv/b.yml", "g: {hosts: {h1: }}\n"), ("inv/group_vars/g.yml", "v: 1\n")],
    );
    write_program(&folder.path().join("inv/ec2.sh"), "#!/bin/sh\necho no credentials >&2\nexit 1\n");
    let inventory = Inventory::load(&[folder.path().join("inv")]).unwrap();
    assert_eq!(inventory.hosts.keys().collect::<Vec<_>>(), ["h1"]);
    assert_eq!(inventory.hosts["h1"].vars["v"], json!(1));
    let [ini, script] = &inventory.warnings[..] else { panic!("{:?}", inventory.warnings) };
    assert!(ini.contains("a.ini:2:6: Expected key=value") && ini.ends_with("; this source is left out"), "{ini}");
    assert!(script.contains("ec2.sh failed: ") && script.contains("no credentials"), "{script}");
    // If no source can be read, or the source was named, that is an error.
    std::fs::remove_file(folder.path().join("inv/b.yml")).unwrap();
    assert!(Inventory::load(&[folder.path().join("inv")]).is_err());
    assert!(Inventory::load(&[folder.path().join("inv/a.ini")]).is_err());
}

#[test]
fn of_a_key_that_occurs_twice_the_last_value_counts() {
    let folder = tempfile::tempdir().unwrap();
    write_files(
        folder.path(),
        &[
            ("hosts.yml", "g:\n  hosts:\n    h1: {a: 1, b: 1, a: 2}\n"),
            ("group_vars/g.yml", "c: 1\nd:\n  e: 1\n  e: 2\nc: 3\n"),
        ],
    );
    // A playbook beside the inventory has the same files of variables: each is read once.
    let sources = [folder.path().join("hosts.yml")];
    let inventory = Inventory::load_beside(&sources, Some(folder.path()), &Arc::default()).unwrap();
    let expected = json!({"a": 2, "b": 1, "c": 3, "d": {"e": 2}});
    assert_eq!(Value::Object((*inventory.hosts["h1"].vars).clone()), expected);
    let place = |file: &str| format!("{}/{file}", folder.path().display());
    let warnings = [
        format!("{}:3:22: the key `a` occurs twice, first in line 3; the last value counts", place("hosts.yml")),
        format!("{}:5:1: the key `c` occurs twice, first in line 1; the last value counts", place("group_vars/g.yml")),
        format!("{}:4:3: the key `e` occurs twice, first in line 3; the last value counts", place("group_vars/g.yml")),
    ];
    assert_eq!(inventory.warnings, warnings);
}

#[test]
fn the_listing_of_an_inventory_is_an_inventory() {
    let listing = load("inventory/datacenter").to_json();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hosts.json");
    std::fs::write(&file, format!("{listing:#}\n")).unwrap();
    let mut again = Inventory::load(&[file]).unwrap().to_json();
    let mut listing = listing;
    sort_children(&mut again);
    sort_children(&mut listing);
    assert_eq!(again, listing);
}

#[test]
fn yaml_values_are_those_of_ansible() {
    let values = "a: 1234e56\nb: 1e3\nc: 1.5e3\nd: 1.5e+3\ne: 0o644\nf: 99999999999999999999\ng: -99999999999999999999\nh: 18446744073709551615\ni: &x 12e4\nj: *x\nk: y\nl: yes\nm: 0x1F\nn: 1.0\no: [1e3, é, 1e3, n]\np: {q: 1e3}\nr: '1e3'\ns: -5\nt: +1.5\n";
    let node = super::document::read(Path::new("v.yml"), values).unwrap();
    let expected = json!({"a": "1234e56", "b": "1e3", "c": "1.5e3", "d": 1500.0, "e": "0o644",
        "f": "99999999999999999999", "g": "-99999999999999999999", "h": 18_446_744_073_709_551_615_u64, "i": "12e4", "j": "12e4",
        "k": "y", "l": true, "m": 31, "n": 1.0, "o": ["1e3", "é", "1e3", "n"], "p": {"q": "1e3"}, "r": "1e3", "s": -5,
        "t": 1.5});
    assert_eq!(node.value(), expected);
    let json = super::document::read(Path::new("v.json"), r#"{"a": 1e3, "b": 99999999999999999999}"#).unwrap();
    assert_eq!(json.value(), json!({"a": 1000.0, "b": "99999999999999999999"}));
}

/// Returns the shortest of several times.
fn shortest(run: impl Fn()) -> Duration {
    let time = || {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..3).map(|_| time()).min().unwrap()
}

#[test]
fn the_time_for_a_document_on_one_line_grows_with_its_length_and_not_with_its_square() {
    let time = |count: usize| {
        let text = format!("{{all: {{vars: {{x: [{}]}}}}}}\n", "true, ".repeat(count));
        shortest(|| drop(super::document::read(Path::new("h.yaml"), &text).unwrap()))
    };
    // 16 times the length takes 16 times as long, or 256 times if the growth is quadratic.
    let (small, large) = (time(1000), time(16_000));
    assert!(large < small * 128, "1000 values take {small:?}, 16000 values take {large:?}");
}

/// Returns the one host of an INI line.
fn host(line: &str) -> super::Host {
    let mut builder = InventoryBuilder::default();
    ini::read(Path::new("h"), line, &mut builder).unwrap();
    vars::build(builder, &[]).hosts.values().next().unwrap().clone()
}

#[test]
fn connection_variables_say_how_ssh_reaches_a_host() {
    for (line, address, jump, keys) in [
        ("web1", "ssh://web1", None, ""),
        ("web1 ansible_host=10.0.0.1 ansible_port=2222 ansible_user=core", "ssh://core@10.0.0.1:2222", None, ""),
        (
            "web1 ansible_ssh_private_key_file=~/.ssh/id ansible_ssh_common_args='-J bastion'",
            "ssh://web1",
            Some("bastion"),
            "~/.ssh/id",
        ),
        ("web1 ansible_private_key_file=/etc/keys/id", "ssh://web1", None, "/etc/keys/id"),
        ("web1 ansible_ssh_common_args='-o ProxyJump=a,b -i k -p 23 -l root'", "ssh://root@web1:23", Some("a,b"), "k"),
        (
            "web1 ansible_ssh_common_args='-oProxyCommand=\"ssh -W %h:%p -q me@jump\"'",
            "ssh://web1",
            Some("me@jump"),
            "",
        ),
        // ssh(1) uses the first of two values.
        ("web1 ansible_ssh_common_args='-J one' ansible_ssh_extra_args=-Jtwo", "ssh://web1", Some("one"), ""),
        (
            "web1 ansible_ssh_common_args='-p 23 -l root -p 24 -o Port=25 -l x -o User=y'",
            "ssh://root@web1:23",
            None,
            "",
        ),
        ("web1 ansible_ssh_common_args='-o Port=25 -o User=y -p 24 -l x'", "ssh://y@web1:25", None, ""),
        // `none` connects directly even if ssh_config has a jump host. It differs from no argument.
        ("web1 ansible_ssh_common_args='-J none'", "ssh://web1", Some("none"), ""),
        ("web1 ansible_ssh_common_args='-o ProxyJump=none'", "ssh://web1", Some("none"), ""),
        ("web1 ansible_ssh_common_args='-o ProxyCommand=none'", "ssh://web1", Some("none"), ""),
        (
            "web1 ansible_ssh_common_args='-o ProxyJump=none' ansible_ssh_extra_args='-J one'",
            "ssh://web1",
            Some("none"),
            "",
        ),
        ("[2001:db8::1]:22", "ssh://[2001:db8::1]:22", None, ""),
        ("fe80::1%eth0", "ssh://[fe80::1%eth0]", None, ""),
        ("[fe80::1%br-0.5]:2222", "ssh://[fe80::1%br-0.5]:2222", None, ""),
    ] {
        let target = host(line).target().unwrap();
        // The paths of keys are absolute.
        let (home, here) = (std::env::home_dir().unwrap(), std::env::current_dir().unwrap());
        let whole = |key: &str| key.strip_prefix("~/").map_or_else(|| here.join(key), |rest| home.join(rest));
        let keys: Vec<PathBuf> = keys.split_terminator(' ').map(whole).collect();
        assert_eq!(
            (target.address.to_string().as_str(), target.jump.as_deref(), target.identity_files),
            (address, jump, keys),
            "{line}"
        );
        assert_eq!(host(line).notes(), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn the_connection_of_a_host_is_ssh_local_or_not_supported() {
    for (line, expected, of_machine) in [
        ("h", Connection::Ssh, Connection::Ssh),
        ("h ansible_connection=smart", Connection::Ssh, Connection::Ssh),
        ("h ansible_connection=local", Connection::Local, Connection::Ssh),
        (
            "h ansible_connection=docker",
            Connection::Unsupported("docker".to_owned()),
            Connection::Unsupported("docker".to_owned()),
        ),
    ] {
        let host = host(line);
        assert_eq!(host.target().unwrap().connection, expected, "{line}");
        assert_eq!(host.machine_target().unwrap().connection, of_machine, "{line}");
        assert_eq!(host.notes(), Vec::<String>::new());
    }
}

#[test]
fn a_proxy_command_is_a_jump_host_or_is_run_and_options_are_kept() {
    for (args, jump, options) in [
        ("-o ProxyCommand='ssh -W %h:%p jump'", Some("jump"), vec![]),
        ("-o ProxyCommand='ssh -p 2222 -l me -W [%h]:%p -q jump'", Some("me@jump:2222"), vec![]),
        ("-o ProxyCommand='ssh me@jump -W %h:%p'", Some("me@jump"), vec![]),
        ("-o ProxyCommand='ssh -p 22 -W %h:%p me@jump'", None, vec!["ProxyCommand=ssh -p 22 -W %h:%p me@jump"]),
        ("-o ProxyCommand='ssh -i k -W %h:%p jump'", None, vec!["ProxyCommand=ssh -i k -W %h:%p jump"]),
        ("-o 'ProxyCommand ssh -F f -W %h:%p jump'", None, vec!["ProxyCommand=ssh -F f -W %h:%p jump"]),
        ("-o ProxyCommand='ssh jump nc %h %p'", None, vec!["ProxyCommand=ssh jump nc %h %p"]),
        ("-o ProxyJump=none -o ProxyCommand='nc %h %p'", Some("none"), vec![]),
        ("-o ProxyCommand='nc %h %p' -J one", None, vec!["ProxyCommand=nc %h %p"]),
        (
            "-C -qo StrictHostKeyChecking=no -oConnectTimeout=5 -o ControlPersist=60s -tt",
            None,
            vec!["StrictHostKeyChecking=no", "ConnectTimeout=5"],
        ),
    ] {
        let host = host(&format!("h ansible_ssh_common_args=\"{args}\""));
        let target = host.target().unwrap();
        assert_eq!(
            (target.jump.as_deref(), target.options),
            (jump, options.iter().map(|&o| o.to_owned()).collect()),
            "{args}"
        );
        assert_eq!(host.notes(), Vec::<String>::new(), "{args}");
    }
    // The cluster keeps an address, a jump host, and options that run no program and write no file.
    let kept = host("h ansible_ssh_common_args='-J j -o ConnectTimeout=5 -o UserKnownHostsFile=/k -F /etc/ssh.cfg'");
    let (target, machine) = (kept.target().unwrap(), kept.machine_target().unwrap());
    assert_eq!((target.config_file, target.options.len()), (Some(PathBuf::from("/etc/ssh.cfg")), 2));
    assert_eq!(
        (machine.config_file, machine.options, machine.jump),
        (None, vec!["ConnectTimeout=5".to_owned()], Some("j".to_owned()))
    );
    let notes = ["-o UserKnownHostsFile=/k", "-F /etc/ssh.cfg"];
    assert_eq!(
        kept.machine_notes(),
        notes.map(|lost| format!("the cluster does not keep `{lost}`: write it in ssh_config."))
    );
    let error = host("h ansible_ssh_common_args='-o ProxyCommand=\"nc %h %p\"'").machine_target().unwrap_err();
    assert!(error.to_string().contains("does not keep the proxy command `nc %h %p`"), "{error}");
}

#[test]
fn invalid_connection_variables_are_errors() {
    for (line, expected) in [
        ("h ansible_port=0", "not a port"),
        ("h ansible_port=ssh", "not a port"),
        ("h ansible_host=[1]", "must be text"),
        ("h ansible_host=-oProxyCommand=reboot", "not an address"),
        ("h ansible_user=-x", "not an address"),
        ("h ansible_host='{{ x }}'", "the template `{{ x }}` cannot be filled in"),
        ("h ansible_ssh_common_args=-J", "lacks its value"),
        ("h ansible_ssh_private_key_file=~core/.ssh/id", "the home of another user: write the absolute path"),
        (
            "h ansible_ssh_common_args='-o ConnectTimeout=soon'",
            "invalid option `ConnectTimeout=soon`: connecttimeout: invalid",
        ),
    ] {
        let error = host(line).target().unwrap_err().to_string();
        assert!(error.starts_with("host h: variable `ansible_") && error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn connection_variables_that_muster_ignores_are_noted() {
    for (line, expected) in [
        (
            "h ansible_ssh_common_args='-C -o ControlMaster=auto -o BindAddress=10.0.0.1'",
            "`-o BindAddress=10.0.0.1` in `ansible_ssh_common_args` is ignored.",
        ),
        ("h ansible_ssh_executable=/bin/x", "does not know it"),
        ("h muster_metdata=\"{'a': 'b'}\"", "`muster_metdata` is ignored: did you mean `muster_metadata`?"),
        ("h ansible_usr=x ansible_network_os=y", "`ansible_usr` is ignored: did you mean `ansible_user`?"),
        ("h ansible_prot=1 ansible_become_user=y", "`ansible_prot` is ignored: did you mean `ansible_port`?"),
        ("h ansible_ssh_prvate_key_fle=k", "did you mean `ansible_ssh_private_key_file`?"),
        ("h muster_fence_comand=x muster_version=2", "did you mean `muster_fence_command`?"),
    ] {
        let notes = host(line).notes();
        assert!(notes.len() == 1 && notes[0].contains(expected), "{line}: {notes:?}");
        assert!(!notes[0].contains("=x"));
    }
}

#[test]
fn metadata_is_a_map_of_words() {
    let metadata = host("h muster_metadata=\"{'disk': 'ssd', 'cores': 8}\"").metadata().unwrap();
    assert_eq!(metadata.into_iter().collect::<Vec<_>>(), [("cores".into(), "8".into()), ("disk".into(), "ssd".into())]);
    assert!(host("h muster_metadata=ssd").metadata().is_err());
    assert!(host("h muster_metadata=\"{'a': [1]}\"").metadata().is_err());
}

/// Returns an inventory of so many hosts in the group `web`.
fn many_hosts(count: usize) -> Inventory {
    let mut builder = InventoryBuilder::default();
    for number in 0..count {
        builder.add_host("web", &format!("host{number}"));
    }
    builder.add_host("old", "host0");
    vars::build(builder, &[])
}

#[test]
fn the_time_of_a_selection_grows_with_the_number_of_hosts_and_not_with_its_square() {
    let each = |mark: &str, count: usize| (1..count).map(|number| format!("{mark}host{number},")).collect::<String>();
    for (groups, mark) in [(Some("all:&web:!old"), ""), (None, ""), (None, "!")] {
        let time = |count: usize| {
            let (inventory, pattern) = (many_hosts(count), groups.map_or_else(|| each(mark, count), str::to_owned));
            shortest(|| drop(inventory.select(&pattern).unwrap()))
        };
        // 16 times the hosts take 16 times as long, or 256 times if the growth is quadratic.
        let (small, large) = (time(500), time(8000));
        assert!(large < small * 128, "500 hosts take {small:?}, 8000 hosts take {large:?}");
    }
}

proptest! {
    #[test]
    fn no_ini_file_makes_it_panic(text in r#"([\[\]a-z0-9:= #;'"\\,.-]{0,16}\n){0,6}"#) {
        let mut builder = InventoryBuilder::default();
        if ini::read(Path::new("h"), &text, &mut builder).is_ok() {
            vars::build(builder, &[]);
        }
    }

    #[test]
    fn no_yaml_file_makes_it_panic(text in r#"([ ]{0,4}(all|hosts|vars|children|a|-|\{|\[|&x|\*x|!t|"|'|\||:|: |\t|1){0,4}\n){0,6}"#) {
        let mut builder = InventoryBuilder::default();
        if yaml::read(Path::new("h.yaml"), &text, &mut builder).is_ok() {
            vars::build(builder, &[]);
        }
    }

    #[test]
    fn no_pattern_makes_it_panic(pattern in r"[a-z0-9:&!*?~,.\[\]-]{0,16}") {
        let mut builder = InventoryBuilder::default();
        ini::read(Path::new("h"), "[g]\na[1:3]\n", &mut builder).unwrap();
        let _ = vars::build(builder, &[]).select(&pattern);
    }
}
