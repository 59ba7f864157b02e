//! Connections of a hostile peer: authenticated and multiplexed as libp2p wants it, and nothing more.
//!
//! They come from an address of the attacker's choice, which libp2p's own dialler does not offer.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use libp2p::core::muxing::{StreamMuxer as _, StreamMuxerBox, SubstreamBox};
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportEvent};
use libp2p::core::upgrade::OutboundConnectionUpgrade as _;
use libp2p::core::{Endpoint, Transport};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, quic, tcp, tls, yamux};
use tokio::net::TcpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::stream::agree;

/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Streams that one connection may be asked for at once.
const REQUESTS: usize = 64;

/// Where the attacked node listens.
#[derive(Clone, Debug)]
pub(super) struct Victim {
    pub(super) peer: PeerId,
    pub(super) tcp: SocketAddr,
    pub(super) quic: SocketAddr,
}

/// An address of this machine in the network of a number: 127.66.0.1, then 127.66.1.1, and so on.
pub(super) fn source(network: u16) -> IpAddr {
    let [high, low] = network.to_be_bytes();
    Ipv4Addr::new(127, 66 + high, low, 1).into()
}

/// A connection on which streams are opened and what the other end opens is dropped.
pub(super) struct Connection {
    requests: mpsc::Sender<oneshot::Sender<SubstreamBox>>,
    task: AbortHandle,
    /// Kept open for it.
    _socket: Option<Quic>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Connects over TCP and TLS, as `keypair`.
    pub(super) async fn tcp(from: IpAddr, victim: &Victim, keypair: &Keypair) -> Result<Self> {
        tokio::time::timeout(HANDSHAKE_LIMIT, tcp(from, victim, keypair)).await.context("no handshake in time")?
    }

    fn new(muxer: StreamMuxerBox, socket: Option<Quic>) -> Self {
        let (requests, queue) = mpsc::channel(REQUESTS);
        let task = tokio::spawn(drive(muxer, queue)).abort_handle();
        Self { requests, task, _socket: socket }
    }

    /// Opens a stream on which no protocol is agreed on.
    pub(super) async fn open(&self) -> Result<SubstreamBox> {
        let (answer, stream) = oneshot::channel();
        self.requests.send(answer).await.context("the connection is closed")?;
        stream.await.context("the connection is closed")
    }

    /// Opens a stream and agrees on a protocol.
    pub(super) async fn open_for(&self, protocol: &str) -> Result<SubstreamBox> {
        let mut stream = self.open().await?;
        agree(&mut stream, protocol).await?;
        Ok(stream)
    }
}

async fn tcp(from: IpAddr, victim: &Victim, keypair: &Keypair) -> Result<Connection> {
    let mut socket = tcp::tokio::TcpStream(tcp_socket(from, victim.tcp).await?);
    agree(&mut socket, "/tls/1.0.0").await?;
    let (peer, mut secured) = tls::Config::new(keypair)?.upgrade_outbound(socket, "/tls/1.0.0").await?;
    if peer != victim.peer {
        bail!("somebody else is there: {peer}");
    }
    agree(&mut secured, "/yamux/1.0.0").await?;
    let muxer = yamux::Config::default().upgrade_outbound(secured, "/yamux/1.0.0").await?;
    Ok(Connection::new(StreamMuxerBox::new(muxer), None))
}

/// A TCP connection from an address of the attacker's.
pub(super) async fn tcp_socket(from: IpAddr, to: SocketAddr) -> Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One UDP socket of an identity, from which it dials.
pub(super) struct Quic {
    /// Its listener owns the socket, and is what decides the source address.
    transport: quic::tokio::Transport,
}

impl Quic {
    pub(super) async fn bind(from: IpAddr, keypair: &Keypair) -> Result<Self> {
        let mut config = quic::Config::new(keypair);
        config.handshake_timeout = HANDSHAKE_LIMIT;
        let mut transport = quic::tokio::Transport::new(config);
        transport.listen_on(ListenerId::next(), udp_address(SocketAddr::new(from, 0)))?;
        let listening = poll_fn(|cx| Pin::new(&mut transport).poll(cx));
        let heard = listening.await;
        if !matches!(heard, TransportEvent::NewAddress { .. }) {
            bail!("no UDP socket on {from}: {heard:?}");
        }
        Ok(Self { transport })
    }

    /// Connects; the connection keeps the socket.
    pub(super) async fn connect(mut self, to: SocketAddr) -> Result<Connection> {
        let dialled = self.dial(to)?;
        let (_, connection) =
            tokio::time::timeout(HANDSHAKE_LIMIT, dialled).await.context("no handshake in time")??;
        Ok(Connection::new(StreamMuxerBox::new(connection), Some(self)))
    }

    /// Begins a handshake, which the future drives.
    pub(super) fn dial(&mut self, to: SocketAddr) -> Result<<quic::tokio::Transport as Transport>::Dial> {
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };
        Ok(self.transport.dial(udp_address(to), options)?)
    }
}

fn udp_address(address: SocketAddr) -> Multiaddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => format!("/ip4/{ip}"),
        IpAddr::V6(ip) => format!("/ip6/{ip}"),
    };
    format!("{ip}/udp/{}/quic-v1", address.port()).parse().expect("an address of parts that are one")
}

/// Moves a connection's bytes, opens what is asked for and drops what the other end opens, until either end closes.
async fn drive(mut muxer: StreamMuxerBox, mut requests: mpsc::Receiver<oneshot::Sender<SubstreamBox>>) {
    let mut asked: Option<oneshot::Sender<SubstreamBox>> = None;
    poll_fn(|cx| turn(&mut muxer, &mut requests, &mut asked, cx)).await;
}

fn turn(
    muxer: &mut StreamMuxerBox,
    requests: &mut mpsc::Receiver<oneshot::Sender<SubstreamBox>>,
    asked: &mut Option<oneshot::Sender<SubstreamBox>>,
    cx: &mut TaskContext<'_>,
) -> Poll<()> {
    loop {
        match Pin::new(&mut *muxer).poll_inbound(cx) {
            Poll::Ready(Ok(_)) => continue,
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Pending => {}
        }
        match Pin::new(&mut *muxer).poll(cx) {
            Poll::Ready(Ok(_)) => continue,
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Pending => {}
        }
        if asked.is_none() {
            match requests.poll_recv(cx) {
                Poll::Ready(Some(request)) => *asked = Some(request),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        match Pin::new(&mut *muxer).poll_outbound(cx) {
            Poll::Ready(Ok(stream)) => {
                if let Some(request) = asked.take() {
                    // Who asked may be gone.
                    let _ = request.send(stream);
                }
            }
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Pending => return Poll::Pending,
        }
    }
}
