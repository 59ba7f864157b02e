//! Which ports a node listens on: chosen at the first start and kept, so that neighbours find it again where it was.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tidings_core::links::Address;

use crate::config::DEFAULT_ADDRESSES;
use crate::start::StartError;

/// The file in the node's directory that keeps the ports that were chosen.
const FILE: &str = "ports";

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    ip: IpAddr,
    transport: Transport,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Quic,
    Tcp,
}

impl Place {
    fn read(address: &str) -> Option<Self> {
        let address: Multiaddr = address.parse().ok()?;
        let mut parts = address.iter();
        let ip = match parts.next() {
            Some(Protocol::Ip4(ip)) => ip.into(),
            Some(Protocol::Ip6(ip)) => ip.into(),
            Some(_) | None => return None,
        };
        let (transport, port) = match parts.next() {
            Some(Protocol::Udp(port)) => (Transport::Quic, port),
            Some(Protocol::Tcp(port)) => (Transport::Tcp, port),
            Some(_) | None => return None,
        };
        Some(Self { ip, transport, port })
    }

    fn address(self) -> Multiaddr {
        let address = Multiaddr::from(self.ip);
        match self.transport {
            Transport::Quic => address.with(Protocol::Udp(self.port)).with(Protocol::QuicV1),
            Transport::Tcp => address.with(Protocol::Tcp(self.port)),
        }
    }

    /// Whether nobody listens there, and which port the system gives for 0. Unlike libp2p's own sockets, these share
    /// no port with another process.
    fn probe(self) -> io::Result<u16> {
        let address = SocketAddr::new(self.ip, self.port);
        match self.transport {
            Transport::Quic => UdpSocket::bind(address)?.local_addr(),
            Transport::Tcp => TcpListener::bind(address)?.local_addr(),
        }
        .map(|bound| bound.port())
    }

    fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }
}

/// The addresses to listen on, each with a port that is free now. Those chosen are kept in `dir`.
///
/// # Errors
///
/// [`StartError::PortInUse`] and [`StartError::Listen`] for an address that was asked for; of the default ones those
/// that the machine does not have are left out.
pub(crate) fn settle(dir: &Path, wanted: &[Address]) -> Result<Vec<Multiaddr>, StartError> {
    let file = dir.join(FILE);
    let kept = read(&file);
    let mut chosen = BTreeMap::new();
    let mut places = Vec::new();
    let mut refusal = None;
    let defaults = DEFAULT_ADDRESSES.map(|text| Address::new(text).expect("checked by a test"));
    let (wanted, optional) = if wanted.is_empty() { (defaults.as_slice(), true) } else { (wanted, false) };
    for address in wanted {
        match choose(address, &kept, &chosen) {
            Ok(place) => {
                if Place::read(address.as_str()).is_some_and(|asked| asked.port == 0) {
                    chosen.insert(address.as_str().to_owned(), place.port);
                }
                places.push(place.address());
            }
            Err(error) if optional => refusal = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let (true, Some(refusal)) = (places.is_empty(), refusal) {
        return Err(refusal);
    }
    if chosen.iter().any(|(address, port)| kept.get(address) != Some(port)) {
        let all = kept.into_iter().chain(chosen).collect();
        write(&file, &all)
            .map_err(|error| StartError::Unreadable { dir: dir.to_owned(), reason: error.to_string() })?;
    }
    Ok(places)
}

fn choose(
    address: &Address,
    kept: &BTreeMap<String, u16>,
    chosen: &BTreeMap<String, u16>,
) -> Result<Place, StartError> {
    let listen = |reason: String| StartError::Listen { address: address.clone(), reason };
    let place =
        Place::read(address.as_str()).ok_or_else(|| listen("expected an IP address with TCP or QUIC".to_owned()))?;
    if place.port != 0 {
        return match place.probe() {
            Ok(_) => Ok(place),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                Err(StartError::PortInUse { address: address.clone() })
            }
            Err(error) => Err(listen(error.to_string())),
        };
    }
    // The kept port first, then one that another address of this start has, then any.
    let candidates = kept.get(address.as_str()).into_iter().chain(chosen.values());
    for port in candidates {
        let place = place.with_port(*port);
        if place.probe().is_ok() {
            return Ok(place);
        }
    }
    let port = place.probe().map_err(|error| listen(error.to_string()))?;
    Ok(place.with_port(port))
}

/// Lost or damaged, the file costs only the ports.
fn read(file: &Path) -> BTreeMap<String, u16> {
    std::fs::read_to_string(file).ok().and_then(|text| toml::from_str(&text).ok()).unwrap_or_default()
}

fn write(file: &Path, ports: &BTreeMap<String, u16>) -> io::Result<()> {
    let text = toml::to_string(ports).map_err(io::Error::other)?;
    let new = file.with_extension("new");
    // What an interrupted writing left may be anybody's to read.
    if let Err(error) = std::fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut private = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    private.write_all(text.as_bytes())?;
    std::fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::new(text).unwrap()
    }

    #[test]
    fn a_chosen_port_is_kept_and_shared_by_both_transports() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = [address("/ip4/127.0.0.1/udp/0/quic-v1"), address("/ip4/127.0.0.1/tcp/0")];
        let first = settle(dir.path(), &wanted).unwrap();
        let ports: Vec<u16> =
            first.iter().filter_map(|address| Place::read(&address.to_string())).map(|place| place.port).collect();
        assert_ne!(ports[0], 0);
        assert_eq!(settle(dir.path(), &wanted).unwrap(), first);
    }

    #[test]
    fn the_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ports.new"), "left by an interrupted writing").unwrap();
        settle(dir.path(), &[address("/ip4/127.0.0.1/tcp/0")]).unwrap();
        let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_kept_port_that_somebody_took_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = [address("/ip4/127.0.0.1/tcp/0")];
        let first = settle(dir.path(), &wanted).unwrap();
        let place = Place::read(&first[0].to_string()).unwrap();
        let _taken = TcpListener::bind((place.ip, place.port)).unwrap();
        assert_ne!(settle(dir.path(), &wanted).unwrap(), first);
    }

    #[test]
    fn a_port_that_was_asked_for_and_is_taken_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let text = format!("/ip4/127.0.0.1/udp/{port}/quic-v1");
        let error = settle(dir.path(), &[address(&text)]).unwrap_err();
        assert!(matches!(&error, StartError::PortInUse { address } if address.as_str() == text));
        assert_eq!(
            error.to_string(),
            format!(
                "the address {text} is in use by another program; stop it, or listen on another port with --address"
            )
        );
    }

    #[test]
    fn the_default_addresses_are_such() {
        for text in DEFAULT_ADDRESSES {
            assert!(crate::config::check_listen(text).is_ok(), "{text}");
        }
    }
}
