//! `rabbitmq_vhost`: a virtual host of RabbitMQ.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Makes or removes a virtual host.
pub(super) static RABBITMQ_VHOST: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "rabbitmq_vhost",
        &["community.rabbitmq", "community.general", "ansible.builtin"],
        "Makes or removes a virtual host of RabbitMQ, with rabbitmqctl.",
        &[
            Parameter::new("name", Kind::Text, "The virtual host.").or(&["vhost"]),
            Parameter::new("tracing", Kind::Flag, "Whether messages are traced (default: false).").or(&["trace"]),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            Parameter::new("node", Kind::Text, "The node of Erlang (default: rabbit)."),
        ],
    )
    .needs(&[&["name"]]),
    text: r#"
needs rabbitmqctl
must rabbitmqctl -q -n "${node:-rabbit}" list_vhosts name tracing
tab=$(printf '\t')
found=$(printf '%s\n' "$out" | awk -F "$tab" -v name="$name" 'NF == 2 && $1 == name { print $2 }')
act() { change rabbitmqctl -q -n "${node:-rabbit}" "$@"; }
if [ "$state" = absent ]; then
  [ -z "$found" ] || act delete_vhost "$name"
  finish
fi
[ -n "$found" ] || act add_vhost "$name"
case $tracing:$found in
  yes:true) ;;
  yes:*) act trace_on -p "$name" ;;
  *:true) act trace_off -p "$name" ;;
esac
finish
"#,
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    let node = arguments.text("node")?.unwrap_or_default();
    if name.starts_with('-') || node.starts_with('-') || name.contains(['\n', '\t', '\\']) {
        return Err(format!("`{name}` cannot be a virtual host of RabbitMQ"));
    }
    Ok(run.set("state", &state).result("name", name).result("state", state))
}
