//! Versions as PKCS#11 has them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A version as Cryptoki gives it: major and minor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The number before the dot.
    pub major: u8,
    /// The number behind the dot; hundredths for hardware and firmware.
    pub minor: u8,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
