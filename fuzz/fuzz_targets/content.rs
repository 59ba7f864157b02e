//! Fuzzes `tidings_fuzz::content`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidings_fuzz::content(bytes);
});
