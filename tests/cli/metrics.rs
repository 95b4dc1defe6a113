//! The metrics that a sweep writes for node_exporter, and what Prometheus' own checker says about them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::process::Stdio;

use super::Desk;
use super::machine;
use super::run;

/// Returns what `promtool` says about a file of metrics or of rules, which is nothing if it is good.
pub(super) fn promtool(args: &[&str], stdin: &str) -> String {
    let file = if stdin.is_empty() { Stdio::null() } else { fs::File::open(stdin).unwrap().into() };
    let said = run(Command::new("promtool").args(args).stdin(file));
    if said.code == Some(0) { String::new() } else { format!("{said:#?}") }
}

#[tokio::test]
async fn a_sweep_writes_metrics_that_prometheus_reads() {
    let desk = Desk::new();
    let path = desk.path("muster.prom");
    let sweep = ["sweep", "--down-after", "1", "--textfile", path.to_str().unwrap()];
    let text = || fs::read_to_string(&path).unwrap_or_default();
    desk.fails(&sweep, 2, &["no machine has joined"]);
    assert!(text().contains("\nmuster_sweep_exit_code 2.0\n") && !text().contains("muster_machines"), "{}", text());
    machine(&desk, 1).await;
    assert_eq!(desk.muster(&sweep).code, Some(3));
    for line in [
        "muster_sweep_exit_code 3.0",
        "muster_machines{health=\"sshd-down\"} 1.0",
        "muster_trouble{kind=\"machine_unavailable\",machine=\"core-01\"} 1.0",
        "muster_troubles 1.0",
    ] {
        assert!(text().contains(&format!("\n{line}\n")), "{line}: {}", text());
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    let left = fs::read_dir(desk.path("")).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert_eq!(left.filter(|name| name.contains(".prom")).collect::<Vec<_>>(), ["muster.prom"]);
    assert_eq!(promtool(&["check", "metrics"], path.to_str().unwrap()), "");
}

#[test]
fn a_place_where_no_metrics_can_be_is_refused_before_the_sweep() {
    let desk = Desk::new();
    desk.fails(&["sweep", "--textfile", "muster.txt"], 2, &["its name must end in .prom"]);
    desk.fails(&["sweep", "--textfile", "absent/muster.prom"], 2, &["--textfile: cannot write absent/muster.prom"]);
}

#[test]
fn the_alert_rules_are_good() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/muster.rules.yml");
    assert_eq!(promtool(&["check", "rules", rules], ""), "");
}

/// Returns the names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("muster_"));
    names.map(|name| name.trim_end_matches("_bucket").trim_end_matches("_count").to_owned()).collect()
}

#[test]
fn the_rules_and_the_dashboard_use_metrics_that_there_are() {
    let read = |path: &str| fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let documented = names(&read("docs/metrics.md"));
    let dashboard: serde_json::Value = serde_json::from_str(&read("packaging/muster.dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let asked: String = targets.map(|target| format!("{} ", target["expr"].as_str().unwrap())).collect();
    for used in [names(&asked), names(&read("packaging/muster.rules.yml"))] {
        assert!(used.len() > 5 && used.is_subset(&documented), "{:?}", used.difference(&documented));
    }
}
