//! The OpenAPI document at the repository's root is the one that this code generates.

use std::path::Path;

/// Set it to write the document instead of comparing it.
const UPDATE: &str = "TIDINGS_UPDATE_OPENAPI";

#[test]
fn the_checked_in_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.json");
    let current = tidings_api::openapi_json();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == current,
        "openapi.json is not current: run `{UPDATE}=1 cargo test -p tidings-api --test openapi`"
    );
}

#[test]
fn it_is_openapi_3_1_and_every_operation_documents_its_failures() {
    let document: serde_json::Value = serde_json::from_str(&tidings_api::openapi_json()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let failure = &operation["responses"]["default"]["content"]["application/problem+json"];
            assert!(failure.is_object(), "{method} {path}");
        }
    }
}
