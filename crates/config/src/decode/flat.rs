//! The original's flat file: one source named `qrypt`, one partition named `default`.

use std::time::Duration;

use qseed_model::{Combine, Login, TokenChoice};

use crate::partition::{Partition, Pin};
use crate::report::{Findings, Reading};
use crate::section::Section;
use crate::source::{Http, Source, SourceKind, Tls};

use super::{Main, http, partitions, sources, token};

pub(super) fn read(file: &Section<'_>, findings: &mut Findings) -> Reading<Main> {
    let source = source(file, findings);
    let partition = partition(file, findings);
    Ok(Main {
        sources: vec![source?],
        combine: Combine::Failover,
        partitions: vec![partition?],
    })
}

fn source(file: &Section<'_>, findings: &mut Findings) -> Reading<Source> {
    let access_token = file
        .require(
            "qrypt_token",
            "write the token from Qrypt's portal, or file:PATH",
            findings,
        )
        .and_then(|field| http::access_token(field, findings));
    let url = file.get("qrypt_url").map_or_else(
        || Ok(http::default_url()),
        |field| http::url(field, false, http::QRYPT_ENDPOINTS, findings),
    );
    Ok(Source {
        name: "qrypt".to_owned(),
        kind: SourceKind::Qrypt {
            http: Http {
                url: url?,
                access_token: Some(access_token?),
                tls: Tls::default(),
                timeout: http::DEFAULT_TIMEOUT,
                insecure_http: false,
            },
        },
        rate_limit: Some(sources::QRYPT_RATE),
        budget: None,
        startup_bytes: 0,
    })
}

fn partition(file: &Section<'_>, findings: &mut Findings) -> Reading<Partition> {
    let module = file.require(
        "cryptoki_lib",
        "write the path of the HSM vendor's PKCS#11 library",
        findings,
    );
    let position = module.map_or(file.place, |field| field.place);
    let module = module.and_then(|field| field.module(findings));
    let slot = file
        .require(
            "cryptoki_slot_id",
            "write the slot's number, as `qseed slots` shows it",
            findings,
        )
        .and_then(|field| token::slot_id(field, findings));
    let pin = file
        .require("cryptoki_user_pin", "write the PIN, or file:PATH", findings)
        .and_then(|field| field.secret(findings));
    let size = file
        .get("size")
        .map_or(Ok(partitions::DEFAULT_SIZE), |field| {
            partitions::size(field, findings)
        });
    let period = file
        .get("period")
        .map_or(Ok(Duration::from_secs(10)), |field| {
            partitions::period(field, findings)
        });
    Ok(Partition {
        name: "default".to_owned(),
        module: module?,
        token: TokenChoice::Slot(slot?),
        login: Login::User,
        pin: Pin::Given(pin?),
        size: size?,
        period: period?,
        chunk: None,
        position,
    })
}
