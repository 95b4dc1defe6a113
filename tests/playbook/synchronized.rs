//! `synchronize`, with an rsync that only logs what it is told.

use serde_json::json;

use super::system::Host;

const RSYNC: &str = "[ ! -s DIR/failure ] || { cat DIR/failure >&2; exit 23; }\ncat DIR/said";

#[tokio::test]
async fn a_tree_is_copied_with_the_options_of_the_task() {
    let mut host = Host::new(&[("rsync", RSYNC)]);
    host.stage.write("failure", "");
    host.stage.write("said", "<<CHANGED>>>f+++++++++ a b\n");
    std::fs::create_dir(host.stage.path("tree")).unwrap();
    let ssh = "--rsh=ssh -S none -o BatchMode=yes";
    let format = "--out-format=<<CHANGED>>%i %n%L";
    for (task, expected) in [
        (
            "src: tree/, dest: /srv/x y",
            format!("{ssh} --protect-args --delay-updates -F --compress --archive {format} -- tree/ h1:/srv/x y"),
        ),
        (
            "mode: pull, src: '~/x', dest: /tmp/y, archive: no, recursive: yes, compress: no, delay_updates: no, delete: yes, set_remote_user: no",
            format!("{ssh} --protect-args --delete-after --recursive {format} -- h1:x /tmp/y"),
        ),
        (
            "src: /tree, dest: /x, owner: no, dest_port: 2222, private_key: '/k e', rsync_opts: ['--exclude=.git', '--chmod=D755'], rsync_timeout: 9",
            format!(
                "{ssh} -i '/k e' -p 2222 --protect-args --delay-updates -F --compress --archive --no-owner --timeout=9 --exclude=.git --chmod=D755 {format} -- /tree h1:/x"
            ),
        ),
        (
            "src: /tree, dest: /x}\n      become: true\n      become_user: web\n      vars: {a: 1",
            format!(
                "{ssh} --protect-args --rsync-path=sudo -n -u web rsync --delay-updates -F --compress --archive {format} -- /tree h1:/x"
            ),
        ),
        (
            "src: /tree, dest: '~/x'}\n      delegate_to: h1\n      vars: {a: 1",
            format!("--delay-updates -F --compress --archive {format} -- /tree {}/x", std::env::var("HOME").unwrap()),
        ),
    ] {
        let log = host.acts(&format!("ansible.posix.synchronize: {{{task}}}"), &[]).await;
        assert_eq!(log, [format!("rsync {expected}")], "{task}");
    }
    for (task, expected) in [
        (
            "src: /a, dest: /b}\n      delegate_to: localhost\n      vars: {a: 1",
            "synchronize cannot be delegated to another host: ",
        ),
        (
            "src: /a, dest: /b}\n      delegate_to: h2\n      vars: {a: 1",
            "synchronize cannot be delegated to another host: ",
        ),
        ("src: /a, dest: '~web/b'", "muster cannot expand ~web/b"),
        ("src: /a, dest: /b, private_key: \"it's\"", "synchronize cannot give ssh the word it's: it has a quote"),
        ("src: /a, dest: /b, rsync_opts: [x]", "`rsync_opts` cannot have `x`: expected options, which begin with `-`"),
        ("src: nowhere, dest: /b", "`src`: there is no file nowhere in "),
    ] {
        let failed = host.acts(&format!("synchronize: {{{task}}}"), &[]).await;
        assert!(failed[0].starts_with(expected), "{task}: {failed:?}");
    }
    let (result, _) = host.run("synchronize: {src: /a, dest: /b}").await;
    assert_eq!(
        (&result["msg"], &result["rc"], &result["stdout_lines"]),
        (&">f+++++++++ a b".into(), &0.into(), &json!([">f+++++++++ a b"]))
    );
    host.stage.check = true;
    let (_, log) = host.run("synchronize: {src: /a, dest: /b}").await;
    assert!(log[0].starts_with("rsync --dry-run "), "{log:?}");
    host.stage.write("said", "");
    let (result, _) = host.run("synchronize: {src: /a, dest: /b}").await;
    assert_eq!(result["changed"], false);
    host.stage.write("failure", "rsync: no such directory");
    let (result, _) = host.run("synchronize: {src: /a, dest: /b}").await;
    assert_eq!((&result["msg"], &result["rc"]), (&"rsync: no such directory".into(), &23.into()));
}
