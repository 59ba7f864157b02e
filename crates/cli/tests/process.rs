//! The program as scripts meet it: exit codes, one sentence on stderr, JSON on stdout. Without a node.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in a directory of its own, with nothing of the environment but the path.
fn tidings(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidings"))
        .env_clear()
        .env("HOME", directory)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .arg("--dir")
        .arg(directory)
        .args(arguments)
        .output()
        .expect("the program was built with the tests")
}

fn exit(output: &Output) -> i32 {
    output.status.code().expect("the program ends by itself")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is a temporary directory")
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let directory = empty();
    let wrong: [&[&str]; 20] = [
        &[],
        &["nonsense"],
        &["send"],
        &["send", "bob", "hello", "--priority", "urgent"],
        &["send", "bob", "hello", "--file", "x"],
        &["send", "bob", "hello", "--expires-in", "soon"],
        &["send", "bob", "hello", "--wait", "forever"],
        &["send", "bob", "hello", "--timeout", "5s"],
        &["receive", "--count", "0"],
        &["receive", "--peek", "--exec", "cat"],
        &["inbox", "--limit", "5000"],
        &["join"],
        &["run", "--api", "0.0.0.0"],
        &["run", "--topology", "web"],
        &["topology", "set"],
        &["topology", "set", "web"],
        &["labels", "set", "kitchen"],
        &["labels", "set", "room=1", "room=2"],
        &["peers", "--label", "a=b", "add", "/ip4/127.0.0.1/tcp/1"],
        &["completions", "cmd.exe"],
    ];
    for arguments in wrong {
        let output = tidings(directory.path(), arguments);
        assert_eq!(exit(&output), 2, "{arguments:?}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty(), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn without_a_node_every_command_exits_with_3_and_says_how_to_start_one() {
    let directory = empty();
    let id = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let commands: [&[&str]; 23] = [
        &["stop"],
        &["invite"],
        &["join", "tidings:aaaa"],
        &["send", "bob", "hello"],
        &["send", "bob", "hello", "--wait", "reply"],
        &["receive"],
        &["receive", "--peek"],
        &["status"],
        &["peers"],
        &["peers", "add", "/ip4/127.0.0.1/tcp/1"],
        &["peers", "--label", "room=kitchen"],
        &["routes"],
        &["topology"],
        &["topology", "set", "ring"],
        &["network"],
        &["labels"],
        &["labels", "set", "room=kitchen"],
        &["contacts"],
        &["contacts", "verify", "bob", "--yes"],
        &["outbox"],
        &["outbox", "cancel", id],
        &["inbox"],
        &["trace", id],
    ];
    for arguments in commands {
        for json in [&[][..], &["--json"]] {
            let arguments: Vec<&str> = arguments.iter().chain(json).copied().collect();
            let output = tidings(directory.path(), &arguments);
            let error = text(&output.stderr);
            assert_eq!(exit(&output), 3, "{arguments:?}: {error}");
            assert!(error.contains("start one with `tidings run`"), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(output.stdout.is_empty(), "{arguments:?}");
        }
    }
}

#[test]
fn a_socket_that_nobody_serves_is_no_node() {
    let directory = empty();
    let socket = directory.path().join("tidings.sock");
    drop(std::os::unix::net::UnixListener::bind(socket).expect("the path is free"));
    let output = tidings(directory.path(), &["status"]);
    assert_eq!(exit(&output), 3, "{}", text(&output.stderr));
}

#[test]
fn version_and_completions_need_no_node() {
    let directory = empty();
    let output = tidings(directory.path(), &["version"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(text(&output.stdout), format!("tidings {version}\n"));
    let output = tidings(directory.path(), &["version", "--json"]);
    assert_eq!(text(&output.stdout), format!("{{\"version\":\"{version}\"}}\n"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = tidings(directory.path(), &["completions", shell]);
        assert_eq!(exit(&output), 0, "{shell}");
        assert!(text(&output.stdout).contains("receive"), "{shell}");
    }
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let directory = empty();
    let file = "name = \"from-file\"\nlog = \"info\"\nno_mdns = true\n";
    std::fs::write(directory.path().join("config.toml"), file).expect("the directory is ours");
    let output = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .env_clear()
        .env("TIDINGS_DIR", directory.path())
        .env("TIDINGS_NAME", "from-environment")
        .env("TIDINGS_LOG", "debug")
        .args(["run", "--print-config", "--json", "--log", "trace", "--no-dht"])
        .output()
        .expect("the program was built with the tests");
    assert_eq!(exit(&output), 0, "{}", text(&output.stderr));
    let values: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object of JSON");
    let from = |key: &str| values[key]["from"].as_str().map(str::to_owned);
    assert_eq!(from("log").as_deref(), Some("flag"));
    assert_eq!(from("name").as_deref(), Some("environment"));
    assert_eq!(from("no_mdns").as_deref(), Some("config.toml"));
    assert_eq!((from("no_dht").as_deref(), &values["no_dht"]["value"]), (Some("flag"), &"true".into()));
    assert_eq!(from("api").as_deref(), Some("default"));
    assert!(!directory.path().join("token").exists(), "nothing is created");
}

#[test]
fn a_configuration_that_cannot_be_used_exits_with_2() {
    let directory = empty();
    std::fs::write(directory.path().join("config.toml"), "nmae = \"x\"\n").expect("ours");
    let output = tidings(directory.path(), &["run"]);
    assert_eq!(exit(&output), 2);
    assert!(text(&output.stderr).contains("config.toml"), "{}", text(&output.stderr));
}

#[test]
fn doctor_works_without_a_node_and_gives_a_remedy_for_everything_that_is_not_good() {
    let directory = empty();
    let output = tidings(directory.path(), &["doctor", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object of JSON");
    let checks = report["checks"].as_array().expect("a list");
    for name in ["config", "directory", "disk", "clock", "udp", "tcp", "multicast", "api"] {
        let check = checks.iter().find(|check| check["name"] == name);
        let check = check.unwrap_or_else(|| panic!("{name} is checked"));
        let good = check["verdict"] == "good";
        assert_eq!(good, check["remedy"].is_null(), "{check}");
    }
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let output = tidings(directory.path(), &["doctor"]);
    assert_eq!(exit(&output), 1);
    assert!(text(&output.stdout).contains("chmod 700"));
}

#[test]
fn output_that_is_no_terminal_has_no_colours() {
    let directory = empty();
    for arguments in [&["doctor"][..], &["--help"]] {
        let output = tidings(directory.path(), arguments);
        assert!(!output.stdout.contains(&0x1b), "{arguments:?}");
    }
}
