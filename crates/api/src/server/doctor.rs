//! Looks for what keeps a node from working, with or without one running.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tidings::{DatabaseFinding, NodeState, PeerId, PlainWrapper};

use super::State;
use crate::types::{Check, Code, Problem, Report, Timestamp, Verdict};

/// Less free space than this stops a node sooner or later.
const BAD_FREE_BYTES: u64 = 64 << 20;
/// Less free space than this is worth knowing.
const LOW_FREE_BYTES: u64 = 1 << 30;
/// The first moment of 2026, before which no clock of this program can be right.
const EARLIEST: Timestamp = Timestamp::from_unix_millis(1_767_225_600_000);
/// How far a file of the directory may lie in the future before the clock is doubted.
const CLOCK_TOLERANCE: Duration = Duration::from_hours(1);
/// How long a datagram to this machine may take.
const LOOP_TIMEOUT: Duration = Duration::from_secs(1);
/// The group of mDNS (RFC 6762 §3).
const MDNS_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// What is wrong here, with a remedy for each.
#[utoipa::path(get, path = "/v1/doctor", tag = "node", responses((status = 200, body = Report)))]
pub(super) async fn report(state: State) -> Result<axum::Json<Report>, Problem> {
    let mut checks = vec![node(&state.node.info().await)];
    let directory = state.directory.clone();
    let machine = tokio::task::spawn_blocking(move || machine(&directory));
    let machine = machine.await.map_err(|_| Problem::new(Code::Unavailable, "the checks broke off"))?;
    checks.extend(machine);
    Ok(axum::Json(Report { checks }))
}

fn node(info: &tidings::NodeInfo) -> Check {
    let listening = info.listen_addresses.len();
    match info.state {
        NodeState::Active => good("node", format!("the node runs and listens on {listening} addresses")),
        NodeState::Degraded => bad(
            "node",
            format!("the node works in part: {}", info.reasons.join("; ")),
            "see the node's log, and the other checks",
        ),
        NodeState::Paused => warning("node", "the node is paused and has no links".to_owned(), Code::Paused.remedy()),
        other @ (NodeState::Starting | NodeState::Stopping | NodeState::Stopped | _) => {
            warning("node", format!("the node is {other}"), "run `tidings doctor` again in a moment")
        }
    }
}

/// Examines a directory in which no node runs: what [`report`] does, and what only that allows.
pub fn examine(directory: &Path, api: Option<SocketAddr>) -> Report {
    let mut checks = machine(directory);
    checks.extend(api.map(api_port));
    Report { checks }
}

fn machine(directory: &Path) -> Vec<Check> {
    let inspection = tidings::inspect(directory, &PlainWrapper);
    vec![
        mode(directory),
        identity(inspection.identity),
        database(inspection.database),
        space(directory),
        clock(directory),
        udp(),
        tcp(),
        multicast(),
    ]
}

fn mode(directory: &Path) -> Check {
    let shown = directory.display();
    let metadata = match std::fs::metadata(directory) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let found = format!("{shown} does not exist yet; `tidings run` makes it");
            return good("directory", found);
        }
        Err(error) => {
            let remedy = "correct the owner and mode of the directories above it, or use another with --dir";
            return bad("directory", format!("{shown} cannot be read: {error}"), remedy);
        }
    };
    let mode = metadata.permissions().mode() & 0o7777;
    if !metadata.is_dir() {
        return bad("directory", format!("{shown} is no directory"), "use another with --dir");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let found = format!("{shown} belongs to another user");
        return bad("directory", found, "run as that user, or use another directory with --dir");
    }
    if mode & 0o077 != 0 {
        let found = format!("{shown} is open to others (mode {mode:04o})");
        return bad("directory", found, "close it with `chmod 700`");
    }
    good("directory", format!("{shown} belongs to this user alone"))
}

fn identity(found: Result<Option<PeerId>, String>) -> Check {
    match found {
        Ok(Some(peer)) => good("identity", format!("the identity can be read: {peer}")),
        Ok(None) => good("identity", "there is no identity yet; `tidings run` makes one".to_owned()),
        Err(found) => {
            bad("identity", found, "put the file back from a backup; a new identity is a new node that nobody knows")
        }
    }
}

fn database(found: DatabaseFinding) -> Check {
    match found {
        DatabaseFinding::Absent => good("database", "there is no database yet; `tidings run` makes one".to_owned()),
        DatabaseFinding::InUse => good("database", "the running node has the database open".to_owned()),
        DatabaseFinding::Opens => good("database", "the database is encrypted and its key opens it".to_owned()),
        DatabaseFinding::Fails(found) => {
            bad("database", found, "put identity, database.key and tidings.db back from the same backup")
        }
        other => warning("database", format!("{other:?}"), Code::Unavailable.remedy()),
    }
}

/// The directory, or the nearest one above it that exists.
fn existing(directory: &Path) -> PathBuf {
    let above = directory.ancestors().find(|above| above.exists());
    above.unwrap_or(Path::new(".")).to_owned()
}

fn space(directory: &Path) -> Check {
    let remedy = "free some space on this disk, or move the directory and use --dir";
    match rustix::fs::statvfs(existing(directory)) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{} MiB are free on the disk", free >> 20);
            match free {
                ..BAD_FREE_BYTES => bad("disk", found, remedy),
                BAD_FREE_BYTES..LOW_FREE_BYTES => warning("disk", found, remedy),
                LOW_FREE_BYTES.. => good("disk", found),
            }
        }
        Err(error) => warning("disk", format!("the free space is unknown: {error}"), remedy),
    }
}

fn clock(directory: &Path) -> Check {
    let remedy = "set the clock, or switch time synchronisation on";
    let now = Timestamp::from(SystemTime::now());
    if now < EARLIEST {
        return bad("clock", format!("the clock says {now}, which is past"), remedy);
    }
    let newest = newest_file(directory);
    let ahead = newest.map(|time| Timestamp::from(time).since(now));
    match ahead {
        Some(ahead) if ahead > CLOCK_TOLERANCE => {
            let found =
                format!("the clock says {now}, {} minutes before the directory was last written", ahead.as_secs() / 60);
            warning("clock", found, remedy)
        }
        Some(_) | None => good("clock", format!("the clock says {now}")),
    }
}

fn newest_file(directory: &Path) -> Option<SystemTime> {
    std::fs::read_dir(directory).ok()?.filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok()).max()
}

/// Sends a datagram from this machine to itself.
fn udp() -> Check {
    let exchange = || -> io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(LOOP_TIMEOUT))?;
        socket.send_to(b"tidings", socket.local_addr()?)?;
        socket.recv_from(&mut [0; 16]).map(|_| ())
    };
    match exchange() {
        Ok(()) => good("udp", "datagrams go through on this machine (QUIC)".to_owned()),
        Err(error) => warning(
            "udp",
            format!("datagrams do not go through on this machine: {error}"),
            "allow UDP in the firewall; until then links run over TCP",
        ),
    }
}

fn tcp() -> Check {
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)) {
        Ok(_) => good("tcp", "this machine can listen for links".to_owned()),
        Err(error) => bad(
            "tcp",
            format!("this machine cannot listen for links: {error}"),
            "allow the program to open network sockets",
        ),
    }
}

/// Sends a datagram to the group of mDNS, on a port of its own, and hears it.
fn multicast() -> Check {
    let exchange = || -> io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.join_multicast_v4(&MDNS_GROUP, &Ipv4Addr::UNSPECIFIED)?;
        socket.set_multicast_loop_v4(true)?;
        socket.set_multicast_ttl_v4(1)?;
        socket.set_read_timeout(Some(LOOP_TIMEOUT))?;
        socket.send_to(b"tidings", (MDNS_GROUP, socket.local_addr()?.port()))?;
        socket.recv_from(&mut [0; 16]).map(|_| ())
    };
    match exchange() {
        Ok(()) => good("multicast", "multicast goes through: nodes on this network find one another".to_owned()),
        Err(error) => warning(
            "multicast",
            format!("multicast does not go through: {error}"),
            "connect to a network and allow UDP port 5353; until then use invites, --bootstrap or `peers add`",
        ),
    }
}

fn api_port(address: SocketAddr) -> Check {
    match TcpListener::bind(address) {
        Ok(_) => good("api", format!("{address} is free for the HTTP interface")),
        Err(error) => warning(
            "api",
            format!("{address} cannot be listened on: {error}"),
            "nothing: the node takes the next free port; or choose one with --api",
        ),
    }
}

/// A check that came out well.
fn good(name: &str, found: String) -> Check {
    Check { name: name.to_owned(), verdict: Verdict::Good, found, remedy: None }
}

fn warning(name: &str, found: String, remedy: &str) -> Check {
    Check { verdict: Verdict::Warning, remedy: Some(remedy.to_owned()), ..good(name, found) }
}

fn bad(name: &str, found: String, remedy: &str) -> Check {
    Check { verdict: Verdict::Bad, remedy: Some(remedy.to_owned()), ..good(name, found) }
}
