//! `history` and `revert`, without hosts.

use super::Desk;

fn unit(number: usize) -> String {
    format!("[Service]\nExecStart=/bin/sleep {number}\n")
}

fn submit(desk: &Desk, text: &str) {
    desk.write("web.service", text);
    desk.muster(&["submit", "--replace", "web.service"]).ok();
}

/// Returns the hashes that `history` lists, in full.
fn hashes(desk: &Desk) -> Vec<String> {
    let listed = desk.muster(&["history", "--no-legend", "-l", "--fields", "hash", "web"]).ok();
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn a_unit_goes_back_to_an_earlier_file_and_forth_again() {
    let desk = Desk::new();
    for number in 0..3 {
        submit(&desk, &unit(number));
    }
    let known = hashes(&desk);
    assert_eq!(known.len(), 3);
    let shown = desk.muster(&["history", "web", "--show", &known[2][..7]]).ok();
    assert_eq!(shown, unit(0));
    let present = || desk.muster(&["cat", "web"]).ok();
    for number in [1, 2] {
        desk.muster(&["revert", "web"]).ok();
        assert_eq!(present(), unit(number));
    }
    desk.muster(&["revert", "--to", &known[2], "web"]).ok();
    assert_eq!(present(), unit(0));
    desk.fails(
        &["revert", "--to", "0000", "web"],
        1,
        &["Unit web.service: no earlier file has a hash that begins with \"0000\""],
    );
    desk.fails(&["revert", "other"], 1, &["Unit other.service does not exist"]);
}

#[test]
fn the_last_five_files_of_a_unit_are_kept_until_it_is_destroyed() {
    let desk = Desk::new();
    for number in 0..8 {
        submit(&desk, &unit(number));
    }
    assert_eq!(hashes(&desk).len(), 6, "the present one and five before it");
    desk.muster(&["destroy", "web"]).ok();
    desk.fails(&["history", "web"], 1, &["Unit web.service does not exist"]);
    submit(&desk, &unit(0));
    assert_eq!(hashes(&desk).len(), 1);
    desk.fails(
        &["revert", "web"],
        1,
        &["Unit web.service: no earlier file is known", "The last five of a unit are kept"],
    );
}

#[test]
fn the_files_that_go_with_a_unit_go_back_with_it() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("shop")).unwrap();
    desk.write("shop/web.service", "[Service]\nExecStart=/bin/cat ./conf\n");
    for content in ["first\n", "second\n"] {
        desk.write("shop/conf", content);
        desk.muster(&["apply", "--no-block", "shop"]).ok();
    }
    desk.muster(&["revert", "--no-block", "web"]).ok();
    let different = desk.muster(&["diff", "shop"]);
    assert!(different.code == Some(4) && different.out.contains("-first\n+second\n"), "{different:#?}");
    desk.write("shop/conf", "first\n");
    assert_eq!(desk.muster(&["diff", "shop"]).ok(), "");
}
