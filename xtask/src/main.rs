//! Project tasks.
mod codegen;

fn main() -> anyhow::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match std::env::args().nth(1).as_deref() {
        Some("codegen") => codegen::run(&root),
        _ => anyhow::bail!("usage: cargo xtask codegen"),
    }
}
