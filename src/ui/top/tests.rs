use std::sync::Arc;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use ratatui::style::Modifier;

use super::*;
use crate::core::model::ActiveState;
use crate::core::model::ChoiceReason;
use crate::core::model::DesiredState;
use crate::core::model::EventKind;
use crate::core::model::Health;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthRecord;
use crate::core::model::LoadState;
use crate::core::model::Machine;
use crate::core::model::ObservationTimes;
use crate::core::model::Placement;
use crate::core::model::PlacementReason;
use crate::core::model::SubState;
use crate::core::model::Unit;
use crate::core::model::UnitState;
use crate::core::unit::UnitFile;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn id(number: u128) -> MachineId {
    MachineId::from_bits(number)
}

fn unit(name: &str) -> UnitName {
    name.parse().unwrap()
}

fn machine(snapshot: &mut Snapshot, number: u128, health: Health) {
    let (id, name, ip) = (id(number), format!("web{number}"), format!("10.0.0.{number}"));
    snapshot.machines.insert(id, Machine { id, name, ip, ..Machine::default() });
    let reason = HealthEvidence::Answers.into();
    let record = HealthRecord { health, since: Timestamp::ZERO, last_seen: None, reason, outages: Vec::new() };
    snapshot.health.insert(id, record);
}

fn place(snapshot: &mut Snapshot, name: &str, text: &str, on: Option<(u128, ActiveState, &str)>) {
    let file = Arc::new(UnitFile::parse(text).unwrap());
    let hash = file.hash();
    snapshot.files.insert(hash, file);
    snapshot.units.insert(unit(name), Unit::new(hash, DesiredState::Launched));
    let Some((number, active, sub)) = on else { return };
    let reason = PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None };
    let (machine, since) = (id(number), Timestamp::ZERO);
    let placement = Placement { machine, epoch: 1, reason, since, failed_loads: Vec::new(), pull: None };
    snapshot.placements.insert(unit(name), placement);
    let sub: SubState = serde_json::from_value(sub.into()).unwrap();
    let load = LoadState::Loaded;
    let state = UnitState { load, active, sub, job: None, hash, launched: true, restarts: 0, restarted: false };
    snapshot.states.entry(unit(name)).or_default().insert(machine, state);
}

/// Two machines, three units of which one has failed and one is on no machine, an application and two events.
fn sample() -> Cluster {
    let mut snapshot = Snapshot::default();
    machine(&mut snapshot, 1, Health::Alive);
    machine(&mut snapshot, 2, Health::Alive);
    let shop = "[Service]\nExecStart=/bin/sleep 9\n[X-Muster]\nApplication=shop\n";
    place(&mut snapshot, "db.service", shop, Some((1, ActiveState::Failed, "failed")));
    place(&mut snapshot, "front.service", shop, Some((2, ActiveState::Active, "running")));
    place(&mut snapshot, "lost.service", "[Service]\nExecStart=/bin/true\n", None);
    snapshot.observed = Some(ObservationTimes { at: NOW, ..ObservationTimes::default() });
    let event = |at, number, name| {
        Event::new(Timestamp::from_millis(at), Some(id(number)), Some(unit(name)), EventKind::UnitRecovered)
    };
    let events = [event(1000, 2, "front.service"), event(2000, 1, "db.service")];
    let text = "it has failed".to_owned();
    let troubles = vec![Trouble { machine: Some(id(1)), unit: Some(unit("db.service")), text }];
    Cluster { snapshot: Arc::new(snapshot), events: events.into(), troubles, ..Cluster::default() }
}

fn app_of(cluster: Cluster, size: (u16, u16)) -> App {
    let mut app = App::new("default in sqlite:m.db", false, size);
    app.update(Message::Cluster(Box::new(cluster), NOW));
    app
}

fn app() -> App {
    app_of(sample(), (100, 14))
}

/// Presses keys; a capital word in angle brackets is a key without a character.
fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        let (key, length) = match rest.find('>').filter(|_| c == '<') {
            Some(end) => (named(&rest[1..end]), end + 1),
            None => (Key::Char(c), c.len_utf8()),
        };
        effects.extend(app.update(Message::Key(key)));
        rest = &rest[length..];
    }
    effects
}

fn named(name: &str) -> Key {
    match name {
        "Enter" => Key::Enter,
        "Esc" => Key::Escape,
        "Tab" => Key::Tab,
        "BackTab" => Key::BackTab,
        "Back" => Key::Backspace,
        "Down" => Key::Down,
        "Right" => Key::Right,
        "PageDown" => Key::PageDown,
        "End" => Key::End,
        "Ctrl-C" => Key::Control('c'),
        _ => panic!("{name}"),
    }
}

fn drawn(app: &App) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| draw(app, frame)).unwrap();
    terminal
}

/// Returns the lines of the screen, without the blanks at their ends.
fn screen(app: &App) -> Vec<String> {
    let terminal = drawn(app);
    let buffer = terminal.backend().buffer();
    let line = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..buffer.area.height).map(line).collect()
}

#[track_caller]
fn assert_shows(app: &App, parts: &[&str]) {
    let screen = screen(app).join("\n");
    for part in parts {
        assert!(screen.contains(part), "no {part:?} in\n{screen}");
    }
}

#[test]
fn machines_are_shown_with_their_health_and_evidence() {
    let screen = screen(&app());
    let expected = [
        "muster top: default in sqlite:m.db",
        "2 of 2 machines alive, 3 units, 1 problem",
        "no process leads",
        "[1 Machines] 2 Units  3 Applications  4 Events  5 Problems  2",
        "NAME  HEALTH  OBSERVED  UNITS  IP        EVIDENCE",
        "web1  alive   now       1      10.0.0.1  answers",
        "web2  alive   now       1      10.0.0.2  answers",
    ];
    assert_eq!(screen[..7], expected);
    assert_eq!(screen[13], super::help::OF_LISTS);
}

#[test]
fn units_are_those_of_the_lists_and_those_on_no_machine() {
    let mut app = app();
    press(&mut app, "2");
    let expected = [
        "UNIT           DSTATE    NAME  HEALTH  ACTIVE  SUB      OBSERVED",
        "db.service     launched  web1  alive   failed  failed   now",
        "front.service  launched  web2  alive   active  running  now",
        "lost.service   launched  -     -       -       -        -",
    ];
    assert_eq!(screen(&app)[4..8], expected);
    press(&mut app, "<Tab>");
    assert_shows(&app, &["shop         2      1/2      db.service  web1,web2"]);
    press(&mut app, "<Tab>");
    let events = screen(&app);
    assert!(events[5].contains("web1     db.service     runs again"), "the newest is the first: {events:#?}");
    press(&mut app, "<Tab>");
    assert_shows(&app, &["web1     db.service  it has failed"]);
    press(&mut app, "<Tab>");
    assert_shows(&app, &["[1 Machines]"]);
    press(&mut app, "<BackTab>");
    assert_shows(&app, &["[5 Problems]"]);
}

#[test]
fn the_filter_is_live_and_looks_at_all_columns() {
    let mut app = app();
    press(&mut app, "2/WEB2");
    let lines = screen(&app);
    assert!(lines[3].ends_with("1 of 3") && lines[5].starts_with("front.service"), "{lines:#?}");
    assert_eq!(lines[13], "/WEB2_   Enter keep  Esc remove");
    press(&mut app, "q");
    assert_shows(&app, &["no row has the text of the filter"]);
    press(&mut app, "<Back><Enter>");
    assert_shows(&app, &["/WEB2   Esc removes the filter"]);
    assert_eq!(press(&mut app, "R"), [Effect::Preview(Change::Unit(Verb::Restart, unit("front.service")))]);
    press(&mut app, "<Esc>");
    assert!(screen(&app)[3].ends_with(" 3"));
}

#[test]
fn a_change_is_made_only_after_its_plan_was_shown_and_y_was_pressed() {
    let mut app = app();
    let change = Change::Unit(Verb::Restart, unit("db.service"));
    assert_eq!(press(&mut app, "2R"), [Effect::Preview(change.clone())]);
    assert_eq!(press(&mut app, "y"), [], "the plan was not shown yet");
    app.update(Message::Plan(change.clone(), "web1\trestart db.service\n".to_owned()));
    assert_shows(&app, &["restart db.service?", "web1    restart db.service", "y do it   n, Esc leave it"]);
    assert_eq!(press(&mut app, "x<Enter>q"), [], "q leaves the question");
    assert!(app.popup.is_none());
    app.update(Message::Plan(change.clone(), "web1\trestart\n".to_owned()));
    assert_eq!(press(&mut app, "y"), [Effect::CarryOut(change)]);
    assert_shows(&app, &["restart db.service is under way"]);
    assert_eq!(press(&mut app, "y"), [], "once");
}

#[test]
fn a_machine_is_cordoned_or_uncordoned_as_it_is_now() {
    let mut cluster = sample();
    let mut app = app_of(cluster.clone(), (100, 14));
    let change = |verb| [Effect::Preview(Change::Machine(verb, id(1)))];
    assert_eq!(press(&mut app, "c"), change(MachineVerb::Cordon));
    assert_eq!(press(&mut app, "d"), change(MachineVerb::Drain));
    Arc::make_mut(&mut cluster.snapshot).machines.get_mut(&id(1)).unwrap().cordoned = true;
    app.update(Message::Cluster(Box::new(cluster), NOW));
    assert_eq!(press(&mut app, "c"), change(MachineVerb::Uncordon));
    app.update(Message::Plan(Change::Machine(MachineVerb::Uncordon, id(1)), String::new()));
    assert_shows(&app, &["uncordon web1?", "SCHEDULING", "cordoned"]);
}

#[test]
fn commands_that_need_a_unit_or_a_machine_say_so() {
    let mut app = app();
    assert_eq!(press(&mut app, "R"), []);
    assert_shows(&app, &["no unit is chosen"]);
    assert_eq!(press(&mut app, "2<End>s"), []);
    assert_shows(&app, &["no machine is chosen"]);
    assert_eq!(press(&mut app, "l"), []);
    assert_shows(&app, &["the unit is on no machine, so it has no journal"]);
    assert_eq!(press(&mut app, "1x<Down>s"), [Effect::WhatIf(id(1)), Effect::Shell(id(2))]);
    assert_eq!(press(&mut app, "r"), [Effect::Look]);
    assert_eq!(press(&mut app, "q"), [Effect::Quit]);
    assert_eq!(press(&mut app, "/<Ctrl-C>"), [Effect::Quit]);
}

#[test]
fn details_have_pages_and_the_journal_is_followed_until_they_are_closed() {
    let mut app = app();
    press(&mut app, "2<Enter>");
    assert_shows(
        &app,
        &["[Why] File  Events  Journal  db.service on web1", "Unit:           db.service", "Wanted:         launched"],
    );
    press(&mut app, "<Tab>");
    assert_shows(&app, &["[File]", "ExecStart=/bin/sleep 9"]);
    press(&mut app, "<Tab>");
    assert_shows(&app, &["[Events]", "db.service: runs again"]);
    assert_eq!(press(&mut app, "<Tab>"), [Effect::Follow(1, unit("db.service"), id(1))]);
    assert_shows(&app, &["[Journal]", "waiting for the journal"]);
    app.update(Message::Journal(1, (0..50).map(|number| format!("line {number}")).collect(), None));
    assert_eq!(screen(&app)[12], "line 49", "the end is shown");
    press(&mut app, "k");
    app.update(Message::Journal(1, vec!["later".to_owned()], None));
    assert_eq!(screen(&app)[12], "line 48", "it stays where the operator is");
    app.update(Message::Journal(7, vec!["another journal".to_owned()], None));
    press(&mut app, "G");
    assert_eq!(screen(&app)[12], "later");
    app.update(Message::Journal(1, Vec::new(), Some("web1: connection lost".to_owned())));
    assert_eq!(screen(&app)[12], "web1: connection lost");
    assert_eq!(press(&mut app, "<Esc>"), [Effect::EndJournal]);
    assert_shows(&app, &["[2 Units]"]);
}

#[test]
fn a_long_journal_is_bounded() {
    let mut app = app();
    press(&mut app, "2l");
    for _ in 0..50 {
        app.update(Message::Journal(1, vec!["x".to_owned(); 1000], None));
    }
    assert_eq!(app.body.len(), 2000);
}

#[test]
fn a_machine_and_an_application_lead_to_their_units() {
    let mut app = app_of(sample(), (100, 24));
    press(&mut app, "<Enter>");
    assert_shows(&app, &["[Machine] Events  web1", "Health:         alive", "db.service"]);
    press(&mut app, "<Esc><Down>u");
    let lines = screen(&app);
    assert!(lines[3].ends_with("1 on web2") && lines[5].starts_with("front.service"), "{lines:#?}");
    press(&mut app, "<Esc>");
    assert_shows(&app, &["[1 Machines]"]);
    press(&mut app, "3<Enter>");
    assert!(screen(&app)[3].ends_with("2 of shop"));
    press(&mut app, "<Esc>");
    assert_shows(&app, &["[3 Applications]"]);
}

#[test]
fn the_same_row_stays_chosen_when_rows_come_and_go() {
    let mut cluster = sample();
    let mut app = app_of(cluster.clone(), (100, 14));
    press(&mut app, "2<Down>");
    let snapshot = Arc::make_mut(&mut cluster.snapshot);
    place(snapshot, "a.service", "[Service]\nExecStart=/bin/true\n", Some((1, ActiveState::Active, "running")));
    app.update(Message::Cluster(Box::new(cluster), NOW));
    assert_eq!(press(&mut app, "T"), [Effect::Preview(Change::Unit(Verb::Stop, unit("front.service")))]);
}

#[test]
fn a_store_that_is_away_and_old_observations_are_said() {
    let mut cluster = sample();
    cluster.stale = Some((NOW, "the store does not answer".to_owned()));
    let mut app = app_of(cluster, (100, 14));
    assert!(screen(&app)[2].starts_with("STALE: the store does not answer since "), "{:#?}", screen(&app));
    let later = NOW + Duration::from_mins(1);
    app.update(Message::Cluster(Box::new(sample()), later));
    assert_eq!(screen(&app)[2], "no process leads; the machines were observed 60 s ago: r observes them now");
    assert_eq!(app.ages_in(), Some(Duration::from_secs(1)));
    assert_shows(&app, &["web1  alive   60 s ago"]);
    app.update(Message::Tick(NOW + Duration::from_mins(5)));
    assert_shows(&app, &["web1  alive   5 min ago"]);
    assert_eq!(app.ages_in(), Some(Duration::from_secs(30)));
    let empty = app_of(Cluster::default(), (100, 14));
    assert_eq!(empty.ages_in(), None);
    assert_shows(&empty, &["no machine has joined: `muster join`"]);
}

#[test]
fn the_chosen_row_is_reversed_and_colours_only_add_to_words() {
    let mut app = app();
    press(&mut app, "2");
    let terminal = drawn(&app);
    let buffer = terminal.backend().buffer();
    assert!(buffer[(0, 5)].modifier.contains(Modifier::REVERSED));
    assert!(!buffer[(0, 6)].modifier.contains(Modifier::REVERSED));
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset), "no colours");
    app.has_color = true;
    let terminal = drawn(&app);
    let failed = &terminal.backend().buffer()[(39, 5)];
    assert_eq!((failed.symbol(), failed.fg), ("f", Color::Red));
}

#[test]
fn text_of_hosts_cannot_steer_the_terminal_and_wide_characters_take_two_columns() {
    let mut cluster = sample();
    let snapshot = Arc::make_mut(&mut cluster.snapshot);
    snapshot.machines.get_mut(&id(1)).unwrap().name = "w\u{1b}[2J\u{202e}日".to_owned();
    let app = app_of(cluster, (60, 10));
    let terminal = drawn(&app);
    let buffer = terminal.backend().buffer();
    let symbols: Vec<&str> = (0..12).map(|x| buffer[(x, 5)].symbol()).collect();
    assert_eq!(symbols.concat().trim_end(), "w\u{fffd}[2J\u{fffd}日   al");
}

#[test]
fn what_does_not_fit_is_cut_and_columns_are_reached_with_the_arrows() {
    let mut app = app_of(sample(), (40, 8));
    press(&mut app, "2");
    let lines = screen(&app);
    assert_eq!(lines[4], "UNIT           DSTATE    NAME  HEALTH  …");
    press(&mut app, "<Right><Right><Right>");
    assert_eq!(screen(&app)[4], "UNIT           ACTIVE  SUB      OBSERVED");
    app.update(Message::Size(39, 8));
    assert_eq!(screen(&app)[0], "too small: 39×8; muster top needs 40×8");
}

#[test]
fn rows_are_sorted_by_the_column_of_choice() {
    let mut app = app();
    press(&mut app, "2");
    let first = |app: &App| screen(app)[5].split(' ').next().unwrap().to_owned();
    press(&mut app, "ooo");
    assert_eq!(first(&app), "lost.service", "by machine");
    press(&mut app, "oooo");
    assert_eq!(first(&app), "lost.service", "by the last column");
    press(&mut app, "o");
    assert_eq!(first(&app), "db.service", "as at first");
}

#[test]
fn the_help_names_each_key() {
    let mut app = app_of(sample(), (100, 40));
    press(&mut app, "?");
    assert_shows(&app, &["machines, units, applications, events, problems", "drain the machine", "q, Ctrl-C"]);
    press(&mut app, "<Esc>");
    assert!(app.popup.is_none());
}

#[test]
fn ten_thousand_units_are_drawn_as_fast_as_their_visible_rows() {
    let mut snapshot = Snapshot::default();
    (0..1000).for_each(|number| machine(&mut snapshot, number, Health::Alive));
    for number in 0..10_000 {
        let on = Some((number % 1000, ActiveState::Active, "running"));
        place(&mut snapshot, &format!("unit-{number:05}.service"), "[Service]\nExecStart=/bin/true\n", on);
    }
    snapshot.observed = Some(ObservationTimes { at: NOW, ..ObservationTimes::default() });
    let mut app = app_of(Cluster { snapshot: Arc::new(snapshot), ..Cluster::default() }, (100, 30));
    press(&mut app, "2<End>");
    assert_shows(&app, &["unit-09999.service", "10000"]);
    press(&mut app, "g<PageDown>");
    let lines = screen(&app);
    assert!(lines[5].starts_with("unit-00001") && lines[28].starts_with("unit-00024"), "{lines:#?}");
    press(&mut app, "/00777");
    assert_shows(&app, &["unit-00777.service", "1 of 10000"]);
}
