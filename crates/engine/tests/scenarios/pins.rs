use std::collections::BTreeMap;
use std::time::Duration;

use qseed_engine::guard::{HeldBack, PinAnswer, Standing};
use qseed_engine::{DeviceTag, Event, PartitionState, TokenFault, WorkerId};

use crate::story::{Call, Did, Login, Story, p, secs, tag, usual};

fn login(number: u8, answer: PinAnswer) -> Login {
    Login {
        tag: tag(number),
        device: DeviceTag([number; 32]),
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
    assert_eq!(story.disk[&tag(1)], Standing::Refused);
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
    story.tell(Event::GuardChanged {
        tag: tag(1),
        standing: None,
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
fn an_outcome_that_a_crash_hid_counts_as_refused() {
    let mut crashing = login(1, PinAnswer::Accepted);
    crashing.dies = true;
    let mut story = story(1, &[crashing]);
    story.run(secs(5));
    story.logins.insert(p(0), login(1, PinAnswer::Accepted));
    story.run(secs(3600));
    assert_eq!(story.presented(tag(1)), 1);
    assert_eq!(story.state(0), PartitionState::PinGuarded);
}

#[test]
fn a_pin_that_was_good_is_presented_once_more_after_a_crash() {
    for (crashes, presented) in [(1, 2), (2, 2)] {
        let memory = BTreeMap::from([(tag(1), Standing::Accepted)]);
        let mut story = Story::with_memory(usual(1), memory);
        let mut crashing = login(1, PinAnswer::Accepted);
        crashing.dies = true;
        story.logins.insert(p(0), crashing);
        while story.presented(tag(1)) < crashes {
            story.run(Duration::from_millis(100));
        }
        story.logins.insert(p(0), login(1, PinAnswer::Accepted));
        story.run(secs(600));
        assert_eq!(story.presented(tag(1)), presented);
        assert_eq!(story.seeds(0).is_empty(), crashes == 2);
    }
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
        assert_eq!(story.presented(logins[culprit].tag), 1);
        let accepted = story
            .disk
            .values()
            .filter(|known| **known == Standing::Accepted);
        assert_eq!(accepted.count(), 3);
    }
}

/// Two tokens of one device, whose PINs the device counts together.
#[test]
fn a_device_in_doubt_is_offered_nothing_until_somebody_puts_it_right() {
    let mut logins = [1, 2].map(|number| login(number, PinAnswer::Refused));
    logins[1].device = logins[0].device;
    let mut story = story(2, &logins);
    // What the file says once the first PIN was refused.
    story.run(Duration::from_millis(500));
    story.in_doubt.push(logins[0].device);
    story.run(secs(3600));
    let presented = [1, 2].map(|number| story.presented(tag(number)));
    assert_eq!(presented.iter().sum::<usize>(), 1, "{presented:?}");
    let (refused, other) = if presented[0] == 1 { (0, 1) } else { (1, 0) };
    let held = Did::Hold(story.logins[&p(other)].tag, HeldBack::DeviceInDoubt);
    assert!(story.count(|did| *did == held) >= 1);
    // The operator mends the first one: both are tried at once.
    story.in_doubt.clear();
    for (number, login) in (0..).zip(&mut logins) {
        login.answer = PinAnswer::Accepted;
        login.tag = if number == refused { tag(9) } else { login.tag };
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
        login.device = DeviceTag([9; 32]);
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
fn a_neighbour_that_has_the_worker_started_anew_hides_no_outcome() {
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
    assert_eq!(story.disk[&tag(1)], Standing::Accepted);
    assert_eq!(story.state(1), PartitionState::Seeded);
}

#[test]
fn without_a_disk_only_a_known_pin_is_presented() {
    for (memory, presented) in [(None, 0), (Some(Standing::Accepted), 1)] {
        let memory = memory.map(|standing| (tag(1), standing));
        let mut story = Story::with_memory(usual(1), memory.into_iter().collect());
        story.logins.insert(p(0), login(1, PinAnswer::Accepted));
        story.disk_works = false;
        story.run(secs(3600));
        assert_eq!(story.presented(tag(1)), presented);
        story.disk_works = true;
        story.run(secs(400));
        assert_eq!(story.presented(tag(1)), 1);
        assert!(!story.seeds(0).is_empty());
    }
}

#[test]
fn an_unclear_answer_gets_one_more_try() {
    let mut story = story(1, &[login(1, PinAnswer::Unclear)]);
    story.run(secs(24 * 3600));
    assert_eq!(story.presented(tag(1)), 2);
    assert_eq!(story.state(0), PartitionState::PinGuarded);
}

#[test]
fn what_a_killed_worker_still_asks_is_not_answered() {
    let mut story = story(2, &[]);
    story.opening.insert(p(0), Call::Hangs);
    story.run(secs(31));
    // Its worker was killed; this was in the pipe.
    story.tell(Event::PinAsked {
        worker: WorkerId(1),
        partition: p(1),
        ask: 7,
        tag: tag(1),
        device: DeviceTag([1; 32]),
    });
    assert_eq!(story.count(|did| matches!(did, Did::Record(..))), 0);
}
