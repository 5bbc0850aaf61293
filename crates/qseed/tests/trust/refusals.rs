//! 401 and 403: the operator must do something, and when that is done qseed asks at once.

use qseed_entropy_service::Fault;
use serde_json::json;

use crate::stage::{Stage, event_of, seed_made_of, source, wait_good_after};
use crate::support::{ACCESS_TOKEN, for_each_case, service};

#[test]
fn a_refused_token_is_shown_again_when_its_file_changes_and_not_before() {
    for_each_case(&[401, 403], 2, |status| {
        let (refusing, other) = (service(), service());
        let stage = Stage::new(&[source("first", &refusing), source("standby", &other)]);
        let token = stage.site.write_secret("access-token", ACCESS_TOKEN);
        let stage = stage.with(|config| {
            config["sources"][0]["access_token"] = json!(format!("file:{}", token.display()));
        });
        let qseed = stage.site.start();
        seed_made_of(&qseed, 0, &["first"]);
        refusing.set_fault(Fault::status(*status));
        let failed = event_of(&qseed, 0, "source-failed", "first");
        assert_eq!(failed["code"], format!("status-{status}"), "{failed}");
        let next = failed["next_in_seconds"].as_f64().expect("a number");
        assert!((240.0..=300.0).contains(&next), "{failed}");
        let asked = refusing.requests().len();
        refusing.clear_faults();
        // The other one's seeds are the clock: five periods in which nobody asks again, although
        // it would be answered.
        stage.wait_more_seeds(5);
        assert_eq!(refusing.requests().len(), asked, "{status}: asked before");
        let served = refusing.served().len();
        let from = qseed.log.count();
        stage.site.write_secret("access-token", ACCESS_TOKEN);
        wait_good_after(&refusing, served);
        event_of(&qseed, from, "source-recovered", "first");
        seed_made_of(&qseed, from, &["first"]);
        qseed.stop();
    });
}

/// A file that is changed to another wrong token is tried once more, and then rests again.
#[test]
fn another_wrong_token_is_shown_once() {
    let (refusing, other) = (service(), service());
    refusing.set_token(Some("the-right-one"));
    let stage = Stage::new(&[source("first", &refusing), source("standby", &other)]);
    let token = stage.site.write_secret("access-token", "wrong-one");
    let stage = stage.with(|config| {
        config["sources"][0]["access_token"] = json!(format!("file:{}", token.display()));
    });
    let qseed = stage.site.start();
    seed_made_of(&qseed, 0, &["standby"]);
    assert_eq!(refusing.requests().len(), 1);
    stage.site.write_secret("access-token", "wrong-two");
    let two = |log: &qseed_entropy_service::Log| log.requests().len() == 2;
    assert!(refusing.wait_for(two, crate::support::PATIENCE));
    stage.wait_more_seeds(3);
    assert_eq!(refusing.requests().len(), 2);
    stage.site.write_secret("access-token", "the-right-one");
    let from = qseed.log.count();
    seed_made_of(&qseed, from, &["first"]);
    let log = qseed.stop().join("\n");
    for token in ["wrong-one", "wrong-two", "the-right-one"] {
        assert!(!log.contains(token), "{log}");
    }
}
