use super::*;

const ID: &str = "3f2f3dd0000000000000000000000001";

fn read(name: &str, options: &str) -> Result<(Requirements, Vec<IgnoredRequirement>), BadRequirements> {
    let file = UnitFile::parse(&format!("[Service]\nExecStart=/bin/true\n[X-Fleet]\n{options}\n")).unwrap();
    Requirements::of(&name.parse().unwrap(), &file)
}

fn parse(name: &str, options: &str) -> Requirements {
    let (requirements, ignored) = read(name, options).unwrap();
    assert_eq!(ignored, [], "{options}");
    requirements
}

fn refusal(name: &str, options: &str) -> String {
    read(name, options).expect_err(options).to_string()
}

fn texts(globs: &[Glob]) -> Vec<&str> {
    globs.iter().map(Glob::as_str).collect()
}

fn metadata(pairs: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    pairs.iter().map(|(key, values)| ((*key).to_owned(), owned(values))).collect()
}

#[test]
fn a_unit_without_the_section_has_no_requirements() {
    let file = UnitFile::parse("[Service]\nMachineID=1\n").unwrap();
    let requirements = Requirements::of(&"a.service".parse().unwrap(), &file).unwrap();
    assert_eq!(requirements, (Requirements::default(), Vec::new()));
}

#[test]
fn every_option_is_read() {
    let requirements = parse("a.service", "Conflicts=b.* c.service\nConflicts=d*\nMachineMetadata=region=eu");
    assert_eq!(texts(&requirements.conflicts), ["b.*", "c.service", "d*"]);
    assert_eq!(requirements.metadata, metadata(&[("region", &["eu"])]));
    let requirements = parse("a.service", "MachineOf=b.service\nMachineOf=c.service\nReplaces=d.* e.service");
    assert_eq!(requirements.machine_of.iter().map(UnitName::as_str).collect::<Vec<_>>(), ["b.service", "c.service"]);
    assert_eq!(texts(&requirements.replaces), ["d.*", "e.service"]);
    assert_eq!(parse("a.service", &format!("MachineID={ID}")).machine_id, Some(Pin::Whole(ID.parse().unwrap())));
    assert_eq!(parse("a.service", "MachineID=3f2f3dd0").machine_id, Some(Pin::Short(0x3f2f_3dd0)));
}

#[test]
fn the_old_spellings_are_accepted() {
    let requirements = parse(
        "a.service",
        "X-ConditionMachineOf=b.service\nX-Conflicts=c.*\nX-ConditionMachineMetadata=k=v\nMachineMetadata=k=w",
    );
    assert_eq!(requirements.machine_of.iter().map(UnitName::as_str).collect::<Vec<_>>(), ["b.service"]);
    assert_eq!(texts(&requirements.conflicts), ["c.*"]);
    assert_eq!(requirements.metadata, metadata(&[("k", &["v", "w"])]));
    for key in ["X-ConditionMachineID", "X-ConditionMachineBootID"] {
        assert!(parse("a.service", &format!("{key}={ID}")).machine_id.is_some(), "{key}");
    }
    assert_eq!(read("a.service", "X-Global=true").unwrap().1, [IgnoredRequirement::Key("X-Global".into())]);
}

#[test]
fn the_modern_machine_id_overrides_the_old_one_and_the_first_value_is_used() {
    let (requirements, ignored) =
        read("a.service", &format!("X-ConditionMachineID=00000000\nMachineID={ID}\nMachineID=11111111")).unwrap();
    assert_eq!(requirements.machine_id, Some(Pin::Whole(ID.parse().unwrap())));
    assert_eq!(
        ignored,
        [IgnoredRequirement::MachineId("11111111".into()), IgnoredRequirement::MachineId("00000000".into())]
    );
}

#[test]
fn fleets_specifiers_are_replaced_and_no_others() {
    let requirements = parse("foo@bar@baz.service", "Conflicts=%n %N %p %i %m %%i");
    assert_eq!(
        texts(&requirements.conflicts),
        ["foo@bar@baz.service", "foo@bar@baz", "foo", "bar@baz", "%m", "%bar@baz"]
    );
    let requirements = parse("foo.service", "Conflicts=%p@%i.service %N");
    assert_eq!(texts(&requirements.conflicts), ["foo@.service", "foo"]);
    let requirements = parse("web@eu.service", "MachineMetadata=\"region=%i\" \"role=%p\"");
    assert_eq!(requirements.metadata, metadata(&[("region", &["eu"]), ("role", &["web"])]));
}

#[test]
fn quoted_values_are_split_as_fleet_split_them() {
    let cases: [(&str, &[&str]); 8] = [
        (r#""a" "b""#, &["a", "b"]),
        (r#""a b" "c""#, &["a b", "c"]),
        (r#""a"  "b""#, &["a", "b"]),
        (r#""foo\"bar""#, &[r"foo\bar"]),
        (r#""a" b"#, &[r#""a" b"#]),
        (r#"a "b""#, &[r#"a "b""#]),
        ("a b", &["a b"]),
        ("\"", &[]),
    ];
    for (line, values) in cases {
        assert_eq!(split(line), values, "{line}");
    }
    assert_eq!(parse("a.service", "MachineOf=\"b.service\" \\\n  \"c.service\"").machine_of.len(), 2);
}

#[test]
fn the_last_value_of_global_is_used() {
    for (text, expected) in
        [("true", true), ("YES", true), ("1", true), ("On", true), ("t", true), ("false", false), ("", false)]
    {
        assert_eq!(parse("a.service", &format!("Global={text}")).global, expected, "{text}");
    }
    assert!(!parse("a.service", "Global=true\nGlobal=no").global);
    let (requirements, ignored) = read("a.service", "Global=yep").unwrap();
    assert!(!requirements.global);
    assert_eq!(ignored, [IgnoredRequirement::Global("yep".into())]);
}

#[test]
fn ignored_parts_have_a_message() {
    let (requirements, ignored) =
        read("a.service", "Foo=1\nMachineMetadata=a\nMachineMetadata=a=b c=d\nMachineMetadata==b").unwrap();
    assert_eq!(requirements, Requirements::default());
    assert_eq!(
        ignored.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "unrecognized requirement in [X-Fleet] section: \"Foo\"",
            "MachineMetadata=a is ignored: write `key=value`, or `\"key=value\" \"key=value\"` for several",
            "MachineMetadata=a=b c=d is ignored: write `key=value`, or `\"key=value\" \"key=value\"` for several",
            "MachineMetadata==b is ignored: write `key=value`, or `\"key=value\" \"key=value\"` for several",
        ]
    );
}

#[test]
fn a_misspelt_option_is_an_error_with_the_likely_one() {
    let error = read("a.service", "MachineMetdata=disk=ssd").unwrap_err().to_string();
    assert_eq!(error, "there is no requirement MachineMetdata=: did you mean MachineMetadata=?");
}

#[test]
fn options_that_exclude_each_other_are_errors_with_fleets_messages() {
    let pin = format!("MachineID={ID}\n");
    let cases = [
        (
            "MachineOf=b.service\nConflicts=b.*".to_owned(),
            "unresolvable requirements: peer \"b.service\" matches conflict \"b.*\"",
        ),
        (
            "MachineOf=b.service\nReplaces=*".to_owned(),
            "unresolvable requirements: peer \"b.service\" matches replace \"*\"",
        ),
        (format!("{pin}MachineOf=b.service"), "MachineID cannot be used with Peers"),
        (format!("{pin}Conflicts=b"), "MachineID cannot be used with Conflicts"),
        (format!("{pin}Global=true"), "MachineID cannot be used with Global"),
        (format!("{pin}Replaces=b"), "MachineID cannot be used with Replaces"),
        ("Global=true\nMachineOf=b.service".to_owned(), "Global cannot be used with Peers"),
        ("Global=true\nReplaces=b".to_owned(), "Global cannot be used with Replaces"),
        ("Conflicts=b\nReplaces=b".to_owned(), "Conflicts cannot be used with Replaces"),
        (format!("{pin}Global=true\nConflicts=b\nReplaces=b"), "MachineID cannot be used with Conflicts"),
    ];
    for (options, message) in cases {
        assert_eq!(refusal("a.service", &options), message, "{options}");
    }
    assert!(parse("a.service", "Global=true\nConflicts=b\nMachineMetadata=k=v").global);
}

#[test]
fn requirements_that_can_never_hold_are_errors() {
    let cases = [
        (
            "MachineOf=b",
            "MachineOf=b: unit name must contain \".\"; write `MachineOf=a.service`, or `MachineOf=\"a.service\" \"b.service\"` for several",
        ),
        ("MachineID=core-01", "invalid MachineID=core-01: expected 32 hexadecimal digits, or the first 8 of them"),
        ("MachineID=+f2f3dd0", "invalid MachineID=+f2f3dd0: expected 32 hexadecimal digits, or the first 8 of them"),
        ("Conflicts=a[", "Conflicts=: invalid pattern \"a[\": its `[` has no `]`"),
    ];
    for (options, message) in cases {
        assert_eq!(refusal("a.service", options), message, "{options}");
    }
}

#[test]
fn values_that_instances_complete_are_not_checked_in_a_template() {
    assert_eq!(parse("pin@.service", "MachineID=%i").machine_id, None);
    assert!(parse("pong@.service", "MachineOf=ping@%i.service\nMachineOf=%i").machine_of.len() == 1);
    assert_eq!(refusal("pin@.service", "MachineID=%i\nGlobal=true"), "MachineID cannot be used with Global");
    assert_eq!(parse("pin@3f2f3dd0.service", "MachineID=%i").machine_id, Some(Pin::Short(0x3f2f_3dd0)));
}

#[test]
fn a_short_pin_matches_every_machine_with_this_beginning() {
    let pin = Pin::parse("3f2f3dd0").unwrap();
    assert!(pin.machines().contains(&ID.parse().unwrap()));
    assert!(pin.machines().contains(&"3f2f3dd0ffffffffffffffffffffffff".parse().unwrap()));
    assert!(!pin.machines().contains(&"3f2f3dd1000000000000000000000000".parse().unwrap()));
    assert_eq!(pin.to_string(), "3f2f3dd0");
    assert_eq!(Pin::parse(ID).unwrap().to_string(), ID);
}

#[test]
fn a_value_that_an_instance_completes_is_no_mistake_of_its_template() {
    let file = UnitFile::parse("[X-Fleet]\nMachineMetadata=ip=%i\n").unwrap();
    let ignored = |name: &str| Requirements::of(&name.parse().unwrap(), &file).unwrap().1;
    assert_eq!(ignored("t@.service"), []);
    assert_eq!(ignored("t@1.service"), []);
    assert_eq!(ignored("t.service"), [IgnoredRequirement::Metadata("ip=".to_owned())]);
}
