//! The output of hosts is hostile: it is never a template, wherever it is used next.

use serde_json::json;

use super::Stage;

#[tokio::test]
async fn the_output_of_a_host_is_never_filled_in() {
    let mut stage = Stage::new();
    stage.write("evil", "{{ secret }}\na {{ secret }} b\n{% if true %}s3cret{% endif %} {#\n");
    stage.write(
        "t.j2",
        "{{ r.stdout }}\n{% for line in r.stdout_lines %}\n{{ line }}\n{% endfor %}\n{{ indirect }}{{ nested.a[0] }}\n",
    );
    stage.extra.insert("secret".to_owned(), json!("s3cret"));
    let book = "
- hosts: h1
  vars:
    indirect: '{{ r.stdout }}'
    nested: {a: ['{{ indirect }}']}
  tasks:
    - command: cat DIR/evil
      register: r
    - command: {argv: [printf, '%s', '{{ r.stdout }}{{ nested }}']}
      register: direct
    - name: '{{ r.stdout_lines[0] }}'
      command: {argv: [printf, '%s', '{{ item }}']}
      loop: '{{ r.stdout_lines }}'
      register: looped
    - command: {argv: [printf, '%s', '{{ item.item }}{{ item.stdout }}']}
      loop: '{{ looped.results }}'
      register: again
      changed_when: \"'s3cret b' in again.stdout\"
      failed_when: again.stdout == 's3crets3cret'
    - command: {argv: [printf, '%s', '{{ again.results[0].item.item }}{{ v }}']}
      vars: {v: '{{ again.results[1].stdout }}'}
    - template: {src: t.j2, dest: DIR/made}
    - copy: {content: '{{ looped }}', dest: DIR/copied}
    - command: 'true'
      when: r.rc == 0 and \"s3cret\" not in r.stdout_lines[1]
";
    let (document, code) = stage.document(book).await;
    let text = format!("{document:#}{}{}", stage.read("made"), stage.read("copied"))
        .replace("{% if true %}s3cret{% endif %}", "");
    assert_eq!((code, text.contains("s3cret")), (0, false), "{text}");
    let results = |task: usize| &document["plays"][0]["tasks"][task]["hosts"]["h1"]["results"];
    assert_eq!(results(2)[0]["stdout"], "{{ secret }}");
    assert_eq!(results(3)[1]["stdout"], "a {{ secret }} ba {{ secret }} b");
    assert_eq!(document["plays"][0]["tasks"][7]["hosts"]["h1"]["changed"], true);
    assert!(stage.read("made").starts_with("{{ secret }}\na {{ secret }} b\n"), "{}", stage.read("made"));
}
