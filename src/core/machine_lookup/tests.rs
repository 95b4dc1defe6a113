use std::collections::BTreeMap;

use super::*;

/// Returns a cluster of machines, each with a machine-id that begins with these digits, a name and an address.
fn cluster(machines: &[(&str, &str, &str)]) -> Snapshot {
    let machine = |(digits, name, address): &(&str, &str, &str)| {
        let id: MachineId = format!("{digits:0<32}").parse().unwrap();
        let address: Address = format!("ssh://{address}").parse().unwrap();
        (id, Machine { id, name: (*name).to_owned(), ip: address.host.clone(), address, ..Machine::default() })
    };
    Snapshot { machines: machines.iter().map(machine).collect::<BTreeMap<_, _>>(), ..Snapshot::default() }
}

/// Returns the name of the machine that a text names, or the text of the error.
fn found(snapshot: &Snapshot, text: &str) -> String {
    find_machine(snapshot, text).map_or_else(|error| error.to_string(), |machine| machine.name.clone())
}

#[test]
fn a_name_comes_before_a_machine_id_and_a_machine_id_before_an_address() {
    let snapshot = cluster(&[
        ("aaaa1", "web1", "10.0.0.1"),
        ("aaab2", "10.0.0.1", "10.0.0.2:2202"),
        ("bbbb3", "aaaa", "core@cccc"),
        ("cccc4", "db1", "DB1.example.com"),
        ("cccc5", "db2", "[2001:db8::2]:2201"),
    ]);
    for (text, expected) in [
        ("web1", "web1"),
        // A name that is the address of another machine, or the beginning of another machine's machine-id.
        ("10.0.0.1", "10.0.0.1"),
        ("aaaa", "aaaa"),
        ("aaaa1", "web1"),
        ("AAAB2000...", "10.0.0.1"),
        ("cccc40000000000000000000000000000", "no machine is called \"cccc40000000000000000000000000000\""),
        ("cccc4000000000000000000000000000", "db1"),
        // Three digits are too few.
        ("aaa", "no machine is called \"aaa\""),
        ("10.0.0.2", "10.0.0.1"),
        ("10.0.0.2:2202", "10.0.0.1"),
        ("ssh://10.0.0.2:2202", "10.0.0.1"),
        ("10.0.0.2:22", "no machine is called \"10.0.0.2:22\""),
        ("10.0.0.1:22", "web1"),
        ("core@cccc", "aaaa"),
        ("root@cccc", "no machine is called \"root@cccc\""),
        ("db1.example.com", "db1"),
        ("2001:db8::2", "db2"),
        ("[2001:db8::2]:2201", "db2"),
        ("", "no machine is called \"\""),
        ("...", "no machine is called \"...\""),
    ] {
        assert_eq!(found(&snapshot, text), expected, "{text:?}");
    }
}

#[test]
fn a_text_that_matches_several_machines_lists_them() {
    let snapshot = cluster(&[
        ("3f2f3dd0", "web1", "10.0.0.5:2201"),
        ("3f2f4dd0", "web2", "10.0.0.5:2202"),
        ("5f", "twin", "10.0.0.6"),
        ("6f", "twin", "root@10.0.0.7"),
    ]);
    assert_eq!(
        found(&snapshot, "10.0.0.5"),
        "\"10.0.0.5\" is the address of 2 machines: web1 (3f2f3dd0..., ssh://10.0.0.5:2201), \
         web2 (3f2f4dd0..., ssh://10.0.0.5:2202)"
    );
    assert_eq!(
        found(&snapshot, "3f2f"),
        "\"3f2f\" is the beginning of the machine-ids of 2 machines: web1 (3f2f3dd0..., ssh://10.0.0.5:2201), \
         web2 (3f2f4dd0..., ssh://10.0.0.5:2202)"
    );
    assert_eq!(
        found(&snapshot, "twin"),
        "\"twin\" is the name of 2 machines: twin (5f000000..., ssh://10.0.0.6), \
         twin (6f000000..., ssh://root@10.0.0.7)"
    );
    assert_eq!(found(&snapshot, "10.0.0.5:2202"), "web2");
    assert_eq!(found(&snapshot, "5f00"), "twin");
}

#[test]
fn an_error_lists_five_machines_and_counts_the_others() {
    let machines: Vec<(String, String)> = (0..7).map(|number| (format!("{number}f"), format!("n{number}"))).collect();
    let machines: Vec<_> = machines.iter().map(|(id, name)| (id.as_str(), name.as_str(), "gateway")).collect();
    let text = found(&cluster(&machines), "gateway");
    assert!(text.starts_with("\"gateway\" is the address of 7 machines: n0 (0f000000..., ssh://gateway), "), "{text}");
    assert!(text.ends_with(", n4 (4f000000..., ssh://gateway) and 2 more"), "{text}");
}

#[test]
fn an_unknown_name_suggests_similar_names() {
    let snapshot = cluster(&[("1", "core-01", "a"), ("2", "core-02", "b"), ("3", "database", "c")]);
    let similar = |text: &str| match find_machine(&snapshot, text) {
        Err(FindMachineError::Unknown { similar, .. }) => similar,
        other => panic!("{other:?}"),
    };
    assert_eq!(similar("core-2"), ["core-02", "core-01"]);
    assert_eq!(similar("databse"), ["database"]);
    assert_eq!(similar("x"), [""; 0]);
    assert_eq!(similar(&"x".repeat(10_000)), [""; 0]);
}
