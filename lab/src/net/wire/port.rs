//! A TAP device: what a namespace sees as its Ethernet interface is a descriptor for the wire.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result};
use tun_rs::{DeviceBuilder, Layer};

/// The largest frame: Ethernet header, VLAN tag and 1,500 bytes of payload, with room.
pub(crate) const LARGEST_FRAME: usize = 2_048;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mac([u8; 6]);

impl Mac {
    /// The address of a port, by its number.
    pub(crate) fn of(port: u16) -> Self {
        let [high, low] = port.to_be_bytes();
        Self([Self::OURS[0], Self::OURS[1], Self::OURS[2], Self::OURS[3], high, low])
    }

    /// Locally administered, one station.
    const OURS: [u8; 4] = [0x02, 0x74, 0x64, 0x67];

    /// Returns where a frame goes.
    pub(super) fn destination(frame: &[u8]) -> Option<Destination> {
        let (address, _) = frame.split_first_chunk::<6>()?;
        let (prefix, number) = address.split_at(4);
        if address[0] & 1 == 1 {
            return Some(Destination::All);
        }
        let number = u16::from_be_bytes(number.try_into().ok()?);
        (prefix == Self::OURS).then_some(Destination::Port(number))
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// Where a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// Broadcast or multicast.
    All,
    Port(u16),
}

/// The wire's end of a TAP device. The device goes when this does.
#[derive(Debug)]
pub(crate) struct Port(OwnedFd);

impl Port {
    /// Makes a device in the namespace of the calling thread.
    pub(crate) fn create(interface: &str) -> Result<Self> {
        let device =
            DeviceBuilder::new().name(interface).layer(Layer::L2).enable(false).build_sync().with_context(|| {
                format!("the TAP device {interface} cannot be made; see that /dev/net/tun is there")
            })?;
        let port = device.as_fd().try_clone_to_owned()?;
        rustix::io::ioctl_fionbio(&port, true)?;
        Ok(Self(port))
    }

    /// Takes a frame that the namespace sent, if there is one.
    pub(super) fn receive(&self, frame: &mut [u8; LARGEST_FRAME]) -> std::io::Result<Option<usize>> {
        match rustix::io::read(&self.0, frame.as_mut_slice()) {
            Ok(length) => Ok(Some(length)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands a frame to the namespace; says whether its interface took it.
    pub(super) fn send(&self, frame: &[u8]) -> bool {
        rustix::io::write(&self.0, frame).is_ok_and(|written| written == frame.len())
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_port() {
        let mut frame = [0; 60];
        frame[..6].copy_from_slice(&Mac::of(517).0);
        assert_eq!(Mac::destination(&frame), Some(Destination::Port(517)));
        frame[..6].copy_from_slice(&[0xff; 6]);
        assert_eq!(Mac::destination(&frame), Some(Destination::All));
        frame[..6].copy_from_slice(&[0x33, 0x33, 0, 0, 0, 0xfb]);
        assert_eq!(Mac::destination(&frame), Some(Destination::All));
        frame[..6].copy_from_slice(&[0x02, 1, 2, 3, 4, 5]);
        assert_eq!(Mac::destination(&frame), None);
        assert_eq!(Mac::destination(&[2; 5]), None);
        assert_eq!(Mac::of(258).to_string(), "02:74:64:67:01:02");
    }
}
