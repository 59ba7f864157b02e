//! Fuzzes `tidings_fuzz::parcel`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    tidings_fuzz::parcel(bytes);
});
