//! What takes root and devices; `cargo xtask soak` runs these, since CI may have neither.

mod nat;

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::disk::{Conduct, Disk};
use super::space::{Space, address, run};
use super::wire::shape::{Loss, Shape};
use super::wire::{Pair, Wire};
use crate::sim::{Dice, Purpose};

/// Namespaces are named by process and number, so that tests of one process take turns.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn both_ways(wire: &Wire, shape: &Shape) {
    for (from, to) in [(0, 1), (1, 0)] {
        wire.set(Pair { from, to }, Some(shape.clone())).unwrap();
    }
}

fn socket(space: &Space, limit: Duration) -> UdpSocket {
    let socket = space.within(|| Ok(UdpSocket::bind((space.address(), 7))?)).unwrap();
    socket.set_read_timeout(Some(limit)).unwrap();
    socket
}

/// Sends datagrams to the second node, which sends them back, and returns the round trips of those that came.
fn round_trips(from: &UdpSocket, to: &UdpSocket, count: u32) -> Vec<Duration> {
    let mut datagram = [0; 1_000];
    (0..count)
        .filter_map(|number| {
            let start = Instant::now();
            from.send_to(&[7; 100], (address(1), 7)).unwrap();
            let (length, peer) = to.recv_from(&mut datagram).ok()?;
            to.send_to(&datagram[..length], peer).unwrap();
            from.recv(&mut datagram).ok()?;
            // The first one waits for the address to be resolved.
            (number > 0).then(|| start.elapsed())
        })
        .collect()
}

#[test]
#[ignore = "takes root and /dev/net/tun"]
fn datagrams_take_the_delay_and_bear_the_loss_of_the_wire() {
    let _alone = alone();
    let (first, first_port) = Space::create(0, 1_500).unwrap();
    let (second, second_port) = Space::create(1, 1_500).unwrap();
    let wire = Wire::start(vec![first_port, second_port], 1).unwrap();
    let delay = Duration::from_millis(20);
    both_ways(&wire, &Shape { delay, ..Shape::default() });
    let (from, to) = (socket(&first, Duration::from_secs(10)), socket(&second, Duration::from_secs(10)));
    let times = round_trips(&from, &to, 51);
    println!("20 ms each way: {:?} to {:?}", times.iter().min().unwrap(), times.iter().max().unwrap());
    assert_eq!(times.len(), 50);
    assert!(times.iter().all(|&time| time >= 2 * delay));
    for socket in [&from, &to] {
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    }
    both_ways(&wire, &Shape { delay, loss: Loss::even(200_000), ..Shape::default() });
    let lossy = round_trips(&from, &to, 101).len();
    println!("20 % loss each way: {lossy} of 100");
    // 64 of 100 get there and back: 30 is seven standard deviations away.
    assert!((30..98).contains(&lossy), "{lossy} of 100");
    both_ways(&wire, &Shape { blackhole: true, ..Shape::default() });
    assert!(round_trips(&from, &to, 3).is_empty());
    let figures = wire.stop().unwrap();
    assert!(figures.traffic.blackholed >= 3 && figures.traffic.lost > 10, "{figures:?}");
    assert_eq!(figures.traffic.queue_full, 0);
}

/// How many frames a second the wire forwards, and what it takes.
#[test]
#[ignore = "takes root and /dev/net/tun; a measurement"]
fn the_wire_forwards_fifty_thousand_frames_a_second() {
    let _alone = alone();
    let (first, first_port) = Space::create(0, 1_500).unwrap();
    let (second, second_port) = Space::create(1, 1_500).unwrap();
    let wire = Wire::start(vec![first_port, second_port], 1).unwrap();
    both_ways(&wire, &Shape { delay: Duration::from_millis(20), ..Shape::default() });
    let (from, to) = (socket(&first, Duration::from_secs(10)), socket(&second, Duration::from_secs(1)));
    let reader = std::thread::spawn(move || {
        let mut datagram = [0; 2_000];
        std::iter::from_fn(|| to.recv(&mut datagram).ok()).count()
    });
    let start = Instant::now();
    let mut sent = 0;
    while start.elapsed() < Duration::from_secs(5) {
        for _ in 0..64 {
            sent += usize::from(from.send_to(&[7; 1_172], (address(1), 7)).is_ok());
        }
    }
    let (took, received) = (start.elapsed(), reader.join().unwrap());
    let figures = wire.stop().unwrap();
    let rate = figures.traffic.arrived.frames as f64 / took.as_secs_f64();
    println!("{sent} sent, {received} received, {rate:.0} frames/s, {figures:?}");
    assert!(figures.traffic.arrived.frames > 1_000);
}

#[test]
#[ignore = "takes root"]
fn a_namespace_goes_with_what_runs_in_it() {
    let _alone = alone();
    let (space, _port) = Space::create(900, 1_500).unwrap();
    let name = space.name().to_owned();
    let mut child = Command::new("ip").args(["netns", "exec", &name, "sleep", "600"]).spawn().unwrap();
    while run("ip", &["netns", "pids", &name]).unwrap().is_empty() {}
    drop(space);
    assert!(!child.wait().unwrap().success());
    assert!(!std::path::Path::new("/run/netns").join(name).exists());
}

#[test]
#[ignore = "takes root and /dev/fuse"]
fn a_mounted_disk_loses_what_is_not_synced() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let (backing, point) = (directory.path().join("backing"), directory.path().join("disk"));
    std::fs::create_dir(&backing).unwrap();
    std::fs::create_dir(&point).unwrap();
    let disk = Disk::mount(&backing, &point, Conduct::default()).unwrap();
    let mut dice = Dice::split(1, Purpose::Faults);
    let path = point.join("file");
    let file = std::fs::File::create(&path).unwrap();
    file.write_all_at(b"synced", 0).unwrap();
    file.sync_all().unwrap();
    std::fs::File::open(&point).unwrap().sync_all().unwrap();
    file.write_all_at(b"ephemeral", 100_000).unwrap();
    assert_eq!(std::fs::read(&path).unwrap().len(), 100_009);
    drop(file);
    let lengths: BTreeSet<_> = (0..20)
        .map(|_| {
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.write_all_at(b"ephemeral", 100_000).unwrap();
            drop(file);
            disk.cut(&mut dice).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert!(bytes.starts_with(b"synced"));
            let length = bytes.len();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_len(6).unwrap();
            file.sync_all().unwrap();
            length
        })
        .collect();
    assert_eq!(lengths, [6, 100_009].into());
    disk.conduct(|conduct| conduct.fails = true);
    assert_eq!(std::fs::write(&path, b"x").unwrap_err().raw_os_error(), Some(5));
    drop(disk);
    assert!(!path.exists());
}
