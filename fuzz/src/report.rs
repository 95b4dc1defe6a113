//! The reports of hosts.

use std::sync::Arc;

use muster::core::model::Action;
use muster::core::model::Reason;
use muster::core::model::Report;
use muster::core::model::Step;
use muster::core::model::Visit;
use muster::core::unit::UnitFile;
use muster::core::unit::UnitName;
use muster::remote::visit::VisitScript;

/// Reads a report. `@` in the data stands for the mark of the report's lines.
pub fn report(data: &[u8]) {
    let name: UnitName = "a.service".parse().expect("a name");
    let file = Arc::new(UnitFile::parse("[Service]\n").expect("a unit file"));
    let hash = file.hash();
    let actions = [
        Action::Unload,
        Action::Load { hash, install: false, strict: false },
        Action::Stop,
        Action::Start { count: 0 },
        Action::Restart { count: 1 },
    ];
    let steps = actions.map(|action| Step { unit: name.clone(), action, reason: Reason::NotThere });
    let visit = Visit { steps: steps.to_vec(), files: [(hash, file)].into(), ..Visit::default() };
    let script = VisitScript::write(&visit, 7, false, "").expect("a script");
    let mark = script.end().strip_suffix(" end").expect("the mark").to_owned();
    let printed = String::from_utf8_lossy(data).replace('@', &mark);
    if let Ok(Report { outcomes, refused: None, .. }) = script.read(printed.as_bytes()) {
        assert!(outcomes.is_empty() || outcomes.len() == steps.len());
    }
}
