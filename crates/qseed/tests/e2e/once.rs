//! `qseed run --once`: each partition is seeded once, whatever its neighbours do.

use qseed_faulty_token::{Action, Function, Rule};
use serde_json::{Value, json};

use crate::support::daemon::{Ended, is_event};
use crate::support::faulty::{Faulty, seeds_of};
use crate::support::service;
use crate::support::site::Site;

fn seeds(faulty: &Faulty, tokens: u32) -> Vec<usize> {
    let record = faulty.token.record().expect("a record");
    (0..tokens).map(|token| seeds_of(&record, token)).collect()
}

fn partitions(faulty: &Faulty, tokens: u32) -> Value {
    let partition = |token| faulty.partition(&format!("p{token}"), token);
    json!((0..tokens).map(partition).collect::<Vec<_>>())
}

fn assert_no_empty_promise(ended: &Ended) {
    assert!(!ended.output.contains("Trying again"), "{}", ended.output);
}

#[test]
fn a_partition_is_seeded_once_while_its_neighbour_hangs() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 2;
        let hangs = Rule::new(Function::SeedRandom, Action::Hang).token(0);
        faults.rules.push(hangs);
    });
    let mut config = site.full(&service, &partitions(&faulty, 2));
    config["modules"] = json!([{ "path": faulty.module, "deadline": "4s" }]);
    site.configure_full(&config);
    let ended = site.once();
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert_eq!(seeds(&faulty, 2), [0, 1]);
    assert!(ended.errors.contains("p0: ") && !ended.errors.contains("p1: "));
    assert!(!ended.output.contains("Restarting"), "{}", ended.output);
    assert_no_empty_promise(&ended);
}

#[test]
fn a_neighbours_crash_leaves_no_partition_unseeded() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| {
        faults.slots = 6;
        let crashes = Rule::new(Function::SeedRandom, Action::Segfault).token(3);
        faults.rules.push(crashes);
    });
    site.configure_full(&site.full(&service, &partitions(&faulty, 6)));
    for run in 1..=4 {
        let ended = site.once();
        assert_eq!(ended.code, Some(69), "{ended:?}");
        // A seed whose answer the crash swallowed goes in again.
        for (token, seeds) in seeds(&faulty, 6).into_iter().enumerate() {
            assert!(if token == 3 { seeds == 0 } else { seeds >= run });
        }
        let answered = ended.output.lines().filter(|line| is_event(line, "seeded"));
        assert_eq!(answered.count(), 5, "{ended:?}");
        assert!(ended.errors.contains("p3: its call"), "{ended:?}");
    }
}

#[test]
fn the_errors_say_what_to_do() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |_| {});
    let partition = faulty.partition_with_pin("p", 0, "9999");
    site.configure_full(&site.full(&service, &json!([partition])));
    for _ in 0..2 {
        let ended = site.once();
        assert_eq!(ended.code, Some(69), "{ended:?}");
        let fix = "qseed guard --clear p";
        assert!(ended.errors.contains(fix), "{ended:?}");
        assert_eq!(ended.errors.lines().count(), 1, "{ended:?}");
    }
}

#[test]
fn what_fails_with_once_promises_no_retry() {
    let (service, site) = (service(), Site::new());
    let faulty = Faulty::new(site.folder(), |faults| faults.remove(0));
    site.configure_full(&site.full(&service, &partitions(&faulty, 1)));
    let ended = site.once();
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert_no_empty_promise(&ended);
    assert!(ended.output.contains("give-up"), "{}", ended.output);
    faulty
        .token
        .set(|faults| faults.insert(0))
        .expect("written");
    service.stop();
    let ended = site.once();
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert_no_empty_promise(&ended);
}
