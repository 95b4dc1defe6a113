use proptest::prelude::*;

use super::*;

fn name(text: &str) -> UnitName {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn refusal(text: &str) -> String {
    text.parse::<UnitName>().expect_err(text).to_string()
}

#[test]
fn valid_names_are_accepted() {
    let good = [
        "foo.service",
        "foo.socket",
        "foo.path",
        "foo.timer",
        "foo.device",
        "foo.mount",
        "foo.automount",
        "foo.target",
        "foo.slice",
        "foo.scope",
        "foo.swap",
        "foo.snapshot",
        "foo.busname",
        "foo.bar.service",
        "foo@.service",
        "foo@bar.service",
        "foo@bar@baz.service",
        "foo@1.timer",
        "a:b_c-d.service",
        "foo\\x2dbar.service",
        "Foo09.mount",
    ];
    for text in good {
        assert_eq!(name(text).as_str(), text);
    }
}

#[test]
fn invalid_names_are_errors_with_fleets_messages() {
    let cases = [
        ("", "unit name cannot be empty"),
        ("fooservice", "unit name must contain \".\""),
        ("foo.", "unit name cannot end in \".\""),
        ("foo.foo", "invalid unit type: \"foo\""),
        ("foo.Service", "invalid unit type: \"Service\""),
        ("foo.service ", "invalid unit type: \"service \""),
        ("foo@bar.mount", "invalid unit type for template: \"mount\""),
        ("foo@bar.slice", "invalid unit type for template: \"slice\""),
        (
            "a--b.slice",
            "invalid name of a slice: expected single dashes between its parts: \"a-b.slice\" is inside \"a.slice\"",
        ),
        (
            "a-.slice",
            "invalid name of a slice: expected single dashes between its parts: \"a-b.slice\" is inside \"a.slice\"",
        ),
        ("-.slice", "unit name cannot start in \"-\""),
        ("foo%.service", "invalid character '%' in unit name"),
        ("foo$asd.service", "invalid character '$' in unit name"),
        ("yes/no.service", "invalid character '/' in unit name"),
        ("this\nthat.service", "invalid character '\\n' in unit name"),
        ("héllo.service", "invalid character 'é' in unit name"),
        ("a b.service", "invalid character ' ' in unit name"),
        ("@foo.service", "unit name cannot start in \"@\""),
        ("../../etc/passwd.service", "invalid character '/' in unit name"),
        (".service", "unit name cannot start in \".\""),
        (".foo.service", "unit name cannot start in \".\""),
        ("--now.service", "unit name cannot start in \"-\""),
    ];
    for (text, message) in cases {
        assert_eq!(refusal(text), message, "{text:?}");
    }
}

#[test]
fn a_name_is_at_most_as_long_as_a_file_name() {
    let long = |length: usize| format!("{}.service", "a".repeat(length - ".service".len()));
    assert_eq!(name(&long(255)).as_str().len(), 255);
    assert_eq!(refusal(&long(256)), "unit name exceeds the 255 bytes that a file's name may have");
    assert_eq!(refusal(&long(257)), "unit name exceeds maximum length (256)");
}

#[test]
fn the_parts_of_names_are_those_of_fleet() {
    let cases = [
        ("ssh@2.service", "ssh@2", "ssh", Some("2"), Some("ssh@.service")),
        ("foo@bar@baz.service", "foo@bar@baz", "foo", Some("bar@baz"), Some("foo@.service")),
        ("foo@.service", "foo@", "foo", None, None),
        ("foo.service", "foo", "foo", None, None),
        ("a.b@c.d.socket", "a.b@c.d", "a.b", Some("c.d"), Some("a.b@.socket")),
    ];
    for (text, stem, prefix, instance, template) in cases {
        let unit = name(text);
        assert_eq!((unit.stem(), unit.prefix(), unit.instance()), (stem, prefix, instance), "{text}");
        assert_eq!(unit.template(), template.map(name), "{text}");
        assert_eq!(unit.is_template(), text == "foo@.service");
    }
    assert_eq!(name("a.b@c.d.socket").kind(), UnitType::Socket);
}

#[test]
fn arguments_become_names_as_in_fleetctl() {
    let cases = [
        ("myhost", "myhost.service"),
        ("examples/hello", "hello.service"),
        ("/a/b/hello.service", "hello.service"),
        ("hello.service/", "hello.service"),
        ("foo.target", "foo.target"),
        ("apps/shop-web.slice", "shop-web.slice"),
        ("foo.scope", "foo.scope.service"),
        ("foo.link", "foo.link.service"),
        ("foo.device", "foo.device"),
        ("x@1", "x@1.service"),
        ("../x", "x.service"),
    ];
    for (argument, text) in cases {
        assert_eq!(UnitName::from_argument(argument).unwrap(), name(text), "{argument}");
    }
    for (argument, meant) in [
        ("worker@7.servce", "worker@7.service"),
        ("dir/a.b.Serivce", "a.b.service"),
        ("a.scoket", "a.socket"),
        ("a.timr", "a.timer"),
        ("a.traget", "a.target"),
        ("a.slcie", "a.slice"),
    ] {
        let error = UnitName::from_argument(argument).unwrap_err().to_string();
        assert!(error.contains(&format!("did you mean {meant:?}?")), "{error}");
    }
    assert_eq!(
        UnitName::from_argument("a.servce").unwrap_err().to_string(),
        "unknown unit type \"servce\": did you mean \"a.service\"? A service of that name is \"a.servce.service\""
    );
    for name in ["app.v2", "example.com", "a.prod", "web.1", "a.data", "a.conf"] {
        assert_eq!(UnitName::from_argument(name).unwrap().as_str(), format!("{name}.service"));
    }
    assert_eq!(UnitName::from_argument(""), Err(BadUnitName::Empty));
    assert_eq!(UnitName::from_argument("//"), Err(BadUnitName::Empty));
    assert_eq!(UnitName::from_argument(".."), Err(BadUnitName::StartsInDot));
    assert_eq!(UnitName::from_argument("a b"), Err(BadUnitName::Character(' ')));
}

#[test]
fn an_invalid_name_cannot_be_deserialised() {
    assert!(serde_json::from_str::<UnitName>("\"../x.service\"").is_err());
    assert_eq!(serde_json::from_str::<UnitName>("\"x.service\"").unwrap(), name("x.service"));
    assert_eq!(serde_json::to_string(&name("x\\x2d.service")).unwrap(), r#""x\\x2d.service""#);
}

proptest! {
    #[test]
    fn every_name_is_one_plain_path_component(text in r"[a-z./@:\\_$ '\n-]{0,6}(\.(service|mount|foo))?") {
        if let Ok(unit) = text.parse::<UnitName>() {
            let path = std::path::Path::new(unit.as_str());
            let parts: Vec<_> = path.components().collect();
            prop_assert!(matches!(parts[..], [std::path::Component::Normal(_)]), "{:?}", parts);
            prop_assert!(!unit.as_str().starts_with(['.', '-']) && unit.as_str() != "." && unit.as_str() != "..");
            prop_assert!(unit.as_str().chars().all(|c| c.is_ascii_graphic() && !"/'\"$` *?".contains(c)));
            prop_assert_eq!(&UnitName::from_argument(unit.as_str()).unwrap(), &unit);
        }
    }
}

#[test]
fn a_quadlet_file_has_a_service() {
    for (file, service) in [
        ("web.container", "web.service"),
        ("web@1.container", "web@1.service"),
        ("web.kube", "web.service"),
        ("web.pod", "web-pod.service"),
        ("data.volume", "data-volume.service"),
        ("net.network", "net-network.service"),
        ("app.image", "app-image.service"),
        ("app.build", "app-build.service"),
        ("web.service", "web.service"),
        ("web.timer", "web.timer"),
    ] {
        assert_eq!(name(file).of_systemd(), service);
        assert!(name(file).with_same_service().contains(&name(file)), "{file}");
    }
    let same: Vec<String> = name("a-pod.service").with_same_service().iter().map(ToString::to_string).collect();
    assert_eq!(same, ["a-pod.container", "a-pod.kube", "a.pod", "a-pod.service"]);
    assert_eq!(UnitName::from_argument("examples/web.container"), Ok(name("web.container")));
}
