//! The functions of the fuzz targets on their corpora and on a few inputs by chance. `MUSTER_FUZZ_RUNS` sets how many.

#[expect(unreachable_pub, reason = "the fuzz targets are crates of their own")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::fs;
use std::path::Path;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 3] =
    [("report", targets::report), ("unit", targets::unit), ("reconcile", targets::reconcile)];

#[test]
fn the_corpora_of_the_fuzz_targets_are_handled() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            target(&fs::read(file).unwrap());
        }
    }
}

#[test]
fn hosts_that_answer_by_chance_stop_no_reconciler() {
    let mut state: u64 = 1;
    let mut byte = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    let runs = std::env::var("MUSTER_FUZZ_RUNS").map_or(100, |runs| runs.parse().unwrap());
    for _ in 0..runs {
        let data: Vec<u8> = (0..600).map(|_| byte()).collect();
        targets::reconcile(&data);
    }
}
