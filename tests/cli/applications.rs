//! `muster apply`, `diff` and `list-applications` without hosts: what is stored, what is refused, and what is told.

use super::Desk;
use super::unit;

/// Writes a unit file of the application `shop`.
fn shop(desk: &Desk, name: &str, text: impl AsRef<[u8]>) {
    desk.write(&format!("shop/{name}"), text);
}

#[test]
fn a_folder_is_stored_as_an_application_and_only_differences_are_shown() {
    let desk = Desk::new();
    shop(&desk, "web.service", "[Service]\nExecStart=/bin/web ./page\n");
    shop(&desk, "page", "one\n");
    let plan = desk.muster(&["apply", "--plan", "shop", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(4), "{plan:?}");
    assert_eq!(desk.muster(&["list-unit-files", "--no-legend"]).ok(), "", "nothing was stored");
    let done = desk.muster(&["apply", "--no-block", "shop"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(done.out.ends_with("Application shop: 1 new\n"), "{done:?}");
    assert_eq!(desk.muster(&["diff", "shop"]).ok(), "");
    let again = desk.muster(&["apply", "--no-block", "shop"]).ok();
    assert!(again.ends_with("Application shop: 1 unchanged\n"), "{again}");

    shop(&desk, "page", "two\n");
    let diff = desk.muster(&["diff", "shop"]);
    assert_eq!(diff.code, Some(4));
    let of_page = "--- web.service: page (cluster)\n+++ web.service: page (folder)\n@@ -1 +1 @@\n-one\n+two\n";
    assert!(diff.out.ends_with(of_page), "{}", diff.out);
    desk.muster(&["apply", "--no-block", "shop"]).ok();
    let list = desk.muster(&["list-applications", "--no-legend"]).ok();
    assert_eq!(list.split_whitespace().collect::<Vec<_>>(), ["shop", "1", "0/1", "-", "web.service"]);
}

#[test]
fn a_unit_that_leaves_the_folder_is_destroyed_only_on_demand() {
    let desk = Desk::new();
    for name in ["a.service", "b.service", "c@.service"] {
        shop(&desk, name, unit(name));
    }
    desk.muster(&["apply", "--no-block", "shop"]).ok();
    std::fs::remove_file(desk.path("shop/b.service")).unwrap();
    let kept = desk.muster(&["apply", "--no-block", "shop"]).ok();
    assert!(kept.ends_with("2 unchanged, 1 not in the folder (--prune destroys b.service)\n"), "{kept}");
    let names = || desk.muster(&["list-unit-files", "--no-legend", "--fields=unit"]).ok();
    assert_eq!(names(), "a.service\nb.service\nc@.service\n");
    desk.muster(&["apply", "--no-block", "--prune", "shop"]).ok();
    assert_eq!(names(), "a.service\nc@.service\n");
    desk.fails(&["stop", "--application", "shup"], 1, &["there is no application shup", "list-applications"]);
    desk.muster(&["destroy", "--no-block", "--application", "shop"]).ok();
    assert_eq!(names(), "");
}

#[test]
fn nothing_is_stored_if_any_unit_is_refused() {
    let desk = Desk::new();
    shop(&desk, "a.service", unit("a"));
    desk.muster(&["submit", desk.write("b.service", unit("b"))]).ok();
    desk.write("other/x.service", unit("x"));
    for (name, text, said) in [
        ("z.service", "[Service]\nExecStart=/bin/z\n[X-Fleet]\nMachineOf=x\n", "Unit z.service: [X-Fleet] MachineOf=x"),
        ("z.service", "[Service]\nExecStart /bin/z\n", "shop/z.service:2:1: "),
        ("a.container", "[Container]\nImage=x\n", "systemd would know it as a.service"),
        ("x.service", "[Service]\nExecStart=/bin/x\n", "Unit x.service: other and shop both have it"),
    ] {
        shop(&desk, name, text);
        let said_by = desk.muster(&["apply", "other", "shop"]);
        assert!(said_by.code != Some(0) && said_by.err.contains(said), "{name}: {said_by:?}");
        std::fs::remove_file(desk.path(&format!("shop/{name}"))).unwrap();
    }
    assert_eq!(desk.muster(&["list-unit-files", "--no-legend", "--fields=unit"]).ok(), "b.service\n");
    desk.muster(&["apply", "--no-block", "other"]).ok();
    shop(&desk, "x.service", unit("x"));
    desk.fails(
        &["apply", "shop"],
        2,
        &["Unit x.service: it belongs to the application other", "muster destroy x.service"],
    );
}

#[test]
fn an_application_is_restarted_without_the_job_of_its_timer() {
    let desk = Desk::new();
    shop(&desk, "job.service", "[Service]\nType=oneshot\nExecStart=/bin/job\n");
    shop(&desk, "job.timer", "[Timer]\nOnCalendar=daily\n\n[X-Fleet]\nMachineOf=job.service\n");
    desk.muster(&["apply", "--no-block", "shop"]).ok();
    let desired = || desk.muster(&["list-unit-files", "--no-legend", "--fields=unit,dstate"]).ok();
    let states = |job: &str, timer: &str| format!("job.service {job} job.timer {timer}");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let expected = words(&states("loaded", "launched"));
    for verb in ["restart", "start"] {
        desk.muster(&[verb, "--no-block", "--application", "shop"]).ok();
        assert_eq!(words(&desired()), expected, "{verb}");
    }
    desk.muster(&["unload", "--no-block", "--application", "shop"]).ok();
    desk.muster(&["start", "--no-block", "--application", "shop"]).ok();
    assert_eq!(words(&desired()), expected);
    // The operator names the job.
    desk.muster(&["start", "--no-block", "job", "--application", "shop"]).ok();
    assert_eq!(words(&desired()), words(&states("launched", "launched")));
}

#[test]
fn the_example_is_an_application_and_a_template_gets_the_variables_of_the_command_line() {
    let desk = Desk::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/applications/shop");
    let plan = desk.muster(&["apply", "--plan", example]).ok();
    let units = |text: &str| {
        text.lines().skip(1).map(|line| line.split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(units(&plan), ["data.volume", "orders.container", "web.container"]);

    shop(&desk, "web.service.j2", "[Service]\nExecStart=/bin/web {{ port }}\n");
    desk.fails(&["apply", "--plan", "shop"], 2, &["shop/web.service.j2: ", "`port` is undefined"]);
    shop(&desk, "vars.yaml", "port: 80\n");
    desk.muster(&["apply", "--no-block", "-e", "port=81", "shop"]).ok();
    assert!(desk.muster(&["cat", "web"]).ok().contains("ExecStart=/bin/web 81\n"));
    let diff = desk.muster(&["diff", "shop"]);
    assert!(diff.out.contains("-ExecStart=/bin/web 81\n+ExecStart=/bin/web 80\n"), "{diff:?}");
}
