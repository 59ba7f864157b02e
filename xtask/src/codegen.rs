//! Writes the Rust types of `docs/spec/*.proto` into the crates that own them.

use std::path::Path;

use anyhow::{Context, Result};

/// `(file in docs/spec, generated package, crate's module)`.
const OUTPUTS: &[(&str, &str, &str)] = &[
    (
        "card.proto",
        "tidings.card.v1.rs",
        "crates/crypto/src/card/proto.rs",
    ),
    (
        "wire.proto",
        "tidings.wire.v1.rs",
        "crates/core/src/wire/proto.rs",
    ),
];

/// Generates every output.
pub(crate) fn run(root: &Path) -> Result<()> {
    let spec = root.join("docs/spec");
    for (proto, generated, target) in OUTPUTS {
        let descriptors = protox::compile([spec.join(proto)], [&spec])?;
        let scratch = std::env::temp_dir().join(format!("tidings-codegen-{}", std::process::id()));
        std::fs::create_dir_all(&scratch)?;
        let mut config = prost_build::Config::new();
        config.out_dir(&scratch).btree_map(["."]).bytes(["."]);
        config.compile_fds(descriptors)?;
        let text = std::fs::read_to_string(scratch.join(generated))
            .with_context(|| format!("{proto} generates {generated}"))?;
        let target = root.join(target);
        std::fs::write(&target, text)
            .with_context(|| format!("cannot write {}", target.display()))?;
        std::fs::remove_dir_all(&scratch)?;
    }
    Ok(())
}
