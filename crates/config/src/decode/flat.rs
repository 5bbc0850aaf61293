//! The original's flat file: one source named `qrypt`, one partition named `default`.

use qseed_model::{Combine, Login, TokenChoice};

use crate::partition::{Partition, Pin};
use crate::report::Reading;
use crate::section::{Field, Section};
use crate::source::{Auth, Http, Source, SourceKind, Tls};

use super::{Main, http, partitions, sources, token};

pub(super) fn read(file: &Section<'_>) -> Reading<Main> {
    let source = source(file);
    let partition = partition(file);
    Ok(Main {
        sources: vec![source?],
        combine: Combine::Failover,
        partitions: vec![partition?],
    })
}

fn source(file: &Section<'_>) -> Reading<Source> {
    let help = "write the token from Qrypt's portal, or file:PATH";
    let access_token = file.require("qrypt_token", help, http::access_token);
    let url = file.or("qrypt_url", http::default_url(), |field| {
        http::url(field, false, http::QRYPT_ENDPOINTS, http::RISK)
    });
    Ok(Source {
        name: "qrypt".to_owned(),
        kind: SourceKind::Qrypt {
            http: Http {
                url: url?,
                auth: Auth::Bearer,
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

fn partition(file: &Section<'_>) -> Reading<Partition> {
    let help = "write the path of the HSM vendor's PKCS#11 library";
    let module = file.require("cryptoki_lib", help, Field::module);
    let help = "write the slot's number, as `qseed slots` shows it";
    let slot = file.require("cryptoki_slot_id", help, token::slot_id);
    let help = "write the PIN, or file:PATH";
    let pin = file.require("cryptoki_user_pin", help, Field::secret);
    let size = file.or("size", partitions::DEFAULT_SIZE, partitions::size);
    let period = file.or("period", partitions::DEFAULT_PERIOD, partitions::period);
    Ok(Partition {
        name: "default".to_owned(),
        module: module?,
        token: TokenChoice::Slot(slot?),
        login: Login::User,
        pin: Pin::Given(pin?),
        size: size?,
        period: period?,
        chunk: None,
        position: file.place_of("cryptoki_lib"),
    })
}
