//! Random bytes from the operating system, the only source this crate draws from itself.
//!
//! The ratchet library keeps a generator of its own per thread, seeded from the same source.

/// The operating system gave no random bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("expected {expected} random bytes from the operating system, got none: {cause}")]
pub struct RandomError {
    /// How many bytes were asked for.
    pub expected: usize,
    /// What the operating system said.
    pub cause: getrandom::Error,
}

/// Returns `N` random bytes from the operating system's generator.
///
/// # Errors
///
/// [`RandomError`] where the operating system has no generator or it is not yet seeded.
pub fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|cause| RandomError { expected: N, cause })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::random;

    #[test]
    fn two_draws_differ() {
        assert_ne!(random::<32>(), random::<32>());
    }
}
