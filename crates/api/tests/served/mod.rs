//! A node and the interface in front of it, for tests.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::SocketAddr;
use std::time::Duration;

use tidings::config::Switch;
use tidings::{Address, Builder, Node};
use tidings_api::client::{Client, ClientError, Stream};
use tidings_api::server::{Options, Server};
use tidings_api::types::{Code, InboxQuery, Operation, Push, ReceivedMessage, Request, State, WaitQuery, WaitState};

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A node and its interface.
pub(crate) struct Served {
    pub(crate) node: Node,
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) directory: tempfile::TempDir,
}

/// A node on loopback that finds nobody by itself.
pub(crate) async fn serve(name: &str) -> Served {
    serve_as(Node::builder(), name).await
}

pub(crate) async fn serve_as(builder: Builder, name: &str) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let node = builder
        .dir(directory.path())
        .name(name)
        .address(Address::new("/ip4/127.0.0.1/tcp/0").unwrap())
        .mdns(Switch::Off)
        .start()
        .await
        .unwrap();
    let options = Options {
        directory: directory.path().to_owned(),
        tcp: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        allow_origin: Vec::new(),
    };
    let server = Server::start(node.clone(), options).await.unwrap();
    let client = Client::connect(directory.path()).await.unwrap();
    Served { node, server, client, directory }
}

impl Served {
    /// Ends it, and checks what it leaves behind.
    pub(crate) async fn stop(self) {
        self.node.shutdown().await;
        self.server.stop().await;
        assert!(!self.directory.path().join("api.addr").exists());
        assert!(!self.directory.path().join("tidings.sock").exists());
        assert!(self.directory.path().join("token").exists());
    }

    /// The oldest unacknowledged messages.
    pub(crate) async fn inbox(&self) -> Vec<ReceivedMessage> {
        let query = InboxQuery { wait_seconds: Some(DEADLINE.as_secs()), ..InboxQuery::default() };
        self.client.inbox(&query).await.unwrap().messages
    }

    /// Waits for a state of a message, and returns the one that it has then.
    pub(crate) async fn reached(&self, id: &str, state: WaitState) -> State {
        let query = WaitQuery { wait_state: Some(state), wait_seconds: Some(DEADLINE.as_secs()) };
        let message = self.client.message(id, &query).await.unwrap();
        assert_eq!(message.reached, Some(true), "{message:?}");
        message.summary.state
    }
}

/// The code of a refusal.
pub(crate) fn refusal(error: ClientError) -> Code {
    let ClientError::Refused(problem) = error else {
        panic!("expected a problem, got {error}");
    };
    problem.code
}

/// Asks something on a stream.
pub(crate) async fn say(stream: &mut Stream, req: u64, operation: Operation) {
    let request = Request { req: Some(req), operation };
    stream.say(&request).await.unwrap();
}

/// What the stream says next.
pub(crate) async fn hear(stream: &mut Stream) -> Push {
    let next = tokio::time::timeout(DEADLINE, stream.next()).await;
    next.expect("the node says something").unwrap().expect("the stream is open")
}
