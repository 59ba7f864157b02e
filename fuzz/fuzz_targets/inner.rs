//! Fuzzes `tidings_fuzz::inner`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidings_fuzz::inner(bytes);
});
