use super::*;
use crate::core::model::Reason;

const MARK: &str = "@1";
const HOST: &str =
    "@1 muster 1\n@1 host 3f2f3dd01bc642c29d396c0eaa4a7139 3f2f3dd0-1bc6-42c2-9d39-6c0eaa4a7139 7.5 0 0\n";
const HASH: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

/// More than the store accepts in one commit.
const LONG: usize = 2 << 20;

/// Reads a report that has these lines between its greeting and its end.
fn read_lines(lines: &str, steps: &[Step]) -> Result<Report, BadReport> {
    read(format!("{HOST}{lines}@1 done\n@1 end\n").as_bytes(), MARK, steps)
}

fn start(unit: &str) -> Step {
    Step { unit: unit.parse().unwrap(), action: Action::Start { count: 0 }, reason: Reason::NotThere }
}

fn with_a_service(lines: &str) -> String {
    format!("@1 hashes\n{HASH}  a.service\n@1 marked\n/run/muster/files/a.service\n@1 launched\n0 a.service\n{lines}")
}

#[test]
fn the_longest_state_names_of_systemd_are_read() {
    let listed = with_a_service("@1 listed\na.service bad-setting deactivating failed-before-auto-restart words\n");
    let units = read_lines(&listed, &[]).unwrap().observation.unwrap().units.unwrap();
    let state = units.values().next().unwrap();
    assert_eq!((state.load, state.active), (LoadState::BadSetting, ActiveState::Deactivating));
    assert_eq!(state.sub.as_str(), "failed-before-auto-restart");
}

#[test]
fn a_service_that_systemd_has_just_restarted_is_marked() {
    let restarted = |lines: &str| {
        let lines = with_a_service(&format!("@1 listed\na.service loaded active running words\n{lines}"));
        let units = read_lines(&lines, &[]).unwrap().observation.unwrap().units.unwrap();
        units.values().next().unwrap().restarted
    };
    assert!(!restarted(""), "its process is old");
    assert!(!restarted("@1 restarts\nNRestarts=0\nId=a.service\n"));
    assert!(
        restarted("@1 restarts\nNRestarts=7\nId=a.service\n") && restarted("@1 restarts\nId=a.service\nNRestarts=1\n")
    );
    let other = "@1 restarts\nId=b.service\nNRestarts=3\n\nNRestarts=0\nId=a.service\n\nNRestarts=-1\nId=a.service\n";
    assert!(!restarted(other));
}

#[test]
fn a_state_that_systemd_cannot_have_is_a_report_that_does_not_parse() {
    let long = "x".repeat(LONG);
    for bad in [long.as_str(), "run\u{1b}[2Jning", "", "läuft"] {
        for lines in [
            format!("@1 listed\na.service loaded active {bad}\n"),
            format!("@1 listed\na.service {bad} active running\n"),
            format!("@1 shown\nId=a.service\nLoadState=loaded\nActiveState=active\nSubState={bad}x\u{7}\n"),
            format!("@1 host 3f2f3dd01bc642c29d396c0eaa4a7139 {bad} 7.5 0 0\n"),
        ] {
            let error = read_lines(&with_a_service(&lines), &[]).unwrap_err().to_string();
            assert!(error.len() < 1000 && !error.chars().any(char::is_control), "{error:?}");
        }
    }
}

#[test]
fn a_state_that_systemd_does_not_have_is_a_report_that_does_not_parse() {
    let listed = |states: &str| {
        let lines = with_a_service(&format!("@1 listed\na.service {states}\n"));
        read_lines(&lines, &[]).map_err(|error| error.what)
    };
    assert!(listed("loaded active running").is_ok() && listed("loaded refreshing refreshing").is_ok());
    assert!(
        listed("loaded banana running").unwrap_err().starts_with("invalid ActiveState \"banana\": expected active, ")
    );
    assert!(listed("banana active running").unwrap_err().starts_with("invalid LoadState \"banana\": expected stub, "));
    assert!(listed("loaded active Running").unwrap_err().starts_with("invalid SubState \"Running\": expected "));
}

#[test]
fn a_queued_job_is_read_from_its_column_and_never_from_a_description() {
    let jobs = |rows: &[&str]| {
        let files = format!("@1 hashes\n{HASH}  a.service\n{HASH}  b.service\n@1 marked\na.service\nb.service\n");
        let lines = format!("{files}@1 listed\n{}\n", rows.join("\n"));
        let units = read_lines(&lines, &[]).map_err(|error| error.what)?.observation.unwrap().units.unwrap();
        Ok::<_, String>(units.into_values().map(|state| state.job).collect::<Vec<_>>())
    };
    let queued = [
        "a.service loaded inactive dead    start start the engine",
        "b.service loaded active   running       start is the first word of a description",
        "init.scope loaded active   running       System and Service Manager",
    ];
    assert_eq!(jobs(&queued), Ok(vec![Some(JobType::Start), None]));
    let idle = [
        "a.service loaded inactive dead    start the engine",
        "b.service loaded active   running stop",
        "init.scope loaded active   running System and Service Manager",
    ];
    assert_eq!(jobs(&idle), Ok(vec![None, None]));
    assert_eq!(jobs(&idle[..2]), Ok(vec![None, None]), "it is not known where the columns are");
    let strange = [&queued[0].replace(" start start", " leave start"), queued[1], queued[2]];
    assert_eq!(jobs(&strange), Err("it lists a job of a type that systemd does not have".to_owned()));
}

#[test]
fn any_message_of_a_host_becomes_a_short_line() {
    let (long, one) = ("x".repeat(LONG), "said a.service \u{1b}[2J\r not found");
    let many = format!("@1 said start a.service {}\n", "x".repeat(100)).repeat(COMPLAINTS);
    for lines in
        [format!("@1 said start a.service {long}\n"), many, format!("@1 {}\n", one.replace("said", "said start"))]
    {
        let report = read_lines(&with_a_service(&lines), &[start("a.service")]).unwrap();
        let [Outcome::Failed(said)] = report.outcomes.as_slice() else { panic!("{:?}", report.outcomes) };
        assert!(said.chars().count() <= MESSAGE_LIMIT && !said.chars().any(char::is_control), "{said:?}");
    }
    let Some(Refused::OtherMachine(who)) = read_lines(&format!("@1 refused machine {long}\n"), &[]).unwrap().refused
    else {
        panic!("not refused");
    };
    assert!(who.chars().count() <= WORD);
    for lines in [format!("@1 broken {long}\n"), format!("@1 {long}\n"), format!("@1 refused {long}\n")] {
        let error = read_lines(&lines, &[]).unwrap_err();
        assert!(error.what.chars().count() <= MESSAGE_LIMIT, "{}", error.what.len());
    }
}

#[test]
fn a_report_with_too_many_units_is_an_error() {
    let units = |count: usize| (0..count).map(|n| format!("{HASH}  u{n}.service\n")).collect::<String>();
    let report = read_lines(&format!("@1 hashes\n{}", units(UNITS)), &[]).unwrap();
    assert_eq!(report.observation.unwrap().foreign.len(), UNITS, "none of them is marked");
    let error = read_lines(&format!("@1 hashes\n{}", units(UNITS + 1)), &[]).unwrap_err();
    assert_eq!(error.what, "it has more than 4096 units");
}

#[test]
fn an_uptime_that_no_host_can_have_is_a_report_that_does_not_parse() {
    let uptime = |uptime: &str| {
        let host = HOST.replace(" 7.5 ", &format!(" {uptime} "));
        let report = read(format!("{host}@1 same\n@1 done\n@1 end\n").as_bytes(), MARK, &[]);
        report.map(|report| report.observation.unwrap().uptime).map_err(|error| error.what)
    };
    assert_eq!(uptime("3153600000.0"), Ok(UPTIME));
    for bad in ["3153600001", "18446744073709549568", "1e300", "NaN", "inf", "-1", ""] {
        let expected = format!("invalid uptime {bad:?}: expected seconds, at most 3153600000");
        assert_eq!(uptime(bad), Err(expected));
    }
}

#[test]
fn a_complaint_is_about_the_unit_that_it_names() {
    let steps = [start("a.service"), start("b.service"), start("a:b.service")];
    let said = |lines: &str| {
        let outcomes = read_lines(&format!("@1 hashes\n{lines}"), &steps).unwrap().outcomes;
        outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Failed(said) => said,
            outcome => format!("{outcome:?}"),
        })
    };
    let lines = "@1 said start b.service no\n@1 said start - Failed to start a.service: bad\n@1 said load a.service x\n\
                 @1 said start - Failed to start a:b.service: worse\n";
    let expected = ["Failed to start a.service: bad", "no", "Failed to start a:b.service: worse"];
    assert_eq!(said(lines).collect::<Vec<_>>(), expected);
}

#[test]
fn the_time_and_the_memory_that_a_report_takes_are_bounded() {
    let strangers: Vec<Step> = (0..UNITS).map(|n| start(&format!("u{n}.service"))).collect();
    let said = "@1 said start - y\n".repeat(COMPLAINTS);
    let began = std::time::Instant::now();
    let report = read_lines(&format!("@1 hashes\n{said}"), &strangers).unwrap();
    assert_eq!(report.outcomes.len(), UNITS);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let error = read_lines(&format!("{said}@1 said start - y\n"), &[]).unwrap_err();
    assert_eq!(error.what, "it has more than 8192 messages about steps");

    let mut reader =
        Reader { hashes: [("a.service".parse().unwrap(), HASH.parse().unwrap())].into(), ..Reader::default() };
    for (section, line) in [(Section::Launched, "0 NAME"), (Section::Listed, "NAME loaded active running")] {
        reader.section = section;
        for name in ["a.service", "b.service", "c.service"] {
            reader.listing(&line.replace("NAME", name)).unwrap();
        }
    }
    assert_eq!((reader.launched.len(), reader.systemd.len()), (1, 1), "units without a file are not kept");
}
