//! What one host that lies may cost the others.

use super::*;

#[test]
fn a_host_that_reports_an_endless_uptime_stops_nothing() {
    let mut stage = Stage::new(2, |snapshot| {
        want(snapshot, "db", "[X-Muster]\nClass=strict\n[X-Fleet]\nMachineMetadata=zone=a");
        set(snapshot, 1, "zone", "a");
    });
    stage.uptime = |machine| if machine == id(1) { Duration::MAX } else { Duration::ZERO };
    stage.seconds(20);
    stage.silent.insert(id(1));
    stage.seconds(60);
    assert_eq!(stage.health(1), Some(Health::Down));
}
