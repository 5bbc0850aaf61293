//! The three interfaces, credentials, limits and the log.

use std::time::Duration;

use qseed_entropy_service::{Api, ENTROPY_ORIGIN, Limits, Options, RateLimit};

use crate::client::{Client, JSON_POST, start};

#[test]
fn qrypt_serves_and_logs_what_was_asked() {
    let service = start(Options::default());
    let mut client = Client::connect(&service);
    for (size, count) in [(1, 1), (48, 3), (1024, 512)] {
        let answer = client.ask(size, count);
        assert_eq!((answer.status, answer.version.as_str()), (200, "HTTP/1.1"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("x-entropy-origin"), Some(ENTROPY_ORIGIN));
        assert_eq!(answer.json()["extensions"], serde_json::json!([]));
        let blocks = answer.blocks();
        assert_eq!(blocks.len(), count as usize);
        assert!(blocks.iter().all(|block| block.len() == size as usize));
        let served = service.served().pop().expect("written down");
        assert_eq!(*served.blocks, *blocks);
        assert_eq!(served.blocks.joined(), blocks.concat());
        assert_eq!(
            (served.api, served.status, served.is_good()),
            (Some(Api::Qrypt), 200, true)
        );
        let ask = served.request.ask.expect("a valid ask");
        assert_eq!((ask.block_size, ask.block_count), (size, count));
    }
    let (served, requests) = (service.served(), service.requests());
    assert_eq!(
        served.iter().map(|s| s.number).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(
        requests.iter().map(|r| r.connection).collect::<Vec<_>>(),
        [1, 1, 1]
    );
    assert_eq!(service.connections().len(), 1);
    assert_eq!(service.counts().entropy_bytes, 1 + 48 * 3 + 1024 * 512);
}

#[test]
fn the_older_interface_serves_kibibytes() {
    let service = start(Options::default());
    let mut client = Client::connect(&service);
    for (query, kib) in [("", 1), ("?size=1", 1), ("?size=512", 512)] {
        let answer = client.get(&format!("/api/v1/quantum-entropy{query}"));
        assert_eq!(answer.json()["size"], kib);
        assert!(answer.json()["random"].is_array());
        let blocks = answer.blocks();
        assert_eq!(blocks.len(), kib);
        assert!(blocks.iter().all(|block| block.len() == 1024));
        let served = service.served().pop().expect("written down");
        assert_eq!(
            (served.api, &*served.blocks),
            (Some(Api::QryptKib), &blocks[..])
        );
    }
    assert_eq!(client.get("/api/v1/quantum-entropy?size=513").status, 400);
}

#[test]
fn the_open_api_serves_below_its_base_path() {
    let limits = Limits {
        max_block_size: 64,
        max_block_count: 8,
    };
    let service = start(Options::default().base("/qrng/v2").limits(limits));
    assert!(service.open_api_url().ends_with("/qrng/v2"));
    let mut client = Client::connect(&service);
    for path in ["/qrng/v2/capabilities", "/api/v1/capabilities"] {
        let answer = client.get(path);
        assert_eq!(answer.json()["entropy"]["max_block_size"], 64);
        assert_eq!(answer.json()["entropy"]["max_block_count"], 8);
    }
    let answer = client.get("/qrng/v2/healthtest");
    assert_eq!(answer.json()["test_result"][0]["test_result"], "pass");
    client.send_post(
        "/qrng/v2/entropy",
        JSON_POST,
        r#"{"block_size":64,"block_count":8}"#,
    );
    let blocks = client.answer().blocks();
    let served = service.served().pop().expect("written down");
    assert_eq!(
        (served.api, &*served.blocks),
        (Some(Api::QrngOpenApi), &blocks[..])
    );
    client.send_post("/qrng/v2/entropy", JSON_POST, r#"{"block_size":65}"#);
    assert_eq!(client.answer().status, 422);
    assert_eq!(client.get("/v1/capabilities").status, 404);
}

#[test]
fn malformed_requests_are_refused() {
    let service = start(Options::default());
    let mut client = Client::connect(&service);
    let mut post = |headers: &str, body: &str| {
        client.send_post("/api/v1/entropy", headers, body);
        client.answer().status
    };
    assert_eq!(post(JSON_POST, r#"{"block_size":0}"#), 400);
    assert_eq!(post(JSON_POST, "not JSON"), 400);
    assert_eq!(post("", r#"{"block_size":1}"#), 415);
    assert_eq!(
        post("Content-Type: text/plain\r\n", r#"{"block_size":1}"#),
        415
    );
    assert_eq!(post(JSON_POST, &" ".repeat(70_000)), 413);
    assert_eq!(Client::connect(&service).get("/api/v1/entropy").status, 405);
    assert!(
        service
            .served()
            .iter()
            .all(|answer| answer.blocks.is_empty())
    );
}

#[test]
fn a_token_is_needed_and_can_change() {
    let service = start(Options::default().token("first"));
    let mut client = Client::connect(&service);
    let mut post = |headers: &str| {
        let headers = format!("{JSON_POST}{headers}");
        client.send_post("/api/v1/entropy", &headers, r#"{"block_size":1}"#);
        client.answer().status
    };
    assert_eq!(post(""), 401);
    assert_eq!(post("Authorization: Bearer second\r\n"), 401);
    assert_eq!(post("Authorization: Bearer first\r\n"), 200);
    service.set_token(Some("second"));
    assert_eq!(post("Authorization: Bearer first\r\n"), 401);
    assert_eq!(post("Authorization: Bearer second\r\n"), 200);
    service.set_token(None);
    assert_eq!(post(""), 200);
    let log = format!("{:?} {:?}", service.requests(), service.served());
    assert!(!log.contains("Bearer"), "the log holds no credentials");
    assert!(log.contains("(left out)"));
}

#[test]
fn an_api_key_is_as_good_as_a_token() {
    let service = start(Options::default().api_key("key").token("token"));
    let mut client = Client::connect(&service);
    let mut get = |header: &str| {
        client.send(&format!(
            "GET /v1/capabilities HTTP/1.1\r\nHost: test\r\n{header}\r\n"
        ));
        client.answer().status
    };
    assert_eq!(get(""), 401);
    assert_eq!(get("X-API-KEY: wrong\r\n"), 401);
    assert_eq!(get("X-API-KEY: key\r\n"), 200);
    assert_eq!(get("Authorization: Bearer token\r\n"), 200);
    service.set_api_key(None);
    assert_eq!(get("X-API-KEY: key\r\n"), 401);
}

#[test]
fn requests_beyond_the_rate_are_refused_and_seen() {
    let hour = Duration::from_secs(3600);
    let service = start(Options::default().rate_limit(RateLimit::new(2, hour)));
    let mut client = Client::connect(&service);
    let mut ask = || client.ask(1, 1);
    assert_eq!((ask().status, ask().status), (200, 200));
    let refused = ask();
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused
        .header("retry-after")
        .expect("set")
        .parse()
        .expect("seconds");
    assert!((1..=3600).contains(&seconds));
    service.set_rate_limit(Some(RateLimit::new(0, hour).without_retry_after()));
    let refused = ask();
    assert_eq!((refused.status, refused.header("retry-after")), (429, None));
    service.set_rate_limit(None);
    assert_eq!(ask().status, 200);
    assert_eq!(service.arrivals().len(), 5);
    assert_eq!(service.log(|log| log.most_requests_within(hour)), 5);
}

#[test]
fn a_forgetful_service_counts() {
    let service = start(Options::default().forget());
    let mut client = Client::connect(&service);
    assert_eq!(client.ask(48, 2).blocks().len(), 2);
    assert_eq!(client.ask(0, 2).status, 400);
    assert!(service.served().is_empty() && service.requests().is_empty());
    let counts = service.counts();
    assert_eq!(
        (counts.connections, counts.requests, counts.answers),
        (1, 2, 2)
    );
    assert_eq!((counts.answers_ok, counts.entropy_bytes), (1, 96));
}
