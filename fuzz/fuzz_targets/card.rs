//! Fuzzes `tidings_fuzz::card`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidings_fuzz::card(bytes);
});
