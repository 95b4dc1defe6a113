//! The clocks by which leases end. Every process of a boot has the same time since the boot, which no operator and no time
//! server sets. The wall clock counts for leases of an earlier boot, or of another host that has the file.

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::SystemTime;

use rustix::time::ClockId;
use rustix::time::clock_gettime;

/// The present time, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// Since 1970, by the wall clock.
    pub wall: i64,
    /// Since the boot, with the time in which the host was suspended.
    pub since_boot: i64,
    /// The boot: /proc/sys/kernel/random/boot_id.
    pub boot: &'static str,
}

impl Now {
    pub(super) fn read() -> Self {
        static BOOT: OnceLock<String> = OnceLock::new();
        let read = || fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let since_boot = Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default();
        Self { wall: millis(wall), since_boot: millis(since_boot), boot: BOOT.get_or_init(read).trim_end() }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
