//! The identity of a cluster, which the store keeps and each of its hosts remembers.

use serde::Deserialize;
use serde::Serialize;

use crate::core::hex::hex_identity;

/// A random number that tells a cluster from all others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClusterId(u128);

impl ClusterId {
    /// Makes an identity from its 128 bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

hex_identity!(ClusterId, "cluster id");

/// The identity of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The number that hosts compare.
    pub id: ClusterId,
    /// Its token and where its store was when the first host joined, for messages.
    pub name: String,
}

/// What a visit does about the cluster that the host belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ownership {
    /// A host of another cluster refuses. A host of no cluster belongs to this one as soon as a leader claims it.
    #[default]
    Check,
    /// The host joins. It refuses if it belongs to another cluster, or if it has unit files and belongs to none.
    Join,
    /// The host joins, and leaves the cluster to which it belongs. Its unit files count as this cluster's.
    TakeOver,
    /// The host belongs to no cluster from now on.
    Leave,
}
