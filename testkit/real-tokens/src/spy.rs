//! What `pkcs11-spy` writes about the calls that pass through it.

/// A spy's log.
pub struct SpyLog(String);

impl SpyLog {
    pub(crate) fn new(text: &[u8]) -> Self {
        Self(String::from_utf8_lossy(text).into_owned())
    }

    /// The text of each call of a function, up to the next call.
    fn calls(&self, function: &str) -> impl Iterator<Item = &str> {
        let heading = format!(": {function}\n");
        let calls: Vec<&str> = self.0.split(&heading).skip(1).collect();
        calls.into_iter().map(|rest| {
            // Each call begins with a blank line.
            rest.split("\n\n").next().unwrap_or_default()
        })
    }

    /// How often a function was called.
    pub fn count(&self, function: &str) -> usize {
        self.calls(function).count()
    }

    /// The functions, without `C_`, in the order in which they were called.
    pub fn functions(&self) -> Vec<&str> {
        let lines = self.0.lines().filter_map(|line| line.split_once(": C_"));
        lines
            .map(|(_, name)| name)
            .filter(|name| !name.contains(' '))
            .collect()
    }

    /// The bytes of each `C_SeedRandom`.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        self.calls("C_SeedRandom").map(dumped).collect()
    }
}

/// The bytes of a dump: lines of an offset of eight digits, two blanks, and pairs of digits.
fn dumped(call: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in call.lines() {
        let Some((offset, rest)) = line.trim_start().split_once("  ") else {
            continue;
        };
        if offset.len() != 8 || !offset.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        let pairs = rest.split(' ').take_while(|pair| pair.len() == 2).take(16);
        bytes.extend(pairs.map_while(|pair| u8::from_str_radix(pair, 16).ok()));
    }
    bytes
}
