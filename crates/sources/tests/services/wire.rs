//! Answers that no decent server gives, byte by byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use qseed_http::Tls;
use qseed_model::{Check, FetchFault};
use qseed_sources::{CredentialVerdict, Source};

use crate::{ask, http, qrypt, sent};

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"entropy\":[\"AQI=\"]}";

/// A server that gives each request the next of these answers. `None` closes the connection, on
/// which the next request must then come over a new one.
struct Script {
    url: String,
    thread: JoinHandle<usize>,
}

impl Script {
    fn start(answers: Vec<Option<String>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let thread = std::thread::spawn(move || {
            let mut connection: Option<TcpStream> = None;
            let mut accepted = 0;
            for answer in answers {
                let stream = connection.get_or_insert_with(|| {
                    accepted += 1;
                    listener.accept().expect("a connection").0
                });
                read_request(stream);
                match answer {
                    Some(answer) => {
                        stream.write_all(answer.as_bytes()).expect("written");
                        if !answer.ends_with('}') {
                            connection = None;
                        }
                    }
                    None => connection = None,
                }
            }
            accepted
        });
        Self { url, thread }
    }

    fn source(&self) -> Box<dyn Source> {
        qrypt(http(&self.url, Tls::default()))
    }

    /// The number of connections, once all answers were given.
    fn connections(self) -> usize {
        self.thread.join().expect("the script ran to its end")
    }
}

/// Reads a whole request: a head, and a body that ends with the JSON's brace.
fn read_request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    let mut piece = [0; 1024];
    while !read.ends_with(b"}") {
        let arrived = stream.read(&mut piece).expect("a request");
        assert!(arrived > 0, "the client went away");
        read.extend_from_slice(&piece[..arrived]);
    }
}

async fn code_of(answer: &str) -> (&'static str, FetchFault) {
    let script = Script::start(vec![Some(answer.to_owned())]);
    let failed = script.source().fetch(ask(2, 1)).await.expect_err(answer);
    assert!(!format!("{failed:?}").contains("hunter2"), "{failed:?}");
    (failed.code(), failed.kind())
}

#[tokio::test]
async fn what_is_not_http() {
    use FetchFault::Transient;
    for nonsense in [
        "hunter2\r\n\r\n",
        "SSH-2.0-hunter2\r\n",
        "HTTP/1.1 hunter2\r\n\r\n",
        "HTTP/9",
    ] {
        let (code, class) = code_of(nonsense).await;
        assert!(["http", "closed"].contains(&code), "{nonsense}: {code}");
        assert_eq!(class, Transient);
    }
}

#[tokio::test]
async fn an_answer_from_a_cache() {
    let cached = GOOD.replace("Content-Type", "Age: 3600\r\nContent-Type");
    assert_eq!(
        code_of(&cached).await,
        ("cached", FetchFault::Invalid(Check::Form))
    );
    let fresh = GOOD.replace("Content-Type", "Age: 0\r\nContent-Type");
    let script = Script::start(vec![Some(fresh)]);
    script.source().fetch(ask(2, 1)).await.expect("a delivery");
}

#[tokio::test]
async fn a_length_beyond_need_is_not_even_read() {
    let huge =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n";
    assert_eq!(code_of(huge).await, ("too-large", FetchFault::Transient));
}

#[tokio::test]
async fn reason_phrases_and_refusals_are_not_repeated() {
    let refusal = "HTTP/1.1 500 hunter2\r\nContent-Length: 9\r\nX: hunter2\r\n\r\n{hunter2}";
    assert_eq!(code_of(refusal).await.0, "status-500");
    let json = GOOD.replace("{\"entropy\":[\"AQI=\"]}", "{\"hunter2\":[\"AQI=\"]}");
    assert_eq!(code_of(&json).await.0, "form");
}

#[tokio::test]
async fn many_header_lines_are_no_fault_and_too_many_are_counted() {
    let with = |lines: usize| {
        let lines = "X: y\r\n".repeat(lines);
        GOOD.replace("Content-Type", &format!("{lines}Content-Type"))
    };
    let script = Script::start(vec![Some(with(200))]);
    script.source().fetch(ask(2, 1)).await.expect("a delivery");
    let script = Script::start(vec![Some(with(300))]);
    let failed = script.source().fetch(ask(2, 1)).await.expect_err("a fault");
    assert!(failed.to_string().ends_with("256 lines"), "{failed}");
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{GOOD}");
    let script = Script::start(vec![Some(interim)]);
    let delivery = script.source().fetch(ask(2, 1)).await.expect("a delivery");
    assert_eq!(delivery.expose(), [1, 2]);
}

#[tokio::test]
async fn a_head_that_breaks_off_on_a_kept_connection_is_not_asked_for_again() {
    let script = Script::start(vec![
        Some(GOOD.to_owned()),
        Some("HTTP/1.1 200 OK\r\nCont".to_owned()),
    ]);
    let mut source = script.source();
    source.fetch(ask(2, 1)).await.expect("a delivery");
    sent(&mut *source);
    let failed = source.fetch(ask(2, 1)).await.expect_err("half a head");
    assert_eq!((failed.code(), sent(&mut *source)), ("closed", 1));
    assert_eq!(script.connections(), 1);
}

#[tokio::test]
async fn a_server_that_gave_the_kept_connection_up_is_asked_again() {
    let given_up = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for ending in [None, Some(given_up.to_owned())] {
        let good = || Some(GOOD.to_owned());
        let script = Script::start(vec![good(), ending, good()]);
        let mut source = script.source();
        source.fetch(ask(2, 1)).await.expect("a delivery");
        sent(&mut *source);
        source.fetch(ask(2, 1)).await.expect("a delivery");
        assert_eq!(sent(&mut *source), 2);
        drop(source);
        assert_eq!(script.connections(), 2);
    }
}

#[tokio::test]
async fn a_refusal_with_a_stalled_body_delays_nothing() {
    let stalled = "HTTP/1.1 503 No\r\nContent-Length: 100\r\n\r\n{}";
    let script = Script::start(vec![Some(stalled.to_owned())]);
    let mut source = script.source();
    let failed = source.fetch(ask(2, 1)).await.expect_err("a refusal");
    assert_eq!(failed.code(), "status-503");
    // Nobody listens any more: that a new connection is tried is what matters.
    assert_eq!(script.connections(), 1);
    let failed = source.fetch(ask(2, 1)).await.expect_err("no listener");
    assert_eq!(failed.code(), "connect");
}

#[tokio::test]
async fn an_inspection_recognises_a_server_that_is_not_the_service() {
    let verdict = async |head: &str| {
        let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\n{{}}");
        let script = Script::start(vec![Some(answer)]);
        let seen = script.source().inspect().await;
        assert!(seen.reached.is_ok(), "{seen:?}");
        seen.credential
    };
    for head in [
        "204 No Content",
        "302 Found",
        "404 Not Found",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "503 Service Unavailable",
        "200 OK\r\nContent-Type: text/html",
    ] {
        let verdict = verdict(head).await;
        let told = matches!(verdict, CredentialVerdict::OutOfOrder(_));
        assert!(told, "{head}: {verdict:?}");
    }
    for head in ["400 Bad Request", "422 Unprocessable Content"] {
        assert!(matches!(verdict(head).await, CredentialVerdict::Accepted));
    }
    for head in ["401 Unauthorized", "403 Forbidden"] {
        let verdict = verdict(head).await;
        assert!(matches!(verdict, CredentialVerdict::Refused(_)));
    }
    let served = verdict("200 OK\r\nContent-Type: application/json").await;
    assert!(matches!(served, CredentialVerdict::Unknown), "{served:?}");
}
