//! The only source of chance: splitmix64, so that a seed replays a run exactly.

#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low + 1)
    }

    /// Returns an index below `count`.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.roll() % count as u64).unwrap()
    }

    /// Says yes in so many cases of a thousand.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.roll() % 1000 < per_mille
    }

    /// Returns the speed of a clock that is not quite right, in millionths.
    pub(super) fn drift(&mut self) -> u64 {
        self.between(995_000, 1_005_000)
    }

    /// Nearly always short, now and then long.
    pub(super) fn delay(&mut self, short: (u64, u64), long: (u64, u64), long_per_mille: u64) -> u64 {
        let (low, high) = if self.chance(long_per_mille) { long } else { short };
        self.between(low, high)
    }
}
