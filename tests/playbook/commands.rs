//! The words and options of `command`, and where files are looked up.

use serde_json::Value;

use super::Stage;
use super::ends;

/// Runs a playbook for `h1` whose one task is this, and returns its result.
async fn result(stage: &Stage, task: &str) -> Value {
    let (document, _) = stage.document(&format!("- hosts: h1\n  tasks:\n    - {task}\n")).await;
    document["plays"][0]["tasks"][0]["hosts"]["h1"].clone()
}

#[tokio::test]
async fn a_command_obeys_chdir_creates_and_removes() {
    let stage = Stage::new();
    for task in [
        "command: {cmd: touch made, chdir: DIR, creates: DIR/made}",
        "command: touch made chdir=DIR creates=made",
        "command: touch made\n      args: {chdir: DIR, creates: 'm*e'}",
        "command: chdir=DIR touch \"made\" creates='[l-n]ade'",
    ] {
        let book = format!("- hosts: h1\n  tasks:\n    - {task}\n");
        assert_eq!(ends(&stage.play(&book).await.0), ["changed: [h1]"], "{task}");
        assert_eq!(ends(&stage.play(&book).await.0), ["ok: [h1]"], "{task}");
        std::fs::remove_file(stage.path("made")).unwrap();
    }
    let there = result(&stage, "command: 'false creates=DIR/host?'").await;
    let pattern = stage.path("host?").display().to_string();
    assert_eq!(there["stdout"], format!("skipped, since {pattern} exists"));
    assert_eq!((&there["rc"], &there["changed"]), (&0.into(), &false.into()));
    let gone = result(&stage, "command: 'false removes=DIR/ghost*'").await;
    assert!(gone["msg"].as_str().unwrap().ends_with("/ghost*' does not exist"), "{gone}");
    assert_eq!(result(&stage, "command: rm hosts removes=host* chdir=DIR").await["changed"], true);
    assert!(!stage.path("hosts").exists() || stage.path("hosts").metadata().is_ok());
    let nowhere = result(&stage, "command: ls creates=x chdir=DIR/nowhere").await;
    assert_eq!(nowhere["msg"], "Unable to change directory before execution.");
    // A dangling link exists, and a path that exists literally is not taken as a pattern.
    std::os::unix::fs::symlink("nowhere", stage.path("[x]")).unwrap();
    assert_eq!(result(&stage, "command: 'false creates=DIR/[x]'").await["rc"], 0);
}

#[tokio::test]
async fn only_words_of_the_playbook_are_options() {
    let stage = Stage::new();
    let book = "
- hosts: h1
  vars: {guard: creates=/etc}
  tasks:
    - command: echo creates=/etc
      args: {stdin: a, stdin_add_newline: false}
    - command: echo {{ guard }} chdir={{ '/' }}
    - command: echo \"creates=/etc\" of=x
    - command: {cmd: echo creates=/etc}
";
    let (document, code) = stage.document(book).await;
    let words = |task: usize| document["plays"][0]["tasks"][task]["hosts"]["h1"]["stdout"].clone();
    assert_eq!(code, 0, "{document:#}");
    assert_eq!(words(0), "skipped, since /etc exists");
    assert_eq!([words(1), words(2), words(3)], ["creates=/etc", "creates=/etc of=x", "creates=/etc"]);
}

#[tokio::test]
async fn words_of_a_command_are_expanded_on_the_host() {
    let stage = Stage::new();
    let stdout = |task: &'static str| {
        let stage = &stage;
        async move { result(stage, task).await["stdout"].clone() }
    };
    assert_eq!(
        stdout("command: echo $HOST '${HOST}' x$NOPE $(id) '*' a~ ';' '|'").await,
        "h1 h1 x$NOPE $(id) * a~ ; |"
    );
    assert_eq!(
        stdout("command: {argv: [echo, '~no-such-user', '$HOST  x', true, 5]}").await,
        "~no-such-user h1  x True 5"
    );
    assert_eq!(stdout("command: {argv: [cat], stdin: \"it's $HOST\"}").await, "it's $HOST");
    let home = stdout("command: sh -c 'cd && pwd'").await;
    assert_eq!(stdout("command: pwd chdir=~").await, home);
    assert_eq!(stdout("command: echo ~").await, home);
    // A word like an assignment or a keyword of the shell is the name of a program.
    assert_eq!(result(&stage, "command: A=b").await["rc"], 2);
    assert_eq!(result(&stage, "command: if").await["rc"], 2);
}

#[tokio::test]
async fn a_check_registers_the_predicted_result() {
    let mut stage = Stage::new();
    stage.check = true;
    let book = "
- hosts: h1
  tasks:
    - command: probe --all
      register: r
    - command: echo {{ r.stdout }} {{ r.stdout_lines | length }}
      when: r.rc == 0 and r.stderr == '' and r is skipped and not r.failed
      register: again
    - copy: {content: 'x{{ again.stdout }}', dest: DIR/out}
      check_mode: false
    - command: touch DIR/made
      check_mode: false
    - command: touch DIR/would creates=DIR/would
    - command: touch DIR/made creates=DIR/made
    - wait_for: {port: 1}
      register: waited
    - command: 'true'
      when: waited is skipped and not waited.failed
    - command: 'false'
      failed_when: true
";
    let (printed, code) = stage.play(book).await;
    let lines = ["skipping", "skipping", "changed", "changed", "changed", "ok", "skipping", "skipping", "skipping"];
    assert_eq!((ends(&printed), code), (lines.map(|line| format!("{line}: [h1]")).to_vec(), 0), "{printed}");
    assert_eq!(Stage::names(stage.folder.path()), ["hosts", "made", "out"]);
    stage.check = false;
    let book = "- hosts: h1\n  tasks:\n    - command: touch DIR/would\n      check_mode: true\n";
    assert_eq!(ends(&stage.play(book).await.0), ["skipping: [h1]"]);
}

#[tokio::test]
async fn a_file_is_looked_up_in_files_or_templates_first() {
    let stage = Stage::new();
    for folder in ["files", "templates"] {
        std::fs::create_dir(stage.path(folder)).unwrap();
        stage.write(&format!("{folder}/x"), folder);
    }
    stage.write("x", "beside");
    stage.write("y", "beside");
    let book = "- hosts: h1\n  tasks:\n    - MODULE: {src: FILE, dest: DIR/out}\n";
    for (module, file, expected) in [
        ("copy", "x", "files"),
        ("template", "x", "templates"),
        ("copy", "y", "beside"),
        ("template", "y", "beside"),
        ("copy", "files/x", "files"),
        ("copy", "DIR/x", "beside"),
    ] {
        stage.play(&book.replace("MODULE", module).replace("FILE", file)).await;
        assert_eq!(stage.read("out"), expected, "{module} {file}");
    }
}

#[tokio::test]
async fn a_variable_can_omit_an_argument() {
    let stage = Stage::new();
    let book = "
- hosts: h1
  vars: {who: '{{ group | default(omit) }}'}
  tasks:
    - copy: {content: '{{ ansible_managed }}', dest: DIR/out, mode: '{{ mode | default(omit) }}', group: '{{ who }}'}
    - command: {cmd: pwd, chdir: '{{ folder | default(omit) }}', creates: '{{ omit }}'}
";
    assert_eq!(ends(&stage.play(book).await.0), ["changed: [h1]", "changed: [h1]"]);
    assert_eq!(stage.read("out"), "Managed by muster");
}

#[tokio::test]
async fn a_task_in_the_background_runs_beside_the_others_until_its_time_is_over() {
    let stage = Stage::new();
    let book = "
- hosts: h1
  tasks:
    - shell: while ! [ -e DIR/go ]; do sleep 0.02; done; echo went; touch DIR/gone
      async: 60
      poll: 0
      register: job
    - async_status: {jid: '{{ job.ansible_job_id }}'}
      register: early
      failed_when: early.finished
    - copy: {content: '', dest: DIR/go}
    - async_status: {jid: '{{ job.ansible_job_id }}'}
      register: late
      until: late.finished
      retries: 500
      delay: 0.02
    - debug: {msg: '{{ late.stdout }} {{ late.rc }} {{ late.started }}'}
    - async_status: {jid: '{{ job.ansible_job_id }}', mode: cleanup}
    - async_status: {jid: '{{ job.ansible_job_id }}'}
      ignore_errors: true
    - command: sleep 30
      async: 1
      poll: 1
      ignore_errors: true
";
    let (printed, code) = stage.play(book).await;
    let printed: Vec<&str> = printed.lines().filter(|line| !line.starts_with("FAILED - RETRYING")).collect();
    let printed = printed.join("\n");
    assert_eq!(code, 0, "{printed}");
    for part in [
        "\"msg\": \"went 0 True\"",
        "could not find job",
        "started=True finished=False\nASYNC FAILED on h1: jid=j",
        "within the requested time - 1s",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}

#[tokio::test]
async fn a_command_in_the_background_outlives_the_run_and_other_tasks_are_waited_for() {
    let stage = Stage::new();
    let book = "
- hosts: h1
  tasks:
    - shell: while ! [ -e DIR/go ]; do sleep 0.02; done; touch DIR/gone
      async: 60
      poll: 0
    - lineinfile: {path: DIR/copied, line: whole, create: true}
      async: 60
      poll: 0
";
    let (printed, code) = stage.play(book).await;
    assert_eq!((ends(&printed), code), (vec!["changed: [h1]".to_owned(); 2], 0));
    assert_eq!((stage.read("copied"), stage.path("gone").exists()), ("whole\n".to_owned(), false));
    stage.write("go", "");
    crate::store::soon(async {
        while !stage.path("gone").exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_wait_for_a_host_ends_when_it_answers_or_at_the_timeout() {
    let mut stage = Stage::new();
    stage.shells.unreachable.insert("h2".to_owned());
    let book = "- hosts: h1,h2\n  tasks:\n    - wait_for_connection: {timeout: 1, sleep: 1}\n";
    let (printed, code) = stage.play(book).await;
    assert_eq!(code, 2, "{printed}");
    assert!(printed.contains("ok: [h1]\nfatal: [h2]: FAILED! => {"), "{printed}");
    assert!(printed.contains("timed out waiting for ping module test: h2: connect: connection refused"), "{printed}");
}

#[tokio::test]
async fn a_host_without_room_for_temporary_files_fails_with_one_line_and_others_go_on() {
    let stage = Stage::new();
    let folder = "{{ 'DIR/nowhere' if inventory_hostname == 'h1' else '/tmp' }}";
    for task in ["getent: {database: passwd, key: root}", "get_url: {url: 'file:///etc/hostname', dest: DIR/got}"] {
        let book = format!("- hosts: h1,h2\n  environment: {{\"TMP\\x44IR\": \"{folder}\"}}\n  tasks:\n    - {task}\n");
        let (printed, code) = stage.play(&book).await;
        let expected = format!(
            "\"msg\": \"cannot write to {} on the host: No such file or directory\"",
            stage.path("nowhere").display()
        );
        assert!(code == 2 && printed.contains(&expected) && !printed.contains("fatal: [h2]"), "{task}: {printed}");
    }
}
