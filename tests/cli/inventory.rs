//! `inventory`: lists, trees, variables and findings. Trees are those of `ansible-inventory` 2.19.

use super::Desk;

fn desk() -> Desk {
    let desk = Desk::empty();
    desk.write(
        "inv/hosts",
        "lone x=1\n[web]\nw1 ansible_host=10.0.0.1 z=\"a b\" l=\"[1, {'k': True}]\"\nw2\n[db]\nd1\n[db:vars]\nport=5432\n\
         [prod:children]\nweb\ndb\n[prod:vars]\nenv=prod\n[empty]\n",
    );
    desk.write("inv/group_vars/all.yml", "ntp: [a, b]\n");
    desk.write("inv/group_vars/web.yml", "q: \"{{ env }}\"\n");
    desk
}

#[test]
fn trees_and_variables_are_those_of_ansible() {
    let desk = desk();
    let inventory = |args: &[&str]| desk.muster(&[&["-i", "inv/hosts", "inventory"], args].concat());
    assert_eq!(
        inventory(&["graph"]).ok(),
        "@all:\n  |--@ungrouped:\n  |  |--lone\n  |--@prod:\n  |  |--@web:\n  |  |  |--w1\n  |  |  |--w2\n  |  |--@db:\n  \
         |  |  |--d1\n  |--@empty:\n"
    );
    assert_eq!(
        inventory(&["graph", "web", "--vars"]).ok(),
        "@web:\n  |--w1\n  |  |--{ansible_host = 10.0.0.1}\n  |  |--{env = prod}\n  |  |--{l = [1, {'k': True}]}\n  |  \
         |--{ntp = ['a', 'b']}\n  |  |--{q = {{ env }}}\n  |  |--{z = a b}\n  |--w2\n  |  |--{env = prod}\n  |  \
         |--{ntp = ['a', 'b']}\n  |  |--{q = {{ env }}}\n  |--{q = {{ env }}}\n"
    );
    assert_eq!(inventory(&["graph", "db", "-l", "web"]).ok(), "@db:\n");
    let all = inventory(&["graph", "--vars"]).ok();
    assert!(all.ends_with("  |  |--{env = prod}\n  |--@empty:\n  |--{ntp = ['a', 'b']}\n"), "{all}");
    assert_eq!(
        inventory(&["host", "w2"]).ok(),
        "{\n  \"env\": \"prod\",\n  \"ntp\": [\n    \"a\",\n    \"b\"\n  ],\n  \"q\": \"{{ env }}\"\n}\n"
    );
    assert_eq!(
        inventory(&["vars", "all", "env", "ansible_host"]).ok().replace('\t', "→"),
        "VARIABLE→VALUE→→HOSTS\nansible_host→-→→lone,w2,d1\nansible_host→10.0.0.1→w1\nenv→→-→→lone\nenv→→prod→→w1,w2,d1\n"
    );
    for args in [&["host", "w3"][..], &["graph", "wbe"]] {
        let said = inventory(args);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{said:#?}");
        assert!(said.err.contains("Did you mean"), "{said:#?}");
    }
}

#[test]
fn lint_finds_what_is_probably_wrong() {
    let desk = Desk::empty();
    desk.write("good", "[web]\nh1 ansible_host=10.0.0.1\n");
    assert_eq!(desk.muster(&["-i", "good", "inventory", "lint"]).ok(), "");
    desk.write(
        "bad",
        "[web]\nh1 ansible_host=10.0.0.2 ansible_ssh_executable=x\nh2 ansible_host=\"{{ nowhere }}\"\nh3 ansible_port=high\n[none]\n",
    );
    desk.write("group_vars/wbe.yml", "a: 1\n");
    desk.write("group_vars/web.yml", "b: \"{{ x | nofilter }}\"\n");
    let said = desk.muster(&["-i", "good", "-i", "bad", "inventory", "lint"]);
    assert_eq!(
        said.out,
        "group none: it has no host\n\
         group wbe: it has variables, and no source has the group\n\
         group web: variable `b`: muster has no filter `nofilter`\n\
         host h1: `ansible_ssh_executable` is ignored: muster does not know it\n\
         host h2: variable `ansible_host`: the template `{{ nowhere }}` cannot be filled in: `nowhere` is undefined\n\
         host h3: variable `ansible_port`: `high` is not a port from 1 to 65535\n\
         host h1: its address is 10.0.0.1 in good and 10.0.0.2 in bad; the last one counts\n"
    );
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""));
}
