//! The interfaces: which path belongs to which, and what makes a request valid.

use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::options::Limits;

/// Which interface a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// `POST /api/v1/entropy`.
    Qrypt,
    /// `GET /api/v1/quantum-entropy?size=KIB`.
    QryptKib,
    /// `POST {base}/entropy` of the QRNG Open API.
    QrngOpenApi,
    /// `GET {base}/capabilities`, and `/api/v1/capabilities` as on the appliance.
    Capabilities,
    /// `GET {base}/healthtest`.
    HealthTest,
}

/// The entropy that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Ask {
    /// Bytes a block, at least 1; 1024 in the older interface.
    pub block_size: u32,
    /// Blocks, at least 1.
    pub block_count: u32,
}

/// The one kind of entropy there is to choose in the QRNG Open API's `entropy_type`.
pub(crate) const ENTROPY_TYPE: &str = "local-kernel";

impl Api {
    /// Finds the interface of a path, or the status for a request that belongs to none.
    pub(crate) fn route(method: &Method, path: &str, base: &str) -> Result<Self, StatusCode> {
        // Where the base path is /api/v1 the current Qrypt interface and the Open API are one;
        // it is Qrypt's then, whose requests and answers fit both.
        let api = match path {
            "/api/v1/entropy" => Self::Qrypt,
            "/api/v1/quantum-entropy" => Self::QryptKib,
            "/api/v1/capabilities" => Self::Capabilities,
            _ => match path.strip_prefix(base) {
                Some("/entropy") => Self::QrngOpenApi,
                Some("/capabilities") => Self::Capabilities,
                Some("/healthtest") => Self::HealthTest,
                _ => return Err(StatusCode::NOT_FOUND),
            },
        };
        let expected = if api.takes_body() {
            Method::POST
        } else {
            Method::GET
        };
        if *method == expected {
            Ok(api)
        } else {
            Err(StatusCode::METHOD_NOT_ALLOWED)
        }
    }

    pub(crate) fn takes_body(self) -> bool {
        matches!(self, Self::Qrypt | Self::QrngOpenApi)
    }

    /// Whether an answer carries entropy.
    #[must_use]
    pub fn has_entropy(self) -> bool {
        matches!(self, Self::Qrypt | Self::QryptKib | Self::QrngOpenApi)
    }

    /// The entropy's field in an answer.
    pub(crate) fn field(self) -> &'static str {
        if self == Self::QryptKib {
            "random"
        } else {
            "entropy"
        }
    }

    /// Reads what a request asks for: `None` for an interface without entropy, else the ask within
    /// the limits or the status that refuses it.
    pub(crate) fn ask(
        self,
        query: Option<&str>,
        body: &[u8],
        limits: Limits,
    ) -> Result<Option<Ask>, StatusCode> {
        match self {
            Self::Capabilities | Self::HealthTest => Ok(None),
            Self::QryptKib => ask_in_query(query.unwrap_or_default(), limits).map(Some),
            Self::Qrypt | Self::QrngOpenApi => self.ask_in_body(body, limits).map(Some),
        }
    }

    fn ask_in_body(self, body: &[u8], limits: Limits) -> Result<Ask, StatusCode> {
        let out_of_range = match self {
            Self::QrngOpenApi => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        };
        let body: AskBody =
            serde_json::from_slice(body).map_err(|error| match error.classify() {
                serde_json::error::Category::Data => out_of_range,
                _ => StatusCode::BAD_REQUEST,
            })?;
        let ask = Ask {
            block_size: body.block_size,
            block_count: body.block_count.unwrap_or(1),
        };
        let known_type = body.entropy_type.is_none_or(|kind| kind == ENTROPY_TYPE);
        if known_type && limits.allow(ask) {
            Ok(ask)
        } else {
            Err(out_of_range)
        }
    }
}

#[derive(Deserialize)]
struct AskBody {
    block_size: u32,
    block_count: Option<u32>,
    entropy_type: Option<String>,
}

fn ask_in_query(query: &str, limits: Limits) -> Result<Ask, StatusCode> {
    let mut kib = 1;
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        if name == "size" {
            kib = value.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
        }
    }
    let in_range = (1..=limits.max_block_count).contains(&kib);
    if in_range {
        Ok(Ask {
            block_size: 1024,
            block_count: kib,
        })
    } else {
        Err(StatusCode::BAD_REQUEST)
    }
}

impl Limits {
    fn allow(self, ask: Ask) -> bool {
        (1..=self.max_block_size).contains(&ask.block_size)
            && (1..=self.max_block_count).contains(&ask.block_count)
    }
}

#[cfg(test)]
mod tests {
    use hyper::{Method, StatusCode};

    use super::{Api, Ask};
    use crate::options::Limits;

    #[test]
    fn paths_lead_to_interfaces() {
        let route = |method, path| Api::route(&method, path, "/v1").map_err(|code| code.as_u16());
        assert_eq!(route(Method::POST, "/api/v1/entropy"), Ok(Api::Qrypt));
        assert_eq!(
            route(Method::GET, "/api/v1/quantum-entropy"),
            Ok(Api::QryptKib)
        );
        assert_eq!(route(Method::POST, "/v1/entropy"), Ok(Api::QrngOpenApi));
        assert_eq!(
            route(Method::GET, "/v1/capabilities"),
            Ok(Api::Capabilities)
        );
        assert_eq!(
            route(Method::GET, "/api/v1/capabilities"),
            Ok(Api::Capabilities)
        );
        assert_eq!(route(Method::GET, "/v1/healthtest"), Ok(Api::HealthTest));
        assert_eq!(route(Method::GET, "/v1/entropy"), Err(405));
        assert_eq!(route(Method::GET, "/v2/capabilities"), Err(404));
    }

    #[test]
    fn bodies_are_judged() {
        let ask = |api: Api, body: &str| {
            api.ask(None, body.as_bytes(), Limits::default())
                .map_err(|code| code.as_u16())
        };
        let asked = Ask {
            block_size: 48,
            block_count: 512,
        };
        let body = r#"{"block_size":48,"block_count":512}"#;
        assert_eq!(ask(Api::Qrypt, body), Ok(Some(asked)));
        assert_eq!(ask(Api::QrngOpenApi, body), Ok(Some(asked)));
        let one = Ask {
            block_size: 1024,
            block_count: 1,
        };
        assert_eq!(ask(Api::Qrypt, r#"{"block_size":1024}"#), Ok(Some(one)));
        for (body, qrypt, open) in [
            ("{", 400, 400),
            ("{}", 400, 422),
            (r#"{"block_size":0}"#, 400, 422),
            (r#"{"block_size":1025}"#, 400, 422),
            (r#"{"block_size":-1}"#, 400, 422),
            (r#"{"block_size":1,"block_count":513}"#, 400, 422),
            (
                r#"{"block_size":1,"entropy_type":"beam-splitter"}"#,
                400,
                422,
            ),
        ] {
            assert_eq!(ask(Api::Qrypt, body), Err(qrypt), "{body}");
            assert_eq!(ask(Api::QrngOpenApi, body), Err(open), "{body}");
        }
    }

    #[test]
    fn sizes_in_queries_are_judged() {
        let ask = |query| Api::QryptKib.ask(query, b"", Limits::default());
        let kib = |block_count| {
            Ok(Some(Ask {
                block_size: 1024,
                block_count,
            }))
        };
        assert_eq!(ask(None), kib(1));
        assert_eq!(ask(Some("size=512")), kib(512));
        for wrong in ["size=0", "size=513", "size=x", "size="] {
            assert_eq!(ask(Some(wrong)), Err(StatusCode::BAD_REQUEST), "{wrong}");
        }
    }
}
