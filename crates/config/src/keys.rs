//! The keys of each mapping in the file.

type Keys = &'static [&'static str];

/// The original's file, and `qrypt_url`.
pub(crate) const FLAT: Keys = &[
    "qrypt_token",
    "size",
    "period",
    "cryptoki_lib",
    "cryptoki_slot_id",
    "cryptoki_user_pin",
    "qrypt_url",
];
/// What only the full form has.
pub(crate) const FULL: Keys = &["sources", "partitions", "defaults", "combine"];
/// What both forms have.
pub(crate) const GENERAL: Keys = &[
    "reserve",
    "mix_local",
    "modules",
    "state_dir",
    "audit",
    "listen",
    "control_socket",
    "log",
];

/// A source of any type.
pub(crate) const SOURCE: Keys = &["name", "rate_limit", "budget", "startup_bytes", "type"];
/// What sources have by their types.
pub(crate) const QRYPT: Keys = &["url", "access_token", "tls", "timeout", "insecure_http"];
pub(crate) const QRNG_OPEN_API: Keys = &[
    "url",
    "access_token",
    "auth",
    "tls",
    "timeout",
    "insecure_http",
];
pub(crate) const DEVICE: Keys = &["path", "timeout"];
/// What some type of source has.
pub(crate) const ALL_SOURCES: Keys = &[
    "name",
    "type",
    "url",
    "access_token",
    "auth",
    "tls",
    "timeout",
    "insecure_http",
    "path",
    "rate_limit",
    "budget",
    "startup_bytes",
];
pub(crate) const TLS: Keys = &[
    "ca",
    "client_cert",
    "client_key",
    "pin_sha256",
    "post_quantum",
];
pub(crate) const BUDGET: Keys = &["bytes", "resets_on"];

pub(crate) const PARTITION: Keys = &[
    "name", "module", "token", "slot", "login", "pin", "size", "period", "chunk",
];
pub(crate) const DEFAULTS: Keys = &["module", "login", "pin", "size", "period", "chunk"];

pub(crate) const MODULE: Keys = &[
    "path",
    "environment",
    "init_args",
    "deadline",
    "concurrency",
    "output",
    "network",
];
pub(crate) const RESERVE: Keys = &["cover", "max_age"];
pub(crate) const AUDIT: Keys = &[
    "file",
    "signing_key",
    "mode",
    "rotate",
    "witnesses",
    "anchor",
];
pub(crate) const WITNESS: Keys = &["url", "key", "tls", "insecure_http"];
pub(crate) const ROTATE: Keys = &["size", "keep"];
pub(crate) const LOG: Keys = &["format", "level", "seeds"];
