//! Random misfortunes; afterwards everything that was accepted must have arrived or ended.

use std::time::Duration;

use tidings_core::class::Class;
use tidings_core::ids::MessageId;
use tidings_core::message::Submission;
use tidings_core::{Command, Input, input::DiskState};

use crate::app::Reading;
use crate::net::{Disk, Net, Road};
use crate::tell::{large, note};

/// A small generator of its own, so that a seed tells the same story everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn usize(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).expect("a small number")
    }
}

struct Chaos {
    net: Net,
    dice: Dice,
    said: u64,
    parted: bool,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut net = Net::new(2);
        net.road =
            Road { delay: Duration::from_micros(100 + dice.below(100_000)), rate: 50_000 + dice.below(5_000_000) };
        for node in &mut net.nodes {
            node.disk = Disk::After(Duration::from_micros(dice.below(50_000)));
        }
        net.nodes[1].app.reading = if seed.is_multiple_of(3) { Reading::ByHand } else { Reading::AtOnce };
        Self { net, dice, said: 0, parted: false }
    }

    fn submission(&mut self, from: usize) -> Submission {
        self.said += 1;
        let mut submission = note(self.net.nodes[1 - from].key(), format!("{}", self.said));
        submission.class = Class::ALL[self.dice.usize(5)];
        if self.dice.below(3) == 0 {
            submission.stream = Some(format!("s{}", self.dice.below(2)));
        }
        if self.dice.below(6) == 0 {
            submission.lifetime = Duration::from_secs(1 + self.dice.below(5));
        }
        if self.dice.below(8) == 0 {
            let bytes = 50_000 + self.dice.usize(150_000);
            submission.payload = [format!("{}:", self.said).as_bytes(), &large(1, bytes)].concat().into();
        }
        submission
    }

    fn misfortune(&mut self) {
        let node = self.dice.usize(2);
        match self.dice.below(24) {
            0 | 1 => {
                self.net.crash(node);
                let pause = self.dice.below(3_000);
                self.net.run_for(Duration::from_millis(pause));
                self.net.start(node);
            }
            2 => self.net.restart(node),
            3 | 4 => self.net.interrupt(0, 1),
            5 => {
                self.net.part(0, 1);
                self.parted = true;
            }
            6 | 7 if self.parted => {
                self.net.join(0, 1);
                self.parted = false;
            }
            8 => self.net.input(node, Input::Disk(DiskState::Full)),
            9 => self.net.input(node, Input::Disk(DiskState::Ready)),
            10 | 11 => {
                let sent: Vec<MessageId> = self.net.nodes[node].app.sent.keys().copied().collect();
                if !sent.is_empty() {
                    let id = sent[self.dice.usize(sent.len())];
                    self.net.command(node, Command::Cancel(id));
                }
            }
            12 => {
                let inbox = self.net.nodes[1].store.inbox();
                let ids = inbox.into_iter().map(|message| message.id).filter(|_| self.dice.below(2) == 0).collect();
                if self.net.nodes[1].app.reading == Reading::ByHand {
                    self.net.command(1, Command::Consume(ids));
                }
            }
            _ => {
                let many = (0..=self.dice.below(20)).map(|_| self.submission(node)).collect();
                self.net.submit(node, many);
            }
        }
        let pause = self.dice.below(400);
        self.net.run_for(Duration::from_millis(pause));
    }

    fn heal(&mut self) {
        self.net.nodes[1].app.reading = Reading::AtOnce;
        for node in 0..2 {
            self.net.input(node, Input::Disk(DiskState::Ready));
            if node == 1 {
                self.net.restart(1);
            }
        }
        self.net.join(0, 1);
        self.net.settle();
        self.net.seconds(700);
    }
}

#[test]
fn nothing_is_lost_or_shown_twice_whatever_happens() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut chaos = Chaos::new(seed);
        for _ in 0..80 {
            chaos.misfortune();
        }
        chaos.heal();
        let net = &chaos.net;
        net.check();
        for node in &net.nodes {
            let counters = node.engine().view().counters;
            let left = (counters.outbox_messages, counters.outbox_bytes, counters.inbox_messages);
            assert_eq!((left, node.store.pended(), node.store.sealed_parcels()), ((0, 0, 0), 0, 0));
            assert_eq!(node.store.inbox(), []);
            assert!(
                node.store.snapshot().out_flows.iter().all(|flow| flow.untold.is_empty() && flow.floor == flow.next)
            );
        }
    }
}
