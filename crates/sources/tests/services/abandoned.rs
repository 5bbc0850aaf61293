//! Fetches that nobody waits for any more.

use qseed_entropy_service::{Fault, Options};
use tokio::select;

use crate::{PATIENT, SHORT, ask, fetch_in_time, qrypt, secure, spawn};

#[tokio::test]
async fn a_late_answer_is_never_taken_for_the_next_one() {
    let service = spawn(Options::default().tls());
    let mut source = qrypt(secure(&service));
    source.fetch(ask(48, 1)).await.expect("a delivery");
    service.fault_next(Fault::Latency(SHORT), 1);
    select! {
        biased;
        () = async { assert!(service.wait_until(|log| log.requests().len() == 2, PATIENT).await) } => {}
        _ = source.fetch(ask(48, 1)) => panic!("the answer is not due yet"),
    }
    let delivery = source.fetch(ask(48, 1)).await.expect("a delivery");
    let of_third = service
        .served()
        .into_iter()
        .find(|served| served.request.number == 3);
    assert_eq!(
        delivery.expose(),
        of_third.expect("an answer").blocks.joined()
    );
    assert_eq!(service.counts().connections, 2);
}

#[tokio::test]
async fn a_fetch_that_timed_out_leaves_nothing_behind() {
    let service = spawn(Options::default().tls());
    let mut http = secure(&service);
    http.timeout = SHORT;
    let mut source = qrypt(http);
    for _ in 0..3 {
        service.fault_next(Fault::Hang, 1);
        let failed = source.fetch(ask(48, 1)).await.expect_err("a hang");
        assert_eq!(failed.code(), "timeout");
    }
    let delivery = fetch_in_time(&mut *source, ask(48, 1)).await;
    let delivery = delivery.expect("a delivery");
    let served = service.served().last().expect("an answer").blocks.joined();
    assert_eq!(delivery.expose(), served);
    // A connection of its own, as each of those before.
    let served = service.served().last().expect("an answer").request.clone();
    assert_eq!(served.connection, service.counts().connections);
}
