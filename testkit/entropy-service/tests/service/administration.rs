//! The administration interface.

use std::net::{Ipv4Addr, SocketAddr};

use qseed_entropy_service::{EntropyService, Fault, Options};

use crate::client::{Answer, Client, start};

fn administered(options: Options) -> (EntropyService, Client) {
    let service = start(options.admin((Ipv4Addr::LOCALHOST, 0).into()));
    let url = service.admin_url().expect("asked for");
    let address: SocketAddr = url["http://".len()..].parse().expect("an address");
    (service, Client::connect_to(address).expect("it listens"))
}

fn send(admin: &mut Client, method: &str, path: &str, body: &str) -> Answer {
    let length = body.len();
    admin.send(&format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    admin.answer()
}

#[test]
fn the_log_is_json() {
    let (service, mut admin) = administered(Options::default().token("secret"));
    let mut client = Client::connect(&service);
    assert_eq!(client.ask(48, 2).status, 401);
    assert_eq!(send(&mut admin, "PUT", "/token", "").status, 200);
    let blocks = client.ask(48, 2).blocks();
    let served = admin.get("/served").json();
    assert_eq!(
        (&served[0]["status"], &served[1]["status"]),
        (&401.into(), &200.into())
    );
    assert_eq!(served[1]["api"], "qrypt");
    assert_eq!(served[1]["request"]["ask"]["block_size"], 48);
    let hex = served[1]["blocks"][1].as_str().expect("a string");
    let byte = |at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal");
    assert_eq!((0..hex.len() / 2).map(byte).collect::<Vec<_>>(), blocks[1]);
    assert_eq!(admin.get("/served?after=1").json()[0], served[1]);
    assert_eq!(
        admin.get("/requests").json().as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(admin.get("/connections").json()[0]["outcome"], "plain");
    let counts = admin.get("/counts?answers=2").json();
    assert_eq!(
        (&counts["answers"], &counts["entropy_bytes"]),
        (&2.into(), &96.into())
    );
    assert_eq!(admin.get("/counts?answers=3&timeout=1ms").status, 408);
    assert!(admin.get("/").text().contains("/faults"));
}

#[test]
fn faults_are_ordered_listed_and_cleared() {
    let (service, mut admin) = administered(Options::default());
    let mut client = Client::connect(&service);
    let orders = "all-zero*1\nstatus=503;retry-after=2";
    assert_eq!(send(&mut admin, "POST", "/faults", orders).status, 200);
    assert_eq!(
        admin.get("/faults").json(),
        serde_json::json!(orders.lines().collect::<Vec<_>>())
    );
    assert_eq!(client.ask(4, 1).blocks(), [[0; 4]]);
    assert_eq!(client.ask(4, 1).header("retry-after"), Some("2"));
    assert_eq!(
        admin.get("/served").json()[0]["faults"],
        serde_json::json!(["all-zero"])
    );
    let wrong = send(&mut admin, "POST", "/faults", "text\nhnag");
    assert_eq!(
        (wrong.status, wrong.text()),
        (400, "there is no fault \"hnag\"")
    );
    assert_eq!(service.faults().len(), 1, "all lines or none");
    assert_eq!(send(&mut admin, "DELETE", "/faults", "").status, 200);
    assert_eq!(client.ask(4, 1).status, 200);
}

#[test]
fn outages_rates_and_certificates_are_steered() {
    let (service, mut admin) = administered(Options::default());
    assert_eq!(send(&mut admin, "POST", "/stop", "").status, 200);
    assert!(Client::connect_to(service.address()).is_err());
    assert_eq!(send(&mut admin, "POST", "/restart", "").status, 200);
    assert_eq!(send(&mut admin, "POST", "/faults", "refuse").status, 200);
    assert!(Client::connect_to(service.address()).is_err());
    assert_eq!(service.faults()[0].fault, Fault::Refuse);
    assert_eq!(send(&mut admin, "DELETE", "/faults", "").status, 200);
    assert_eq!(send(&mut admin, "PUT", "/rate", "1/1h").status, 200);
    let mut client = Client::connect(&service);
    assert_eq!(
        (client.ask(1, 1).status, client.ask(1, 1).status),
        (200, 429)
    );
    assert_eq!(send(&mut admin, "PUT", "/rate", "often").status, 400);
    assert_eq!(send(&mut admin, "PUT", "/rate", "").status, 200);
    assert_eq!(client.ask(1, 1).status, 200);
    assert_eq!(
        send(&mut admin, "PUT", "/certificate", "expired").status,
        400,
        "no TLS"
    );
    assert_eq!(send(&mut admin, "PUT", "/nothing", "").status, 404);

    let (service, mut admin) = administered(Options::default().tls());
    assert_eq!(
        send(&mut admin, "PUT", "/certificate", "expired").status,
        200
    );
    let config = crate::client::trusting(&service);
    assert!(Client::connect_tls(&service, &config).is_err());
}
