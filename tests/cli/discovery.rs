//! `muster discovery`: tokens.

use super::Desk;
use super::unit;

#[test]
fn a_token_is_deleted_once_its_cluster_is_empty() {
    let desk = Desk::new();
    let token = desk.muster(&["discovery", "new", "--size", "1"]).ok();
    let token = token.trim();
    desk.write("a.service", unit("a"));
    desk.muster(&["--token", token, "submit", "a.service"]).ok();
    let hint = "Remove the units with `muster destroy` and the machines with `muster leave` first.";
    let used = format!("the cluster {token} is in use (machines: 0, units: 1)");
    desk.fails(&["discovery", "delete", token], 1, &[&used, hint]);
    desk.muster(&["--token", token, "destroy", "a"]).ok();
    assert_eq!(desk.muster(&["discovery", "delete", token]).ok(), format!("deleted {token}\n"));
    let unknown = format!("there is no token {token} in this store");
    desk.fails(&["discovery", "show", token], 1, &[&unknown]);
    desk.fails(&["discovery", "delete", token], 1, &[&unknown]);
    desk.fails(&["--token", token, "list-units"], 2, &[token]);
}
