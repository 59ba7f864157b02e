//! Fuzzes `tidings_fuzz::intervals`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidings_fuzz::intervals(bytes);
});
