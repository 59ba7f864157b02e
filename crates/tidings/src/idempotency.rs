//! Recognises repeated calls: hashes of a caller's key and of what it asked.

use tidings_core::message::{Idempotency, Submission};

/// Names a call by scope and key, and what it asks by its content.
pub(crate) fn of(scope: &str, key: &str, submission: &Submission) -> Idempotency {
    let mut name = blake3::Hasher::new();
    field(&mut name, scope.as_bytes());
    field(&mut name, key.as_bytes());
    let mut body = blake3::Hasher::new();
    field(&mut body, submission.to.as_bytes());
    field(&mut body, submission.class.name().as_bytes());
    field(&mut body, &submission.lifetime.as_millis().to_le_bytes());
    field(&mut body, submission.kind.as_bytes());
    field(&mut body, &submission.payload);
    field(&mut body, submission.stream.as_deref().unwrap_or_default().as_bytes());
    for (name, value) in &submission.headers {
        field(&mut body, name.as_bytes());
        field(&mut body, value.as_bytes());
    }
    if let Some(id) = submission.reply_to {
        field(&mut body, &id.to_bytes());
    }
    if submission.record_route {
        field(&mut body, b"record_route");
    }
    Idempotency { key: short(&name), body: short(&body) }
}

/// Hashes a field behind its length, so that no two lists of fields look the same.
fn field(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn short(hasher: &blake3::Hasher) -> [u8; 16] {
    let mut hash = [0; 16];
    hasher.finalize_xof().fill(&mut hash);
    hash
}
