//! A word before the process exits.

/// Calls `last` when the process exits by the end of `main` or by `exit`, while other threads still run, and before what
/// was registered earlier; atexit(3). A signal ends the process without it. `last` must not panic.
///
/// Says whether there was room for it.
#[must_use]
#[expect(unsafe_code, reason = "no safe crate offers the call")]
pub fn on_exit(last: extern "C" fn()) -> bool {
    // SAFETY: atexit(3) is declared so in every C library, is MT-Safe, and a function lives as long as its process; as
    // part of a library that is unloaded it runs before the library goes.
    unsafe extern "C" {
        safe fn atexit(last: extern "C" fn()) -> std::ffi::c_int;
    }
    atexit(last) == 0
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::Command;

    use super::*;

    extern "C" fn first() {
        let _ = std::io::stdout().write_all(b"first registered\n");
    }

    extern "C" fn second() {
        let _ = std::io::stdout().write_all(b"second registered\n");
    }

    /// The name of the test that is run again as a process of its own.
    const IN_ITS_PROCESS: &str = "TIDINGS_TEST_EXIT";

    #[test]
    fn what_was_registered_last_is_called_first() {
        if std::env::var_os(IN_ITS_PROCESS).is_some() {
            assert!(on_exit(first) && on_exit(second));
            std::process::exit(0);
        }
        let own = std::env::current_exe().unwrap();
        let name = "exit::tests::what_was_registered_last_is_called_first";
        let run = Command::new(own).args([name, "--exact", "--nocapture"]).env(IN_ITS_PROCESS, "1").output().unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(said.ends_with("second registered\nfirst registered\n"), "{said}");
    }
}
