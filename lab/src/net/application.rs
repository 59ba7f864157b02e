//! The application of a node: it sends, reads and acknowledges through the public API, and writes all of it down.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::future::{BoxFuture, FutureExt as _, try_join_all};
use tidings_api::client::{Client, ClientError, Stream};
use tidings_api::types::{
    BatchRequest, Event, EventKind, Operation, Push, ReceivedMessage, Request, SendResult, State as ApiState,
};
use tidings_core::ids::MessageId;
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

use super::journal::Journal;
use super::workload::{Submit, Workload};
use crate::log::{Entry, Hash, Id, Outcome, State};
use crate::scenario::{Nodes, Scenario};

/// What a call takes at most.
const MOST_MESSAGES: usize = 1_000;
/// How long a client waits before it asks again what was refused.
const PAUSE: Duration = Duration::from_secs(1);

/// An application, across the lives of its node.
#[derive(Debug)]
pub(super) struct Application {
    node: usize,
    scenario: Arc<Scenario>,
    /// The peer ids of all nodes, in order.
    names: Arc<[String]>,
    journal: Journal,
    workload: Mutex<Workload>,
    /// Something is to be acknowledged.
    shown: Notify,
}

/// The moments of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) began: Instant,
    /// Nothing is sent any more.
    pub(super) ends: Instant,
}

impl Application {
    pub(super) fn new(
        node: usize,
        scenario: Arc<Scenario>,
        names: Arc<[String]>,
        journal: Journal,
        workload: Workload,
    ) -> Self {
        Self { node, scenario, names, journal, workload: Mutex::new(workload), shown: Notify::new() }
    }

    /// Uses a node until that fails, as it does at the node's end.
    pub(super) async fn live(&self, directory: &Path, times: Times) -> Result<Infallible> {
        let client = Client::connect(directory).await?;
        client.node().await?;
        self.journal.write(Entry::Start)?;
        let mut tasks: Vec<BoxFuture<'_, Result<Infallible>>> = vec![
            self.read(&client).boxed(),
            self.follow(&client).boxed(),
            self.acknowledge(&client).boxed(),
            self.repeat(&client).boxed(),
        ];
        for number in 0..self.scenario.send.len() {
            if self.sends(number) {
                tasks.push(self.send(&client, number, times).boxed());
            }
        }
        let failed = try_join_all(tasks).await;
        failed?.into_iter().next().context("an application has work")
    }

    /// There is no node to talk to any more; must follow each [`Self::live`] that was dropped or failed.
    pub(super) fn end(&self) -> Result<()> {
        self.lock().on_end();
        self.journal.write(Entry::End)
    }

    /// Whether everything asked and sent has come to an end.
    pub(super) fn is_settled(&self) -> bool {
        self.lock().is_settled()
    }

    /// How many messages have not ended.
    pub(super) fn open(&self) -> usize {
        self.lock().open().len()
    }

    fn lock(&self) -> MutexGuard<'_, Workload> {
        // Each change is a statement; what panics between leaves a workload that can still be read.
        self.workload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sends(&self, number: usize) -> bool {
        match &self.scenario.send[number].from {
            Nodes::All => true,
            Nodes::These(nodes) => nodes.contains(&self.node),
        }
    }

    /// Makes a table's calls at their times.
    async fn send(&self, client: &Client, number: usize, times: Times) -> Result<Infallible> {
        let send = &self.scenario.send[number];
        let ends = times.ends.min(send.end.map_or(times.ends, |end| times.began + end.0));
        let stagger = self.lock().stagger(send);
        let mut next = Instant::now().max(times.began + send.begin.map_or(Duration::ZERO, |begin| begin.0)) + stagger;
        while next <= ends && !self.lock().is_done(number, send) {
            sleep_until(next.into()).await;
            let submit = self.lock().compose(number, send, &self.names);
            self.submit(client, submit).await?;
            next += send.every.0;
        }
        std::future::pending().await
    }

    /// Makes calls again that an earlier life left without an answer.
    async fn repeat(&self, client: &Client) -> Result<Infallible> {
        loop {
            let submit = self.lock().again.pop_front();
            match submit {
                Some(submit) => self.submit(client, submit).await?,
                None => return std::future::pending().await,
            }
        }
    }

    async fn submit(&self, client: &Client, mut submit: Submit) -> Result<()> {
        let call = self.lock().call();
        let repeats = submit.first_call.filter(|first| *first != call);
        submit.first_call.get_or_insert(call);
        self.journal.write(Entry::Submit { call, messages: submit.written.clone(), repeats })?;
        self.lock().asked.insert(call, submit.clone());
        let results = outcomes(client, &submit).await?;
        self.journal.write(Entry::Answer { call, results: results.clone() })?;
        self.lock().asked.remove(&call);
        for outcome in &results {
            if let Outcome::Accepted(id) = outcome {
                let early = self.lock().on_accepted(id.0);
                early.into_iter().try_for_each(|state| self.journal.write(Entry::State { id: *id, state }))?;
            }
        }
        for (index, after) in submit.cancels {
            if let Some(Outcome::Accepted(id)) = results.get(index) {
                sleep(after).await;
                self.journal.write(Entry::Cancel { id: *id })?;
                // Refused where it has been delivered meanwhile.
                refused_or(client.cancel(&id.0.to_string()).await)?.ok();
            }
        }
        Ok(())
    }
}

/// What became of each message of a call; fails where there is no answer.
async fn outcomes(client: &Client, submit: &Submit) -> Result<Vec<Outcome>> {
    if let [request] = submit.requests.as_slice() {
        // A single message has its key in the header.
        let mut request = request.clone();
        let key = request.idempotency_key.take().context("every message has a key")?;
        return Ok(vec![match refused_or(client.send(&request, &key).await)? {
            Ok(accepted) => Outcome::Accepted(id(&accepted.id)?),
            Err(why) => Outcome::Refused(why),
        }]);
    }
    let batch = BatchRequest { messages: submit.requests.clone() };
    match refused_or(client.send_batch(&batch).await)? {
        Ok(answer) => answer.results.into_iter().map(outcome).collect(),
        Err(why) => Ok(submit.requests.iter().map(|_| Outcome::Refused(why.clone())).collect()),
    }
}

fn outcome(result: SendResult) -> Result<Outcome> {
    Ok(match result {
        SendResult::Accepted(accepted) => Outcome::Accepted(id(&accepted.id)?),
        SendResult::Refused { error } => Outcome::Refused(error.code.name().to_owned()),
    })
}

/// Tells an answer that refuses from one that is missing.
fn refused_or<T>(result: Result<T, ClientError>) -> Result<Result<T, String>> {
    match result {
        Ok(answer) => Ok(Ok(answer)),
        Err(ClientError::Refused(problem)) => Ok(Err(problem.code.name().to_owned())),
        Err(error) => Err(error.into()),
    }
}

fn id(text: &str) -> Result<Id> {
    MessageId::from_str(text).map(Id).with_context(|| format!("the node names a message {text:?}"))
}

impl Application {
    /// Shows what is in the inbox, and what comes.
    async fn read(&self, client: &Client) -> Result<Infallible> {
        let mut stream = subscribe(client, EventKind::Message).await?;
        loop {
            match next(&mut stream).await? {
                Event::Message { message, .. } => self.show(&message)?,
                Event::Lagged { missed } => bail!("the client missed {missed} messages"),
                Event::State { .. } | Event::Peer { .. } | Event::Topology { .. } => {}
            }
        }
    }

    fn show(&self, message: &ReceivedMessage) -> Result<()> {
        let payload = message.content.to_bytes()?;
        let Id(shown) = id(&message.id)?;
        // Whom nobody knows is nobody's number.
        let from = self.names.iter().position(|name| *name == message.from).and_then(|from| u32::try_from(from).ok());
        self.journal.write(Entry::Shown {
            id: Id(shown),
            from: from.unwrap_or(u32::MAX),
            hash: Hash::of(&payload),
            stream: message.stream.clone(),
        })?;
        self.lock().to_acknowledge.push(shown);
        self.shown.notify_one();
        Ok(())
    }

    async fn acknowledge(&self, client: &Client) -> Result<Infallible> {
        loop {
            self.shown.notified().await;
            sleep(self.scenario.client.acknowledge_after.map_or(Duration::ZERO, |after| after.0)).await;
            loop {
                let (call, ids) = {
                    let mut workload = self.lock();
                    let count = workload.to_acknowledge.len().min(MOST_MESSAGES);
                    (workload.call(), workload.to_acknowledge[..count].to_vec())
                };
                if ids.is_empty() {
                    break;
                }
                self.journal.write(Entry::Acknowledge { call, ids: ids.iter().copied().map(Id).collect() })?;
                match refused_or(client.acknowledge(ids.iter().map(MessageId::to_string).collect()).await)? {
                    Ok(answer) => {
                        let unknown = answer.unknown.iter().map(|text| id(text)).collect::<Result<_>>()?;
                        self.journal.write(Entry::Acknowledged { call, unknown })?;
                        let done: BTreeSet<_> = ids.into_iter().collect();
                        self.lock().to_acknowledge.retain(|id| !done.contains(id));
                    }
                    // Not acknowledged: asked again, as any client would.
                    Err(_) => sleep(PAUSE).await,
                }
            }
        }
    }

    /// Hears what became of messages, from the last change that it was told.
    async fn follow(&self, client: &Client) -> Result<Infallible> {
        let mut stream = subscribe(client, EventKind::State).await?;
        let told = self.lock().told.clone().unwrap_or_else(|| "0.0".to_owned());
        stream.say(&Request { req: None, operation: Operation::Resume { at: told } }).await?;
        loop {
            match next(&mut stream).await? {
                Event::State { at, message_id, state, .. } => {
                    self.on_state(&message_id, state)?;
                    self.lock().told = Some(at);
                }
                Event::Lagged { .. } => self.ask(client).await?,
                Event::Message { .. } | Event::Peer { .. } | Event::Topology { .. } => {}
            }
        }
    }

    /// Asks for each open message, since changes were missed.
    async fn ask(&self, client: &Client) -> Result<()> {
        let open = self.lock().open().clone();
        for id in open {
            let id = id.to_string();
            if let Ok(detail) = refused_or(client.message(&id, &tidings_api::types::WaitQuery::default()).await)? {
                self.on_state(&id, detail.summary.state)?;
            }
        }
        Ok(())
    }

    fn on_state(&self, message_id: &str, state: ApiState) -> Result<()> {
        let Id(told) = id(message_id)?;
        let Some(state) = told_state(state) else { return Ok(()) };
        if self.lock().on_state(told, state) {
            self.journal.write(Entry::State { id: Id(told), state })?;
        }
        Ok(())
    }
}

/// The states that a client writes down.
fn told_state(state: ApiState) -> Option<State> {
    match state {
        ApiState::Delivered => Some(State::Delivered),
        ApiState::Acknowledged => Some(State::Acknowledged),
        ApiState::Expired => Some(State::Expired),
        ApiState::Failed => Some(State::Failed),
        ApiState::Cancelled => Some(State::Cancelled),
        // Not an end, nor told by a receipt; whatever later versions add is neither.
        ApiState::Accepted | ApiState::InFlight | _ => None,
    }
}

async fn subscribe(client: &Client, kind: EventKind) -> Result<Stream> {
    let mut stream = client.stream().await?;
    let operation = Operation::Subscribe { events: vec![kind], kinds: None };
    stream.say(&Request { req: None, operation }).await?;
    Ok(stream)
}

/// The next event; fails where the node ends the stream or refuses something.
async fn next(stream: &mut Stream) -> Result<Event> {
    loop {
        match stream.next().await?.context("the node ended the stream")? {
            Push::Event(event) => return Ok(event),
            Push::Answer(answer) => {
                if let Some(error) = answer.error {
                    bail!("the node refused a stream: {}", error.detail);
                }
            }
        }
    }
}
