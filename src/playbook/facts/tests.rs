use serde_json::Value;
use serde_json::json;

use super::HostText;
use super::Subsets;
use super::parse;
use super::parse_packages;
use super::parse_services;
use super::variable;
use super::variables;
use crate::inventory::Vars;

/// Reads a text whose sections have the mark `=`.
fn read(text: &str) -> HostText<'_> {
    HostText::read(text, "=")
}

fn all(text: &str) -> Vars {
    parse(&read(text), &Subsets::parse(&[]).unwrap())
}

fn selected(words: &[&str], text: &str) -> Vars {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    parse(&read(text), &Subsets::parse(&words).unwrap())
}

const HOST: &str = include_str!("../../../tests/data/facts/host.txt");

/// The facts of Ansible that muster does not gather, and why.
const MISSING: [(&str, &str); 9] = [
    ("devices", "disks and their partitions need many reads of sysfs"),
    ("device_links", "as for devices"),
    ("fibre_channel_wwn", "rare hardware"),
    ("hostnqn", "rare hardware"),
    ("iscsi_iqn", "rare hardware"),
    ("nvme", "rare hardware"),
    ("gather_subset", "the arguments, which the module adds"),
    ("module_setup", "a mark that the module adds"),
    ("discovered_interpreter_python", "muster needs no interpreter"),
];

/// Sorts the lists whose order has no meaning.
fn sorted(name: &str, value: &Value) -> Value {
    let sets = ["interfaces", "virtualization_tech_guest", "virtualization_tech_host", "all_ipv4_addresses"];
    let mut value = value.clone();
    if let Some(items) = value.as_array_mut().filter(|_| sets.contains(&name)) {
        items.sort_by_key(ToString::to_string);
    }
    value
}

/// The text and Ansible's facts were recorded on the same host, one after the other. Names, keys and addresses were
/// replaced in both, and the numbers that had changed in between (time, load, free space) in the text.
#[test]
fn a_host_has_the_facts_that_ansible_gathers() {
    let expected: Vars = serde_json::from_str(include_str!("../../../tests/data/facts/host.json")).unwrap();
    let facts = all(HOST);
    for (name, mut value) in expected {
        let name = name.strip_prefix("ansible_").unwrap_or(&name).to_owned();
        if MISSING.iter().any(|(missing, _)| *missing == name) {
            assert!(!facts.contains_key(&name), "{name} is gathered");
            continue;
        }
        if name == "env" {
            // Ansible's Python sets it for itself.
            value.as_object_mut().unwrap().remove("LC_CTYPE");
        }
        assert_eq!(facts.get(&name).map(|fact| sorted(&name, fact)), Some(sorted(&name, &value)), "{name}");
    }
}

/// The facts are those that Ansible gathers if /etc has these files.
#[test]
fn each_distribution_has_the_facts_that_ansible_gathers() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../../tests/data/facts/distributions.json")).unwrap();
    for case in cases {
        let lines: Vec<&str> = case["text"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        let facts = selected(&["!all", "!min", "distribution"], &format!("\n{}", lines.join("\n")));
        let sorted: Value =
            facts.into_iter().collect::<std::collections::BTreeMap<_, _>>().into_iter().collect::<Vars>().into();
        assert_eq!(sorted, case["facts"], "{}", case["name"]);
    }
}

#[test]
fn subsets_are_those_of_ansible() {
    let has = |words: &[&str]| {
        let facts = selected(words, HOST);
        ["env", "pkg_mgr", "os_family", "kernel", "eth0", "memtotal_mb", "virtualization_type"]
            .map(|name| facts.contains_key(name))
    };
    for (words, expected) in [
        (&["all"][..], [true; 7]),
        (&["!all"], [true, true, true, true, false, false, false]),
        (&["!hardware"], [true, true, true, true, false, false, false]),
        (&["all", "!hardware"], [true, true, true, true, true, false, true]),
        (&["!all", "network"], [true, true, true, true, true, false, false]),
        (&["!all", "!min", "pkg_mgr"], [false, true, true, false, false, false, false]),
        (&["mounts"], [true, true, true, true, false, true, false]),
    ] {
        assert_eq!(has(words), expected, "{words:?}");
    }
    let why = Subsets::parse(&["netwrk".to_owned()]).unwrap_err();
    assert!(why.starts_with("unknown subset `netwrk`: expected all, min, all_ipv4_addresses, "), "{why}");
}

#[test]
fn no_interface_replaces_a_fact_or_a_variable_of_connections() {
    let text = "\n=net\nos_family mtu 1\nhost mtu 1\nssh_user mtu 1\nbecome_pass mtu 1\ninterfaces mtu 1\nbr-1 mtu 2";
    let variables = variables(all(text));
    assert_eq!(variables["ansible_os_family"], "OtherLinux");
    assert_eq!(variables["ansible_br_1"], json!({"device": "br-1", "mtu": 2}));
    assert!(variables["ansible_interfaces"].is_array());
    for name in ["ansible_host", "ansible_ssh_user", "ansible_become_pass"] {
        assert!(!variables.contains_key(name), "{name}");
    }
    let kept = ["ssh_host_key_rsa_public", "eth0", "local", "python"].map(|name| variable(name).is_some());
    assert_eq!((kept, variable("x_interpreter")), ([true; 4], None));
}

#[test]
fn facts_of_a_host_are_variables_in_both_forms() {
    let variables = variables(selected(&["!all", "!min", "local", "platform"], HOST));
    assert_eq!(variables["ansible_hostname"], "host1");
    assert_eq!(variables["ansible_facts"]["hostname"], "host1");
    assert_eq!((&variables["ansible_local"], &variables["ansible_facts"]["ansible_local"]), (&json!({}), &json!({})));
}

#[test]
fn a_host_has_facts_of_its_own() {
    let text = "\n=facts /f/a.fact\n{\"x\": [1]}\n=facts /f/b.fact\n[General]\nKey = a\n b\n# no\n[DEFAULT]\nd: 1\n\
                =facts /f/c.fact\n{\n=script /f/d.fact\ntrue\nrc=0\n=script /f/e.fact\nrc=3\n=script /f/f.fact\n{\"x\"";
    assert_eq!(
        all(text)["local"],
        json!({
            "a": {"x": [1]},
            "b": {"General": {"key": "a\nb", "d": "1"}},
            "c": "error loading facts as JSON or ini - please check content: /f/c.fact",
            "d": true,
            "e": "Failure executing fact script (/f/e.fact), rc: 3, err: ",
            "f": "error loading facts: /f/f.fact prints too much",
        })
    );
}

#[test]
fn aliases_and_second_addresses_are_as_in_ansible() {
    let text = "\n=net\neth0 address 02:00:00:00:00:01\neth0 mtu 1500\neth0 type 1\nbr0 bridge\nbr0 brif eth1\n\
                =route4\n8.8.8.8 via 10.0.0.1 dev eth0 src 10.0.0.2 uid 0\n=address\n\
                2: eth0    inet 10.0.0.2/8 brd 10.255.255.255 scope global eth0\\    valid_lft forever\n\
                2: eth0    inet 10.0.0.3/8 scope global secondary eth0:1\\    valid_lft forever\n\
                3: tun0    inet 10.9.0.1 peer 10.9.0.2/32 scope global tun0\\    valid_lft forever";
    let facts = selected(&["!all", "!min", "network"], text);
    let second =
        json!([{"address": "10.0.0.3", "broadcast": "", "netmask": "255.0.0.0", "network": "10.0.0.0", "prefix": "8"}]);
    assert_eq!([&facts["eth0"]["ipv4_secondaries"], &facts["eth0_1"]["ipv4_secondaries"]], [&second, &second]);
    assert_eq!(facts["tun0"]["ipv4"]["netmask"], "255.255.255.255");
    assert_eq!(facts["br0"], json!({"device": "br0", "interfaces": ["eth1"], "type": "bridge"}));
    assert_eq!(facts["all_ipv4_addresses"], json!(["10.0.0.2", "10.0.0.3", "10.9.0.1"]));
    assert_eq!(
        facts["default_ipv4"],
        json!({
            "interface": "eth0", "address": "10.0.0.2", "gateway": "10.0.0.1", "broadcast": "10.255.255.255",
            "netmask": "255.0.0.0", "network": "10.0.0.0", "prefix": "8", "macaddress": "02:00:00:00:00:01",
            "mtu": 1500, "type": "ether", "alias": "eth0",
        })
    );
}

#[test]
fn services_have_the_states_that_ansible_gives_them() {
    let text = "\n=units\ncron.service loaded active running Regular background programs\n\
                bad.service loaded failed failed A failed one\ngone.service not-found inactive dead gone.service\n\
                once.service loaded active exited Once\n\
                =files\ncron.service enabled enabled\nbad.service enabled enabled\nonce.service static -\n\
                getty@.service enabled enabled\ndbus-org.x.service alias -\noff.service disabled enabled\n\
                =states\nNames=x.service dbus-org.x.service\nActiveState=active\n\nNames=cron.service\nActiveState=active";
    let services = parse_services(&read(text))["services"].clone();
    let service = |name: &str| [&services[name]["state"], &services[name]["status"]].map(|it| it.as_str().unwrap());
    assert_eq!(service("cron.service"), ["running", "enabled"]);
    assert_eq!(service("bad.service"), ["stopped", "failed"]);
    assert_eq!(service("gone.service"), ["stopped", "not-found"]);
    assert_eq!(service("once.service"), ["stopped", "static"]);
    assert_eq!(service("getty@.service"), ["unknown", "enabled"]);
    assert_eq!(service("dbus-org.x.service"), ["active", "alias"]);
    assert_eq!(service("off.service"), ["inactive", "disabled"]);
    assert_eq!(services["cron.service"]["source"], "systemd");
}

#[test]
fn packages_have_a_list_of_versions() {
    let dpkg = "\n=architecture\namd64\n=dpkg\ninstalled\tbash\t5.2\tamd64\tshells\n\
                config-files\told\t1\tall\tx\ninstalled\tlibc6\t2\ti386\tlibs";
    let packages = parse_packages(&read(dpkg)).unwrap();
    assert_eq!(
        packages["packages"],
        json!({
            "bash": [{"name": "bash", "version": "5.2", "arch": "amd64", "category": "shells", "source": "apt"}],
            "libc6:i386": [{"name": "libc6:i386", "version": "2", "arch": "i386", "category": "libs", "source": "apt"}],
        })
    );
    let rpm = "\n=rpm\nkernel\t5.14\t1\t(none)\tx86_64\nkernel\t5.15\t1\t1\tx86_64";
    let kernels = &parse_packages(&read(rpm)).unwrap()["packages"]["kernel"];
    assert_eq!([&kernels[0]["epoch"], &kernels[1]["epoch"]], ["None", "1"]);
    assert_eq!(parse_packages(&read("")), None);
}

#[test]
fn a_host_that_says_nothing_has_facts() {
    let facts = all("");
    assert_eq!((&facts["os_family"], &facts["pkg_mgr"]), (&json!("OtherLinux"), &json!("unknown")));
    assert!(!facts.contains_key("python") && !facts.contains_key("date_time"));
}

#[test]
fn no_content_of_a_host_begins_a_section() {
    let text = HostText::read("\n@1 a\n\n=b\n @1 c\n\n@1 d\n@1 e\nlast", "@1 ");
    assert_eq!(text.names().collect::<Vec<_>>(), ["a", "d", "e"]);
    assert_eq!(text.lines("a").collect::<Vec<_>>(), ["", "=b", " @1 c"]);
    assert_eq!((text.lines("d").count(), text.line("e")), (0, Some("last")));
}
