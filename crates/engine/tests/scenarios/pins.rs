use std::time::Duration;

use qseed_engine::{CallEvent, Event, PartitionState, TokenFault, WorkerId};
use qseed_model::pins::{DeviceTag, HeldBack, PinAnswer, ProcessTag, Standing};

use crate::story::{Call, Did, Login, Story, known, p, secs, tag, tags, usual};

fn login(number: u8, answer: PinAnswer) -> Login {
    Login {
        tags: tags(number),
        answer,
        dies: false,
    }
}

fn story(partitions: u32, logins: &[Login]) -> Story {
    let mut story = Story::new(usual(partitions));
    story.logins = (0..).map(p).zip(logins.iter().copied()).collect();
    story
}

#[test]
fn a_pin_is_on_disk_before_it_is_presented() {
    let mut story = story(1, &[login(1, PinAnswer::Accepted)]);
    story.run(secs(5));
    let about_the_pin: Vec<_> = story
        .did
        .iter()
        .filter(|(_, did)| matches!(did, Did::Record(..) | Did::Present(_)))
        .map(|(_, did)| did.clone())
        .collect();
    assert_eq!(
        about_the_pin,
        [
            Did::Record(tag(1), Some(Standing::Presented)),
            Did::Present(tag(1)),
            Did::Record(tag(1), Some(Standing::Accepted)),
        ]
    );
    assert_eq!(story.seeds(0).len(), 1);
}

#[test]
fn a_wrong_pin_is_presented_once() {
    let mut story = story(1, &[login(1, PinAnswer::Refused)]);
    story.run(secs(24 * 3600));
    assert_eq!(story.presented(tag(1)), 1);
    assert_eq!(story.disk.standing(tag(1)), Some(Standing::Refused));
    assert_eq!(story.state(0), PartitionState::PinGuarded);
    // Nor after a restart.
    let mut again = Story::with_memory(usual(1), story.disk);
    again.logins = story.logins;
    again.run(secs(24 * 3600));
    assert_eq!(again.presented(tag(1)), 0);
}

#[test]
fn a_mended_pin_is_tried_at_once() {
    let mut story = story(1, &[login(1, PinAnswer::Refused)]);
    story.run(secs(100));
    story.logins.insert(p(0), login(2, PinAnswer::Accepted));
    story.tell(Event::PinChanged(p(0)));
    story.run(secs(2));
    assert_eq!(story.seeds(0).len(), 1);
}

#[test]
fn a_pin_that_is_mended_during_the_login_is_tried_right_after() {
    let mut story = story(1, &[login(1, PinAnswer::Refused)]);
    story.run(Duration::from_millis(500));
    assert_eq!(story.presented(tag(1)), 1, "the token thinks about it");
    story.tell(Event::PinChanged(p(0)));
    story.run(Duration::from_millis(600));
    story.logins.insert(p(0), login(2, PinAnswer::Accepted));
    story.run(secs(4));
    assert_eq!(story.seeds(0).len(), 1);
}

#[test]
fn a_cleared_pin_is_tried_at_once() {
    let mut story = story(1, &[login(1, PinAnswer::Refused)]);
    story.run(secs(100));
    story.logins.insert(p(0), login(1, PinAnswer::Accepted));
    let refused = story.disk.get(tag(1)).cloned().expect("a record");
    let cleared = story.disk.cleared(&refused);
    story.disk.put(cleared);
    story.tell(Event::GuardChanged {
        device: Some(refused.device),
    });
    story.run(secs(2));
    assert_eq!(story.presented(tag(1)), 2);
    assert_eq!(story.seeds(0).len(), 1);
}

#[test]
fn two_partitions_with_one_wrong_pin_present_it_once() {
    let wrong = login(1, PinAnswer::Refused);
    let mut story = story(2, &[wrong, wrong]);
    story.run(secs(3600));
    assert_eq!(story.presented(tag(1)), 1);
    assert!(story.count(|did| *did == Did::Hold(tag(1), HeldBack::Refused)) > 0);
}

#[test]
fn a_pin_whose_outcome_a_crash_hid_is_presented_once_more() {
    for before in [None, Some(Standing::Accepted)] {
        for crashes in [1, 2] {
            let memory = before.map(|standing| known(&tags(1), standing));
            let mut story = Story::with_memory(usual(1), memory.unwrap_or_default());
            let mut crashing = login(1, PinAnswer::Accepted);
            crashing.dies = true;
            story.logins.insert(p(0), crashing);
            while story.presented(tag(1)) < crashes {
                story.run(Duration::from_millis(100));
            }
            story.logins.insert(p(0), login(1, PinAnswer::Accepted));
            story.run(secs(600));
            assert_eq!(story.presented(tag(1)), 2);
            assert_eq!(story.seeds(0).is_empty(), crashes == 2);
        }
    }
}

#[test]
fn the_guard_file_decides_not_what_the_daemon_believes() {
    let mut story = story(1, &[login(1, PinAnswer::Accepted)]);
    story.run(secs(25));
    assert_eq!(story.presented(tag(1)), 1);
    // The PIN was changed at the token, and another process presented it.
    let check = ProcessTag([1; 8]);
    let other = story.disk.judge(&tags(1), "partition0", check, |_| true);
    story.disk.put(other.expect("it was good"));
    let refused = story.disk.answered(tag(1), PinAnswer::Refused);
    story.disk.put(refused.expect("a record"));
    story.exits(WorkerId(1), Duration::ZERO);
    story.run(secs(24 * 3600));
    assert_eq!(story.presented(tag(1)), 1);
    assert_eq!(story.state(0), PartitionState::PinGuarded);
}

#[test]
fn a_pin_that_expires_after_the_login_is_not_presented_again() {
    let mut story = story(1, &[login(1, PinAnswer::Accepted)]);
    story.run(secs(5));
    let expired = Call::Fails(TokenFault::PinRefused);
    story.seeding.insert(p(0), expired);
    story.run(secs(24 * 3600));
    assert_eq!(story.presented(tag(1)), 1);
    let standing = story.disk.standing(tag(1));
    assert_eq!(standing, Some(Standing::Refused));
}

/// Four partitions log in for the first time, and one of them takes the module down with it.
#[test]
fn a_crash_in_a_login_costs_no_other_partition_its_login() {
    for culprit in 0..4 {
        let mut logins = [1, 2, 3, 4].map(|number| login(number, PinAnswer::Accepted));
        logins[culprit].dies = true;
        let mut story = story(4, &logins);
        story.run(secs(120));
        for (number, login) in (0..).zip(&logins) {
            let seeded = !story.seeds(number).is_empty();
            assert_eq!(seeded, !login.dies, "{number} beside {culprit}");
        }
        assert_eq!(story.presented(logins[culprit].tags.tag), 2);
        assert_eq!(story.disk.good().count(), 3);
    }
}

/// Two tokens of one device, whose PINs the device counts together.
#[test]
fn a_device_in_doubt_is_offered_nothing_until_somebody_puts_it_right() {
    let mut logins = [1, 2].map(|number| login(number, PinAnswer::Refused));
    logins[1].tags.device = logins[0].tags.device;
    let mut story = story(2, &logins);
    story.run(secs(3600));
    let presented = [1, 2].map(|number| story.presented(tag(number)));
    assert_eq!(presented.iter().sum::<usize>(), 1, "{presented:?}");
    let (refused, other) = if presented[0] == 1 { (0, 1) } else { (1, 0) };
    let held = Did::Hold(story.logins[&p(other)].tags.tag, HeldBack::DeviceInDoubt);
    assert!(story.count(|did| *did == held) >= 1);
    // The operator mends the first one: both are tried at once.
    for (number, login) in (0..).zip(&mut logins) {
        login.answer = PinAnswer::Accepted;
        if number == refused {
            login.tags.tag = tag(9);
            login.tags.at_device = tags(9).at_device;
        }
        story.logins.insert(p(number), *login);
    }
    story.tell(Event::PinChanged(p(refused)));
    story.run(secs(15));
    assert!(!story.seeds(refused).is_empty() && !story.seeds(other).is_empty());
}

#[test]
fn pins_of_one_device_are_presented_one_after_the_other() {
    let mut logins = [1, 2, 3].map(|number| login(number, PinAnswer::Accepted));
    for login in &mut logins {
        login.tags.device = DeviceTag([9; 16]);
    }
    let mut settings = usual(3);
    // Each in a worker of its own, so that only the device is common.
    for number in 1..3 {
        let mut module = settings.modules[0].clone();
        module.id = qseed_engine::ModuleId(number);
        settings.partitions[number as usize].module = module.id;
        settings.modules.push(module);
    }
    let mut story = Story::new(settings);
    story.logins = (0..).map(p).zip(logins).collect();
    story.run(secs(20));
    let presented: Vec<_> = story
        .did
        .iter()
        .filter(|(_, did)| matches!(did, Did::Present(_)))
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(presented.len(), 3);
    // An answer takes a second.
    assert!(
        presented
            .windows(2)
            .all(|pair| pair[1].since(pair[0]) >= secs(1))
    );
}

#[test]
fn a_worker_that_dies_before_it_may_present_leaves_no_doubt() {
    let mut story = story(1, &[login(1, PinAnswer::Accepted)]);
    story.disk_takes = secs(2);
    story.run(secs(1));
    assert_eq!(story.presented(tag(1)), 0, "the disk is slow");
    story.exits(WorkerId(1), Duration::ZERO);
    story.run(secs(30));
    assert_eq!(story.presented(tag(1)), 1);
    assert!(!story.seeds(0).is_empty());
}

#[test]
fn a_neighbour_that_restarts_the_worker_hides_no_outcome() {
    let mut story = story(1, &[]);
    story.settings.partitions.push(crate::story::partition(1));
    story.logins.insert(p(1), login(1, PinAnswer::Accepted));
    story.ends_at_once = false;
    story.run(secs(3));
    story.reload();
    // While the token thinks about the PIN, the other one asks for a new library.
    story.seeding.insert(p(0), Call::Fails(TokenFault::Module));
    story.run(secs(8));
    story.seeding.clear();
    story.run(secs(120));
    assert_eq!(story.disk.standing(tag(1)), Some(Standing::Accepted));
    assert_eq!(story.state(1), PartitionState::Seeded);
}

#[test]
fn without_a_disk_no_pin_is_presented_known_or_not() {
    for memory in [None, Some(Standing::Accepted)] {
        let memory = memory.map(|standing| known(&tags(1), standing));
        let mut story = Story::with_memory(usual(1), memory.unwrap_or_default());
        story.logins.insert(p(0), login(1, PinAnswer::Accepted));
        story.disk_works = false;
        story.run(secs(3600));
        assert_eq!(story.presented(tag(1)), 0);
        story.disk_works = true;
        story.run(secs(400));
        assert_eq!(story.presented(tag(1)), 1);
        assert!(!story.seeds(0).is_empty());
    }
}

#[test]
fn an_unclear_answer_gets_one_more_try_whatever_was_before() {
    for memory in [None, Some(Standing::Accepted)] {
        let memory = memory.map(|standing| known(&tags(1), standing));
        let mut story = Story::with_memory(usual(1), memory.unwrap_or_default());
        story.logins.insert(p(0), login(1, PinAnswer::Unclear));
        story.run(secs(24 * 3600));
        assert_eq!(story.presented(tag(1)), 2);
        assert_eq!(story.state(0), PartitionState::PinGuarded);
    }
}

#[test]
fn what_a_killed_worker_still_asks_is_not_answered() {
    let mut story = story(2, &[]);
    story.opening.insert(p(0), Call::Hangs);
    story.run(secs(31));
    // Its worker was killed; this was in the pipe.
    story.tell(Event::Call {
        worker: WorkerId(1),
        partition: p(1),
        event: CallEvent::PinAsked {
            ask: 7,
            tags: tags(1),
        },
    });
    assert_eq!(story.count(|did| matches!(did, Did::Record(..))), 0);
}
