//! Connections that end, and outages.

use std::io::ErrorKind;
use std::time::Duration;

use qseed_entropy_service::{EntropyService, Fault, Options, Outcome};

use crate::client::{Client, PATIENCE, start};

fn is_refused(service: &EntropyService) -> bool {
    let connected = Client::connect_to(service.address());
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn an_outage_ends_on_the_same_port() {
    let service = start(Options::default());
    let url = service.url();
    let mut client = Client::connect(&service);
    assert_eq!(client.ask(48, 1).status, 200);
    for _ in 0..3 {
        service.stop();
        assert!(client.is_closed(), "open connections end too");
        assert!(is_refused(&service));
        service.restart();
        assert_eq!(service.url(), url);
        client = Client::connect(&service);
        assert_eq!(client.ask(48, 1).status, 200);
    }
}

#[test]
fn connecting_is_refused_until_cleared() {
    let service = start(Options::default());
    let mut client = Client::connect(&service);
    assert_eq!(client.ask(48, 1).status, 200);
    service.set_fault(Fault::Refuse);
    assert!(client.is_closed());
    assert!(is_refused(&service));
    service.clear_faults();
    assert_eq!(Client::connect(&service).ask(48, 1).status, 200);
    // A service may begin with it.
    assert!(is_refused(&start(Options::default().fault(Fault::Refuse))));
}

#[test]
fn a_counted_reset_ends_by_itself() {
    let service = start(Options::default());
    let mut kept = Client::connect(&service);
    assert_eq!(kept.ask(48, 1).status, 200);
    service.fault_next(Fault::Reset, 1);
    assert!(kept.is_closed(), "a kept connection would hide it");
    let (_, end) = Client::connect(&service).rest();
    assert_eq!(end, Some(ErrorKind::ConnectionReset));
    assert_eq!(Client::connect(&service).ask(48, 1).status, 200);
    let outcomes = service
        .connections()
        .into_iter()
        .map(|connection| connection.outcome);
    let expected = [Outcome::Plain, Outcome::Fault(Fault::Reset), Outcome::Plain];
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);
}

#[test]
fn a_connection_closes_after_its_answer() {
    let service = start(Options::default().fault(Fault::CloseAfterAnswer));
    let mut client = Client::connect(&service);
    let answer = client.ask(48, 1);
    assert_eq!(
        (answer.header("connection"), answer.blocks().len()),
        (Some("close"), 1)
    );
    assert!(client.is_closed());
    assert!(service.served()[0].is_good());
}

#[test]
fn an_idle_connection_closes_unannounced() {
    let service = start(Options::default().fault(Fault::IdleClose(Duration::from_millis(20))));
    let mut client = Client::connect(&service);
    let answer = client.ask(48, 1);
    assert_eq!(
        (answer.header("connection"), answer.blocks().len()),
        (None, 1)
    );
    assert!(client.is_closed());
    assert_eq!(Client::connect(&service).ask(48, 1).status, 200);
}

#[test]
fn a_kept_connection_turns_out_closed() {
    let service = start(Options::default());
    service.fault_next(Fault::StaleClose, 1);
    let mut client = Client::connect(&service);
    assert_eq!(
        client.ask(48, 1).status,
        200,
        "a first request is no kept connection's"
    );
    client.send_ask(48, 1);
    assert!(client.is_closed());
    assert_eq!(Client::connect(&service).ask(48, 1).status, 200);
    assert_eq!((service.requests().len(), service.served().len()), (3, 2));
}

#[test]
fn a_client_that_leaves_harms_nothing() {
    let service = start(Options::default().fault(Fault::Hang));
    let mut client = Client::connect(&service);
    client.send_ask(48, 1);
    assert!(service.wait_for(|log| log.requests().len() == 1, PATIENCE));
    drop(client);
    service.set_fault(Fault::EndlessHeaders);
    let mut client = Client::connect(&service);
    client.send_ask(48, 1);
    client.take(100_000).expect("headers");
    drop(client);
    service.clear_faults();
    assert_eq!(Client::connect(&service).ask(48, 1).status, 200);
}

#[test]
fn a_dropped_service_is_gone() {
    let service = start(Options::default().tls());
    let (address, ca) = (service.address(), service.ca_path().expect("with TLS"));
    assert!(ca.exists());
    drop(service);
    let error = Client::connect_to(address).err().expect("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(!ca.exists(), "a temporary folder goes with the service");
}

#[test]
fn waiting_ends_with_the_event_or_the_time() {
    let service = start(Options::default());
    assert!(!service.wait_for(|log| !log.requests().is_empty(), Duration::from_millis(1)));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| service.wait_for(|log| log.served().len() == 2, PATIENCE));
        let mut client = Client::connect(&service);
        client.ask(1, 1);
        client.ask(1, 1);
        assert!(waiter.join().expect("no panic"));
    });
}

#[tokio::test]
async fn tasks_start_and_wait_too() {
    let service = EntropyService::start(Options::default())
        .await
        .expect("a service");
    let address = service.address();
    let client = tokio::task::spawn_blocking(move || {
        Client::connect_to(address)
            .expect("it listens")
            .ask(48, 1)
            .blocks()
    });
    assert!(
        service
            .wait_until(|log| log.served().len() == 1, PATIENCE)
            .await
    );
    assert_eq!(
        *client.await.expect("no panic"),
        *service.served()[0].blocks
    );
    let brief = Duration::from_millis(1);
    assert!(
        !service
            .wait_until(|log| log.served().len() == 2, brief)
            .await
    );
}
