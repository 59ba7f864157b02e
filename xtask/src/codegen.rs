//! Writes the Rust types of `docs/spec/*.proto` into the crates that own them.

use std::path::Path;

use anyhow::{Context as _, Result};

/// File in docs/spec, generated package, the module that owns it.
const OUTPUTS: [(&str, &str, &str); 3] = [
    ("card.proto", "tidings.card.v1.rs", "crates/crypto/src/card/proto.rs"),
    ("routing.proto", "tidings.routing.v1.rs", "crates/crypto/src/announcement/proto.rs"),
    ("wire.proto", "tidings.wire.v1.rs", "crates/core/src/wire/proto.rs"),
];

/// Writes every output.
pub(crate) fn write(root: &Path) -> Result<()> {
    for (proto, package, target) in OUTPUTS {
        let target = root.join(target);
        std::fs::write(&target, generate(root, proto, package)?)
            .with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(())
}

/// Names the outputs that differ from what their `.proto` says.
pub(crate) fn stale(root: &Path) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for (proto, package, target) in OUTPUTS {
        if std::fs::read_to_string(root.join(target))? != generate(root, proto, package)? {
            stale.push(format!("{target} is not what docs/spec/{proto} generates; run `cargo xtask codegen`"));
        }
    }
    Ok(stale)
}

fn generate(root: &Path, proto: &str, package: &str) -> Result<String> {
    let spec = root.join("docs/spec");
    let descriptors = protox::compile([spec.join(proto)], [&spec])?;
    let scratch = std::env::temp_dir().join(format!("tidings-codegen-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    prost_build::Config::new().out_dir(&scratch).bytes(["."]).compile_fds(descriptors)?;
    let text = std::fs::read_to_string(scratch.join(package)).with_context(|| format!("{proto} gave no {package}"));
    std::fs::remove_dir_all(&scratch)?;
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn generated_types_are_current() {
        assert_eq!(super::stale(&crate::root()).expect("the spec compiles"), Vec::<String>::new());
    }
}
