//! The settings of a source. The configuration has validated them.

use std::path::PathBuf;
use std::time::Duration;

use qseed_http::Http;

/// One source, by type.
#[derive(Clone, Debug)]
pub enum Settings {
    /// Qrypt's current API: `POST {base}/api/v1/entropy`.
    Qrypt(Http),
    /// Qrypt's older API: `GET {base}/api/v1/quantum-entropy?size=KIB`.
    QryptKib(Http),
    /// The vendor-neutral QRNG Open API: `POST {base}/entropy`, `GET {base}/capabilities`.
    QrngOpenApi(Http),
    /// A character device or a named pipe.
    Device {
        /// Where it is.
        path: PathBuf,
        /// The longest that one read of the asked bytes may take.
        timeout: Duration,
    },
}
