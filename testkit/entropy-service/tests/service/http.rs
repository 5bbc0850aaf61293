//! Faults of HTTP.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use qseed_entropy_service::{Fault, Options, RetryAfter};

use crate::client::{Client, PATIENCE, start};

/// A client of a service under `fault`, and the service.
fn under(fault: Fault) -> (qseed_entropy_service::EntropyService, Client) {
    let service = start(Options::default().fault(fault));
    let client = Client::connect(&service);
    (service, client)
}

#[test]
fn statuses_come_with_their_headers() {
    for code in [204, 301, 400, 403, 404, 422, 429, 500, 502, 503] {
        let answer = under(Fault::status(code)).1.ask(48, 1);
        assert_eq!((answer.status, answer.header("retry-after")), (code, None));
        assert_eq!(answer.body.is_empty(), code == 204);
    }
    let later = Fault::status_retry_after(503, RetryAfter::Seconds(7));
    assert_eq!(under(later).1.ask(48, 1).header("retry-after"), Some("7"));
    let elsewhere = Fault::redirect(302, "http://127.0.0.1:9/steal");
    let answer = under(elsewhere).1.ask(48, 1);
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("http://127.0.0.1:9/steal"))
    );
}

#[test]
fn a_date_to_come_back_lies_ahead_or_behind() {
    for ahead in [3600, -3600] {
        let fault = Fault::status_retry_after(429, RetryAfter::Date(ahead));
        let answer = under(fault).1.ask(48, 1);
        let text = answer.header("retry-after").expect("set");
        assert!(text.ends_with(" GMT"), "{text}");
        let date = jiff::fmt::rfc2822::parse(text)
            .expect("an HTTP date")
            .timestamp();
        let now = jiff::Timestamp::try_from(SystemTime::now()).expect("now");
        let off = date.as_second() - now.as_second() - ahead;
        assert!(off.abs() <= PATIENCE.as_secs().cast_signed(), "{text}");
    }
}

#[test]
fn other_things_than_json_come_with_200() {
    let answer = under(Fault::CaptivePortal).1.ask(48, 1);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(answer.text().starts_with("<!DOCTYPE html>"));
    let answer = under(Fault::ThrottleSentence).1.ask(48, 1);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err());
    let answer = under(Fault::ContentType("text/plain".into())).1.ask(48, 1);
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    assert_eq!(answer.blocks().len(), 1);
}

#[test]
fn a_hanging_service_says_nothing() {
    let (service, mut client) = under(Fault::Hang);
    client.send_ask(48, 1);
    assert!(service.wait_for(|log| log.requests().len() == 1, PATIENCE));
    assert!(client.is_silent());
    assert!(service.served().is_empty());
}

#[test]
fn a_stalled_body_ends_in_silence() {
    let (_service, mut client) = under(Fault::Stall);
    client.send_ask(48, 1);
    let head = client.head();
    let length: usize = head
        .header("content-length")
        .expect("set")
        .parse()
        .expect("a length");
    client.take(length / 2).expect("the first half");
    assert!(client.is_silent());
}

#[test]
fn a_truncated_body_ends_with_the_connection() {
    let (_service, mut client) = under(Fault::Truncate);
    client.send_ask(48, 1);
    let head = client.head();
    let length: usize = head
        .header("content-length")
        .expect("set")
        .parse()
        .expect("a length");
    let (body, end) = client.rest();
    assert_eq!((body.len(), end), (length / 2, None));
}

#[test]
fn a_huge_body_is_streamed_in_full() {
    const BLANKS: usize = 64 << 20;
    let (service, mut client) = under(Fault::HugeBody(BLANKS as u64));
    client.send_ask(48, 1);
    let head = client.head();
    let length: usize = head
        .header("content-length")
        .expect("set")
        .parse()
        .expect("a length");
    assert_eq!(client.take(1).expect("a brace"), b"{");
    for _ in 0..64 {
        assert!(
            client
                .take(BLANKS / 64)
                .expect("blanks")
                .iter()
                .all(|byte| *byte == b' ')
        );
    }
    let mut json = vec![b'{'];
    json.extend(client.take(length - 1 - BLANKS).expect("the rest"));
    serde_json::from_slice::<serde_json::Value>(&json).expect("a good answer, but for its size");
    assert!(!service.served()[0].is_good());
    assert!(matches!(Fault::huge_body(), Fault::HugeBody(1_073_741_824)));
}

#[test]
fn headers_never_end() {
    let (_service, mut client) = under(Fault::EndlessHeaders);
    client.send_ask(48, 1);
    let head = client
        .take(4 << 20)
        .expect("more than any client should take");
    let head = String::from_utf8(head).expect("text");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(!head.contains("\r\n\r\n"));
    assert!(
        head.lines()
            .nth(1000)
            .is_some_and(|line| line.starts_with("X-Endless: "))
    );
}

#[test]
fn an_answer_trickles_head_and_all() {
    let pause = Duration::from_millis(1);
    let (_service, mut client) = under(Fault::SlowDrip {
        bytes: 3,
        every: pause,
    });
    let before = std::time::Instant::now();
    let answer = client.ask(48, 1);
    assert_eq!(answer.blocks().len(), 1);
    // Three bytes at once need at least so many pauses, however fast the machine is.
    let pauses = u32::try_from(answer.body.len() / 3).expect("few");
    assert!(before.elapsed() >= pause * pauses);
}

#[test]
fn latency_combines_with_other_faults() {
    let latency = Duration::from_millis(50);
    let service = start(Options::default().latency(latency).fault(Fault::AllZero));
    assert_eq!(
        Client::connect(&service).ask(16, 1).blocks().concat(),
        [0; 16]
    );
    let served = service.served().pop().expect("written down");
    assert!(served.at - served.request.at >= latency);
    assert_eq!(served.faults, [Fault::Latency(latency), Fault::AllZero]);
}

#[test]
fn legal_forms_of_http_carry_good_entropy() {
    let (service, mut client) = under(Fault::Chunked);
    let answer = client.ask(48, 2);
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(*answer.blocks(), *service.served()[0].blocks);
    assert_eq!(
        client.ask(48, 2).blocks().len(),
        2,
        "on the same connection"
    );

    let (service, mut client) = under(Fault::Http10);
    let answer = client.ask(48, 2);
    assert_eq!(answer.version, "HTTP/1.0");
    assert_eq!(
        (
            answer.header("transfer-encoding"),
            answer.header("content-length")
        ),
        (None, None)
    );
    assert_eq!(*answer.blocks(), *service.served()[0].blocks);
    assert!(service.served()[0].is_good());
}

#[test]
fn a_compressed_body_names_its_encoding() {
    let (service, mut client) = under(Fault::Gzip);
    let answer = client.ask(48, 1);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.body[..3], [0x1F, 0x8B, 8]);
    assert!(!service.served()[0].is_good());
}

#[test]
fn a_reset_or_a_close_takes_the_answers_place() {
    let (service, mut client) = under(Fault::CloseUnanswered);
    client.send_ask(48, 1);
    assert!(client.is_closed());
    assert_eq!((service.requests().len(), service.served().len()), (1, 0));

    let (_service, mut client) = under(Fault::Reset);
    assert_eq!(
        client.rest(),
        (Vec::new(), Some(ErrorKind::ConnectionReset))
    );
}
