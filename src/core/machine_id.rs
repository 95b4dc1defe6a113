//! A machine's identity: the value of /etc/machine-id.

use crate::core::hex::hex_identity;

/// A machine's identity: the 128 bits of its /etc/machine-id (machine-id(5)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MachineId(u128);

impl MachineId {
    /// Makes an identity from its 128 bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Returns the first eight hex digits, which fleet prints for a machine (followed by `...`).
    pub fn short(self) -> String {
        format!("{:08x}", self.0 >> 96)
    }

    /// Returns a deterministic hash of both ids, which spreads work over machines.
    pub const fn mixed_with(self, other: Self) -> u128 {
        let mixed = (self.0 ^ other.0.rotate_left(64)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        (mixed ^ (mixed >> 67)).wrapping_mul(0xbf58_476d_1ce4_e5b9_94d0_49bb_1331_11eb)
    }

    const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

hex_identity!(MachineId, "machine-id");

#[cfg(test)]
mod tests {
    use super::MachineId;

    #[test]
    fn the_text_and_json_forms_are_lower_case_digits() {
        let id: MachineId = "3F2f3dd00000000000000000000000a1".parse().unwrap();
        assert_eq!(id, MachineId::from_bits(0x3f2f_3dd0_0000_0000_0000_0000_0000_00a1));
        assert_eq!(id.to_string(), "3f2f3dd00000000000000000000000a1");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"3f2f3dd00000000000000000000000a1\"");
    }

    #[test]
    fn an_invalid_text_is_quoted_with_the_expected_form() {
        let refusal = |text: &str| text.parse::<MachineId>().unwrap_err().to_string();
        let message = |text: &str| format!("invalid machine-id \"{text}\": expected 32 hexadecimal digits");
        // As many bytes as expected, but not as many digits.
        for text in ["x", "", "+f2f3dd00000000000000000000000a1", &"é".repeat(16)] {
            assert_eq!(refusal(text), message(text));
        }
        assert_eq!(refusal(&"a".repeat(1000)), message(&"a".repeat(64)));
        let json = serde_json::from_str::<MachineId>("\"x\"").unwrap_err().to_string();
        assert!(json.starts_with(&message("x")), "{json}");
    }
}
