//! What sources are asked, and what is wrong with what they answer.

/// What one request can ask for: so many blocks of so many bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The shortest block, in bytes, at least 1.
    pub min_size: u32,
    /// The longest block, in bytes.
    pub max_size: u32,
    /// The fewest blocks, at least 1.
    pub min_count: u32,
    /// The most blocks.
    pub max_count: u32,
}

impl Limits {
    /// Qrypt's interface: blocks of up to 512 bytes, since its cloud may refuse longer ones.
    pub const QRYPT: Self = Self {
        max_size: 512,
        ..Self::COMMON
    };
    /// Qrypt's older interface, which counts in KiB: up to 512 of them.
    pub const QRYPT_KIB: Self = Self {
        min_size: 1024,
        ..Self::COMMON
    };
    /// What most services of the QRNG Open API allow.
    pub const COMMON: Self = Self {
        min_size: 1,
        max_size: 1024,
        min_count: 1,
        max_count: 512,
    };

    /// Whether one request may ask for this.
    #[must_use]
    pub fn allow(self, shape: Shape) -> bool {
        (self.min_size..=self.max_size).contains(&shape.block_size)
            && (self.min_count..=self.max_count).contains(&shape.block_count)
    }
}

/// What one request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes a block, at least 1.
    pub block_size: u32,
    /// Blocks, at least 1.
    pub block_count: u32,
}

impl Shape {
    /// The bytes that the answer must have.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.block_size as usize * self.block_count as usize
    }
}

/// What a failed request asks of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchFault {
    /// It may pass by itself: retry with back-off.
    Transient,
    /// The service refuses this request or this token: retry every 5 minutes, and at once when
    /// the secret or the configuration changes.
    Refused,
    /// The answer is not the entropy that was asked for: it counts as a delivery that failed this
    /// check.
    Invalid(Check),
    /// The source has learnt other [`Limits`]: ask again at once, within them. A second time in a
    /// row it is as `Transient`.
    Limits,
}

/// The check that a delivery failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The delivery does not have the length that was asked for.
    Length,
    /// The same byte too many times in a row.
    Repetition,
    /// One byte value too often in a window.
    Proportion,
    /// A block that was delivered before.
    SeenBefore,
    /// A block that another source delivered, or streams that would cancel each other out under XOR.
    OtherSource,
    /// Printable text where entropy was asked for.
    Text,
    /// Text that is not strict base64 (RFC 4648, section 4). The source's adapter finds it.
    Base64,
    /// An answer that is not of the interface's form at all. The source's adapter finds it.
    Form,
}

impl Check {
    /// Every check, in the order in which they are made.
    pub const ALL: [Self; 8] = [
        Self::Form,
        Self::Base64,
        Self::Length,
        Self::Text,
        Self::Repetition,
        Self::Proportion,
        Self::SeenBefore,
        Self::OtherSource,
    ];

    /// Its stable name, as in metrics, status and ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Repetition => "repetition",
            Self::Proportion => "proportion",
            Self::SeenBefore => "seen-before",
            Self::OtherSource => "other-source",
            Self::Text => "text",
            Self::Base64 => "base64",
            Self::Form => "form",
        }
    }

    /// What a failure means, for the log.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Length => "it does not have the length that was asked for",
            Self::Repetition => "one byte is repeated too many times in a row",
            Self::Proportion => "one byte value occurs too often",
            Self::SeenBefore => "it repeats a block that was delivered before",
            Self::OtherSource => "it equals what another source delivered",
            Self::Text => "it is printable text",
            Self::Base64 => "it is not strict base64",
            Self::Form => "it is not an answer of this interface",
        }
    }
}
