//! Two real nodes as processes, driven by the program alone.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tidings_api::client::Client;
use tidings_api::types::SendRequest;

/// A node that runs, in a directory of its own.
struct Running {
    directory: tempfile::TempDir,
    process: Child,
    said: Value,
}

impl Drop for Running {
    fn drop(&mut self) {
        // A node that has been stopped is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command
        .env_clear()
        .env("HOME", directory)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TIDINGS_DIR", directory);
    command
}

fn start(directory: tempfile::TempDir, name: &str) -> Running {
    start_with(directory, name, &[])
}

fn start_with(directory: tempfile::TempDir, name: &str, options: &[&str]) -> Running {
    let mut command = program(directory.path());
    command
        .args(["run", "--json", "--no-mdns", "--api", "127.0.0.1:0"])
        .args(["--address", "/ip4/127.0.0.1/udp/0/quic-v1"])
        .args(["--address", "/ip4/127.0.0.1/tcp/0"])
        .args(["--name", name])
        .args(options);
    wait_for(command, directory)
}

/// Starts a node and waits until it says that it runs.
fn wait_for(mut command: Command, directory: tempfile::TempDir) -> Running {
    let mut process = command.stdout(Stdio::piped()).spawn().expect("the program was built with the tests");
    let stdout = process.stdout.take().expect("stdout is piped");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("the node says that it runs");
    Running {
        directory,
        process,
        said: serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}")),
    }
}

fn node(name: &str) -> Running {
    start(private(), name)
}

impl Running {
    fn output(&self, arguments: &[&str]) -> Output {
        program(self.directory.path()).args(arguments).output().expect("the program was built with the tests")
    }

    /// The JSON that a command prints, which must succeed.
    fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().chain(&["--json"]).copied().collect();
        let output = self.output(&arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {error}{printed}");
        serde_json::from_slice(&output.stdout).expect("one object of JSON")
    }

    /// Where it listens, in some order that does not change.
    fn addresses(&self) -> Vec<String> {
        let list = self.said["listen_addresses"].as_array().into_iter().flatten();
        let mut addresses: Vec<String> = list.map(ToString::to_string).collect();
        addresses.sort();
        addresses
    }

    fn fails(&self, arguments: &[&str], exit: i32) -> String {
        let output = self.output(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }

    /// Asks the node to end with SIGTERM, and returns how long that took.
    fn terminate(&mut self) -> Duration {
        let start = Instant::now();
        let status = Command::new("kill").arg(self.process.id().to_string()).status().expect("there is a kill");
        assert!(status.success());
        let status = self.process.wait().expect("the node is our child");
        assert_eq!(status.code(), Some(0));
        start.elapsed()
    }
}

/// A directory that belongs to this user alone, as a node's must.
fn private() -> tempfile::TempDir {
    tempfile::Builder::new()
        .permissions(PermissionsExt::from_mode(0o700))
        .tempdir()
        .expect("there is a temporary directory")
}

/// Two nodes that have met by an invite.
fn pair() -> (Running, Running) {
    let (ada, bob) = (node("ada"), node("bob"));
    let invite = ada.json(&["invite"]);
    let invite = invite["invite"].as_str().expect("a link").to_owned();
    let joined = bob.json(&["join", &invite, "--timeout", "60s"]);
    assert_eq!(joined["contact"]["name"], "ada");
    (ada, bob)
}

#[test]
fn a_message_goes_from_one_terminal_to_the_other() {
    let (ada, bob) = pair();
    let sent = bob.json(&["send", "ada", "hello", "--wait", "delivered", "--timeout", "60s"]);
    assert_eq!(sent["state"], "delivered");
    let received = ada.json(&["receive", "--count", "1"]);
    assert_eq!(received["payload"], "hello");
    assert_eq!(received["id"], sent["id"]);
    assert_eq!(received["from"], bob.said["peer_id"]);
    let id = sent["id"].as_str().expect("an id");
    let trace = bob.json(&["trace", id]);
    assert!(trace["timeline"].as_array().is_some_and(|steps| steps.len() > 1), "{trace}");
    assert_eq!(ada.json(&["inbox"])["messages"], serde_json::json!([]));
    assert_eq!(bob.json(&["outbox"])["messages"], serde_json::json!([]));
    let peers = ada.json(&["peers"]);
    assert_eq!(peers["peers"][0]["peer_id"], bob.said["peer_id"]);
    let delivered = bob.json(&["status"])["counters"]["delivered"].as_u64();
    assert!(delivered >= Some(1), "{delivered:?}");
}

/// Asks until an answer is as wanted, and returns it.
fn until(ask: impl Fn() -> Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = ask();
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < limit, "{answer}");
    }
}

/// Three nodes, of which the first and the last are linked to the middle one alone.
fn row() -> [Running; 3] {
    let middle = start_with(private(), "bob", &["--no-dial", "--topology", "ring"]);
    let address = middle.said["listen_addresses"][0].as_str().expect("an address").to_owned();
    let end = |name| start_with(private(), name, &["--no-dial", "--bootstrap", &address]);
    [end("ada"), middle, end("eve")]
}

#[test]
fn a_message_goes_over_a_node_between_and_the_commands_show_the_way() {
    let [ada, bob, eve] = row();
    let to = eve.said["peer_id"].as_str().expect("a peer id");
    let routes = until(|| ada.json(&["routes"]), |list| list["routes"].as_array().is_some_and(|all| all.len() == 2));
    let (near, far) = (&routes["routes"][0], &routes["routes"][1]);
    assert_eq!((&near["peer_id"], &near["hops"]), (&bob.said["peer_id"], &1.into()));
    assert_eq!((&far["peer_id"], &far["hops"], &far["next_hop"]), (&to.into(), &2.into(), &bob.said["peer_id"]));
    let sent = ada.json(&["send", to, "past bob", "--wait", "delivered", "--timeout", "60s"]);
    let received = eve.json(&["receive", "--count", "1"]);
    assert_eq!((&received["id"], &received["hops"]), (&sent["id"], &2.into()));
    let id = sent["id"].as_str().expect("an id");
    assert_eq!((&ada.json(&["trace", id])["path"], &received["path"]), (&Value::Null, &Value::Null));
    let asked = ada.json(&["send", to, "by whom?", "--record-route", "--wait", "delivered", "--timeout", "60s"]);
    let id = asked["id"].as_str().expect("an id");
    let received = eve.json(&["receive", "--count", "1"]);
    let names: Vec<_> = received["path"].as_array().expect("a path").iter().map(|node| node["name"].clone()).collect();
    assert_eq!(names, ["ada", "bob", "eve"]);
    for end in [&ada, &eve] {
        assert_eq!(
            (&end.json(&["trace", id])["path"], &end.json(&["trace", id])["hops"]),
            (&received["path"], &2.into())
        );
        let shown = String::from_utf8(end.output(&["trace", id]).stdout).expect("text");
        assert!(shown.contains("  hops: 2\n  path: ada → bob → eve\n"), "{shown}");
    }
    bob.fails(&["trace", id], 4);
    let network = ada.json(&["network"]);
    assert_eq!((&network["size"], &network["delivery_rate"]), (&3.into(), &1.0.into()));
    assert!(network["latency"]["p50_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{network}");
    let shown = String::from_utf8(ada.output(&["routes"]).stdout).expect("text");
    assert!(shown.lines().any(|line| line.contains(to) && line.contains("bob")), "{shown}");
    let shown = String::from_utf8(ada.output(&["peers"]).stdout).expect("text");
    let line = shown.lines().find(|line| line.contains(to)).expect("who is further away is shown, too");
    assert_eq!(line.split_whitespace().filter(|word| ["2", "none"].contains(word)).count(), 2, "{line}");
}

#[test]
fn the_shape_and_the_labels_are_set_while_the_node_runs() {
    let [ada, bob, eve] = row();
    assert_eq!(bob.json(&["status"])["topology"], "ring");
    assert_eq!(ada.json(&["topology"])["kind"], "adaptive");
    let topology = ada.json(&["topology", "set", "star"]);
    assert_eq!((&topology["kind"], &topology["shape"]), (&"star".into(), &"star".into()));
    eve.json(&["labels", "set", "room=kitchen"]);
    assert_eq!(eve.json(&["labels"])["labels"], serde_json::json!({ "room": "kitchen" }));
    let found = |list: &Value| list["peers"].as_array().is_some_and(|peers| !peers.is_empty());
    let peers = until(|| ada.json(&["peers", "--label", "room=kitchen"]), found);
    assert_eq!(peers["peers"][0]["peer_id"], eve.said["peer_id"]);
    assert_eq!(ada.json(&["peers", "--label", "room=hall"])["peers"], serde_json::json!([]));
    eve.json(&["labels", "set"]);
    until(|| ada.json(&["peers", "--label", "room=kitchen"]), |list| !found(list));
}

#[test]
fn the_demo_shows_hops_and_a_healed_mesh_and_that_nothing_is_lost() {
    let home = private();
    for (wiring, told) in [("line", "over 2 links"), ("star", "none is killed on it")] {
        let output = program(home.path())
            .args(["demo", "--nodes", "3", "--messages", "100", "--wiring", wiring])
            .output()
            .expect("the program was built with the tests");
        let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{text}{error}");
        assert!(text.contains("everything arrived exactly once") && text.contains(told), "{text}");
        assert_eq!(text.contains("the mesh has healed"), wiring == "line", "{text}");
    }
}

#[test]
fn a_file_from_stdin_arrives_as_it_is_and_what_is_too_large_is_refused() {
    let (ada, bob) = pair();
    let content: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let mut send = program(bob.directory.path())
        .args(["send", "ada", "--wait", "acknowledged", "--timeout", "60s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program was built with the tests");
    let mut stdin = send.stdin.take().expect("stdin is piped");
    stdin.write_all(&content).expect("the program reads");
    drop(stdin);
    let target = ada.directory.path().join("arrived");
    let script = format!("cat > {} && test \"$TIDINGS_KIND\" = data", target.display());
    let receive = ada.output(&["receive", "--count", "1", "--exec", "sh", "-c", &script]);
    assert!(receive.status.success(), "{receive:?}");
    assert!(std::fs::read(&target).is_ok_and(|arrived| arrived == content));
    assert!(send.wait().is_ok_and(|status| status.success()));
    let large = bob.directory.path().join("large");
    std::fs::write(&large, vec![0; (1 << 20) + 1]).expect("ours");
    let error = bob.fails(&["send", "ada", "--file", &large.display().to_string()], 4);
    assert!(error.contains("larger than 1 MiB"), "{error}");
}

#[test]
fn a_program_that_fails_leaves_the_message_in_the_inbox() {
    let (ada, bob) = pair();
    bob.json(&["send", "ada", "x", "--wait", "delivered", "--timeout", "60s"]);
    let error = ada.fails(&["receive", "--count", "1", "--exec", "false"], 1);
    assert!(error.contains("stays in the inbox"), "{error}");
    let peeked = ada.json(&["receive", "--peek", "--count", "1"]);
    assert_eq!(peeked["payload"], "x");
    assert_eq!(peeked["redelivered"], true);
    assert_eq!(ada.json(&["inbox"])["messages"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_does_not_arrive_in_time_exits_with_5_and_what_has_ended_with_6() {
    let (mut ada, bob) = pair();
    ada.terminate();
    let error = bob.fails(&["send", "ada", "x", "--wait", "delivered", "--timeout", "1s"], 5);
    assert!(error.contains("keeps trying until"), "{error}");
    let arguments = ["send", "ada", "x", "--expires-in", "1s", "--wait", "delivered", "--timeout", "60s"];
    let error = bob.fails(&arguments, 6);
    assert!(error.contains("expired"), "{error}");
    let error = bob.fails(&["send", "nobody", "x"], 4);
    assert!(error.contains("tidings join"), "{error}");
    let open = bob.json(&["outbox"]);
    assert_eq!(open["messages"].as_array().map(Vec::len), Some(2), "{open}");
}

#[test]
fn a_node_stops_within_two_seconds_and_comes_back_as_itself() {
    let (mut ada, bob) = pair();
    let directory = ada.directory.path().to_owned();
    let took = ada.terminate();
    assert!(took < Duration::from_secs(2), "{took:?}");
    for gone in ["api.addr", "tidings.sock"] {
        assert!(!directory.join(gone).exists(), "{gone}");
    }
    let (said, addresses) = (ada.said.clone(), ada.addresses());
    assert_eq!(ada.json(&["id"])["peer_id"], said["peer_id"], "without a node, too");
    let report = ada.json(&["doctor"]);
    for name in ["identity", "database"] {
        let mut checks = report["checks"].as_array().into_iter().flatten();
        let check = checks.find(|check| check["name"] == name);
        assert!(check.is_some_and(|check| check["verdict"] == "good"), "{report}");
    }
    let empty = tempfile::tempdir().expect("there is a temporary directory");
    let again = start(std::mem::replace(&mut ada.directory, empty), "ada");
    assert_eq!(again.said["peer_id"], said["peer_id"]);
    assert_eq!(again.addresses(), addresses);
    assert_eq!(again.said["api"], said["api"]);
    bob.json(&["send", "ada", "welcome back", "--wait", "delivered", "--timeout", "60s"]);
}

#[test]
fn a_second_node_in_the_same_directory_is_refused_and_disturbs_nothing() {
    let ada = node("ada");
    let error = ada.fails(&["run", "--no-mdns"], 1);
    assert!(error.contains("tidings stop"), "{error}");
    assert_eq!(ada.json(&["status"])["state"], "active");
}

#[test]
fn stop_stops_the_node() {
    let mut ada = node("ada");
    assert_eq!(ada.json(&["stop"])["stopped"], true);
    assert!(ada.process.wait().is_ok_and(|status| status.success()));
    ada.fails(&["status"], 3);
}

#[test]
fn the_line_that_a_node_prints_works() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("not run: there is no curl on this machine");
        return;
    }
    let ada = node("ada");
    let line = ada.said["curl"].as_str().expect("a line");
    let output = Command::new("sh").args(["-c", line]).output().expect("there is a shell");
    let node: Value = serde_json::from_slice(&output.stdout).expect("one object of JSON");
    assert_eq!(node["peer_id"], ada.said["peer_id"]);
}

#[test]
fn a_node_that_ran_out_of_descriptors_serves_again_when_there_are_some() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let script = format!(
        "ulimit -n 96 && exec {} run --json --no-mdns --api 127.0.0.1:0 --address /ip4/127.0.0.1/tcp/0",
        env!("CARGO_BIN_EXE_tidings")
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env("TIDINGS_DIR", directory.path());
    let ada = wait_for(command, directory);
    let address = ada.said["api"].as_str().expect("an address").to_owned();
    let held: Vec<_> = (0..200).map_while(|_| std::net::TcpStream::connect(&address).ok()).collect();
    assert!(held.len() > 96, "the kernel takes what the node cannot");
    drop(held);
    // A database that found no descriptor is reopened first.
    let limit = Instant::now() + Duration::from_secs(60);
    while ada.json(&["status"])["state"] != "active" {
        assert!(Instant::now() < limit, "{}", ada.json(&["status"]));
    }
}

#[test]
fn a_request_prints_its_reply_and_acknowledges_it() {
    let (ada, bob) = pair();
    let request = program(bob.directory.path())
        .args(["send", "ada", "ping", "--wait", "reply", "--timeout", "60s", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program was built with the tests");
    let received = ada.json(&["receive", "--count", "1"]);
    let reply =
        SendRequest { reply_to: received["id"].as_str().map(str::to_owned), ..SendRequest::new("bob", b"pong") };
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    let sent = runtime.block_on(async {
        let client = Client::connect(ada.directory.path()).await?;
        client.send(&reply, "a key").await
    });
    let sent = sent.expect("the reply is accepted");
    let output = request.wait_with_output().expect("the program is our child");
    assert_eq!(output.status.code(), Some(0));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("one object of JSON");
    assert_eq!((&printed["id"], &printed["payload"]), (&sent.id.into(), &"pong".into()));
    assert_eq!(bob.json(&["inbox"])["messages"], serde_json::json!([]));
}

/// The disk that the log goes to may be the one that is full.
#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has a full device");
    let directory = private();
    let mut command = program(directory.path());
    command.args(["run", "--json", "--no-mdns", "--api", "off", "--log", "debug"]);
    command.args(["--address", "/ip4/127.0.0.1/tcp/0"]).stderr(full());
    let mut node = wait_for(command, directory);
    node.json(&["status"]);
    node.terminate();
}
