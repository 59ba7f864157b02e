//! `memory`: what an idle node keeps in memory, what each further neighbour takes, and how large the program is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::process::{self, Process};

/// `memory`.
#[derive(Debug, Args)]
pub(crate) struct Memory {
    /// Neighbours beyond the first
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    neighbours: u32,
    /// The node's binary [default: beside this program]
    #[arg(long)]
    tidings: Option<PathBuf>,
}

/// How long a node rests before it is measured: handshakes and first keepalives are over then.
const REST: Duration = Duration::from_secs(5);
/// How long each neighbour may take to link once all have started.
const LINK_LIMIT: Duration = Duration::from_secs(60);

/// A process's resident memory, in kB, as the kernel tells it.
#[derive(Clone, Copy, Debug)]
struct Resident {
    all: i64,
    proportional: i64,
    anonymous: i64,
}

impl Resident {
    fn of(process: &Process) -> Result<Self> {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", process.id()?))
            .context("this system does not tell memory by /proc/PID/smaps_rollup")?;
        let field = |name| process::field(&rollup, name);
        Ok(Self { all: field("Rss")?, proportional: field("Pss")?, anonymous: field("Anonymous")? })
    }

    fn file(self) -> i64 {
        self.all - self.anonymous
    }
}

impl Memory {
    #[expect(clippy::print_stdout, reason = "the report")]
    pub(crate) async fn run(self) -> Result<()> {
        let binary = process::binary(self.tidings)?;
        let (whole, loaded) = (std::fs::metadata(&binary)?.len(), loaded_bytes(&binary)?);
        println!("program: {} kB, of which {} kB are loaded and the rest is symbols", whole / 1024, loaded / 1024);
        for (transport, listen) in [("QUIC", "/ip4/127.0.0.1/udp/0/quic-v1"), ("TCP", "/ip4/127.0.0.1/tcp/0")] {
            let scratch = tempfile::Builder::new().prefix("tidings-memory-").tempdir()?;
            let quiet = ["--no-mdns", "--no-dial", "--api", "off", "--address", listen];
            let node = Process::start(&binary, &scratch.path().join("node"), &quiet).await?;
            let idle = rested(&node).await?;
            println!("{transport}, alone:          {}", line(idle));
            let mut neighbours = Vec::new();
            link(&binary, scratch.path(), &node, &quiet, &mut neighbours, 1).await?;
            let one = rested(&node).await?;
            println!("{transport}, 1 neighbour:    {}", line(one));
            link(&binary, scratch.path(), &node, &quiet, &mut neighbours, self.neighbours).await?;
            let all = rested(&node).await?;
            println!("{transport}, {} neighbours:  {}", 1 + self.neighbours, line(all));
            let each = |more: i64, fewer: i64| (more - fewer) / i64::from(self.neighbours);
            println!(
                "{transport}, each further neighbour: {} kB resident, {} kB anonymous",
                each(all.all, one.all),
                each(all.anonymous, one.anonymous)
            );
        }
        Ok(())
    }
}

fn line(resident: Resident) -> String {
    format!(
        "{} kB resident (proportional {}): {} anonymous, {} of files",
        resident.all,
        resident.proportional,
        resident.anonymous,
        resident.file()
    )
}

async fn rested(node: &Process) -> Result<Resident> {
    tokio::time::sleep(REST).await;
    Resident::of(node)
}

/// Starts nodes that dial, and waits until all are neighbours.
async fn link(
    binary: &Path,
    root: &Path,
    node: &Process,
    quiet: &[&str],
    neighbours: &mut Vec<Process>,
    more: u32,
) -> Result<()> {
    let mut dialling = quiet.to_vec();
    let address = node.addresses.first().context("the node listens nowhere")?;
    dialling.extend(["--bootstrap", address]);
    for _ in 0..more {
        let directory = root.join(format!("neighbour-{}", neighbours.len()));
        neighbours.push(Process::start(binary, &directory, &dialling).await?);
    }
    let client = node.client().await?;
    for neighbour in neighbours.iter() {
        process::linked(&client, &neighbour.peer, LINK_LIMIT).await?;
    }
    Ok(())
}

/// Bytes of an ELF program that are mapped into memory: the sizes in the file of its `PT_LOAD` segments.
fn loaded_bytes(binary: &Path) -> Result<u64> {
    let elf = std::fs::read(binary)?;
    let word = |at: usize, length: usize| -> Option<u64> {
        let bytes = elf.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    };
    let read = || -> Option<u64> {
        // ELF-64, little endian: e_phoff at 32, e_phentsize at 54, e_phnum at 56; p_type 1 is PT_LOAD, p_filesz at 32.
        let (table, size, count) = (word(32, 8)?, word(54, 2)?, word(56, 2)?);
        let mut bytes = 0;
        for segment in 0..count {
            let at = usize::try_from(table + segment * size).ok()?;
            bytes += if word(at, 4)? == 1 { word(at + 32, 8)? } else { 0 };
        }
        Some(bytes)
    };
    read().context("the program is no 64-bit ELF file")
}
