//! The modules for permissions and limits, with tools that only log what they are told.

use super::system::Host;

#[tokio::test]
async fn an_entry_of_an_access_control_list_is_set_and_removed() {
    let setfacl = r"for a; do case $a in --test) cat DIR/test; exit ;; esac; done";
    let host = Host::new(&[("setfacl", setfacl), ("getfacl", "printf 'user::rw-\n\n'")]);
    host.stage.write("f", "");
    let readers = ["getfacl", "setfacl --test"];
    host.stage.write("test", "f: user::rw-,user:web:r--,*\n");
    for (task, expected) in [
        ("{path: DIR/f, entity: web, etype: user, permissions: r, state: present}", vec!["setfacl -m user:web:r f"]),
        (
            "{path: DIR/f, entry: 'default:g:adm:rwX', state: present, recursive: yes, recalculate_mask: no_mask}",
            vec!["setfacl -d -m group:adm:rwX --recursive --no-mask f"],
        ),
        (
            "{path: DIR/f, entity: web, etype: user, state: absent, follow: no}",
            vec!["setfacl -x user:web --physical f"],
        ),
        ("{path: DIR/f}", vec![]),
        (
            "{path: DIR/f, entity: web, etype: user, permissions: r, state: absent}",
            vec!["'permissions' MUST NOT be set when 'state=absent'."],
        ),
        ("{path: DIR/none, entry: 'u:web:r', state: present}", vec!["Path not found or not accessible."]),
    ] {
        assert_eq!(host.acts(&format!("ansible.posix.acl: {task}"), &readers).await, expected, "{task}");
    }
    host.stage.write("test", "f: *,*\n");
    let (result, _) = host.run("acl: {path: DIR/f, entry: 'u:web:r', state: present}").await;
    assert_eq!((&result["changed"], &result["msg"]), (&false.into(), &"user:web:r is present".into()));
    assert_eq!(result["acl"], serde_json::json!(["user::rw-"]));
}

#[tokio::test]
async fn a_capability_is_given_and_taken_once() {
    let host = Host::new(&[("getcap", "echo \"$2$(cat DIR/caps)\""), ("setcap", "")]);
    for (caps, task, expected) in [
        ("", "{path: /p, capability: cap_net_raw+ep}", vec!["setcap cap_net_raw+ep /p"]),
        (" cap_chown,cap_net_raw=ep", "{path: /p, capability: CAP_NET_RAW=ep}", vec![]),
        (" cap_chown,cap_net_raw=ep", "{key: /p, cap: cap_net_raw+i}", vec!["setcap cap_chown=ep cap_net_raw+i /p"]),
        (" = cap_chown,cap_net_raw+ep", "{path: /p, cap: cap_chown, state: absent}", vec!["setcap cap_net_raw+ep /p"]),
        ("", "{path: /p, cap: cap_chown, state: absent}", vec![]),
        ("", "{path: /p, cap: cap_chown}", vec!["Couldn't find operator (one of: ['=', '-', '+'])"]),
    ] {
        host.stage.write("caps", caps);
        assert_eq!(host.acts(&format!("capabilities: {task}"), &["getcap"]).await, expected, "{task}");
    }
}

#[tokio::test]
async fn ports_and_domains_of_selinux_are_changed_once() {
    let list = "http_port_t tcp 80, 81, 443\nssh_port_t tcp 22\n";
    let semanage = "case \"$*\" in *'-l '*) cat DIR/list ;; esac";
    let host = Host::new(&[("semanage", semanage), ("selinuxenabled", "")]);
    host.stage.write("list", list);
    let readers = ["semanage port -l", "semanage permissive -l", "selinuxenabled"];
    for (task, expected) in [
        ("{ports: 80, proto: tcp, setype: http_port_t}", vec![]),
        (
            "{ports: [8080, 22], proto: tcp, setype: http_port_t}",
            vec!["semanage port -a -t http_port_t -p tcp 8080", "semanage port -m -t http_port_t -p tcp 22"],
        ),
        (
            "{ports: '80,9', proto: tcp, setype: http_port_t, state: absent, reload: no}",
            vec!["semanage port -N -d -p tcp 80"],
        ),
        ("{ports: x, proto: tcp, setype: http_port_t}", vec!["`x` is neither a port nor a range of ports"]),
    ] {
        assert_eq!(host.acts(&format!("seport: {task}"), &readers).await, expected, "{task}");
    }
    host.stage.write("list", "haproxy_t\n");
    for (task, expected) in [
        ("{name: haproxy_t, permissive: true}", vec![]),
        ("{domain: httpd_t, permissive: true}", vec!["semanage permissive -a httpd_t"]),
        ("{domain: haproxy_t, permissive: false, no_reload: yes}", vec!["semanage permissive -N -d haproxy_t"]),
    ] {
        assert_eq!(host.acts(&format!("selinux_permissive: {task}"), &readers).await, expected, "{task}");
    }
}
