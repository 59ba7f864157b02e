//! How time passes in a [`Net`].

use super::*;
use tidings_core::message::MessageState;

impl Net {
    /// Something happens at a node, now. Nothing happens at one that does not run.
    pub fn input(&mut self, index: usize, input: Input) {
        let now = self.time(index);
        if let Some(engine) = &mut self.nodes[index].engine {
            engine.handle(now, input);
            self.drain(index);
        }
    }

    /// The application of a node asks for something.
    pub fn command(&mut self, index: usize, command: Command) -> CommandId {
        let node = &mut self.nodes[index];
        let id = CommandId(node.next_command);
        node.next_command += 1;
        if node.engine.is_some() {
            node.app.on_command(id, &command);
        }
        self.input(index, Input::Command(id, command));
        self.app_turn(index);
        id
    }

    pub(crate) fn drain(&mut self, index: usize) {
        while let Some(output) = self.nodes[index].engine.as_mut().and_then(Engine::poll_output) {
            self.obey(index, output);
        }
    }

    /// The application does what it has made up its mind to.
    pub(crate) fn app_turn(&mut self, index: usize) {
        while let Some(command) = self.nodes[index].app.wish() {
            if self.nodes[index].engine.is_none() {
                return;
            }
            self.command(index, command);
        }
    }

    fn obey(&mut self, index: usize, output: Output) {
        match output {
            Output::Persist { batch, records } => self.persist(index, batch, records),
            Output::Load { load, query } => {
                let node = &mut self.nodes[index];
                let (life, loaded) = (node.life, node.store.load(&query));
                node.loads.push(query);
                self.schedule(Duration::from_micros(200), Happening::Answer { node: index, life, load, loaded });
            }
            Output::Transmit { link, bytes } => self.transmit(index, link, bytes),
            Output::Close { link } => {
                if let Some((wire, side)) = self.wire(index, link) {
                    let (free, delay) = (self.wires[wire].free[side].max(self.now), micros(self.road.delay));
                    let after = Duration::from_micros(free + delay - self.now);
                    self.schedule(after, Happening::Down { wire, at: 0 });
                    self.schedule(after, Happening::Down { wire, at: 1 });
                }
            }
            Output::Dial { dial, address: to, .. } => {
                let life = self.nodes[index].life;
                let found = (0..self.nodes.len()).find(|other| address(*other) == to || second_address(*other) == to);
                let delay = self.road.delay * 2;
                self.schedule(delay, Happening::Connect { from: index, life, to: found, dial, address: to });
            }
            Output::Publish { .. } => {}
            Output::FindPeer { peer } => self.sought.push((self.now, index, peer)),
            Output::Reply(command, reply) => self.nodes[index].app.on_reply(command, reply),
            Output::Event(event) => {
                let node = &mut self.nodes[index];
                node.app.on_event(&node.store, event);
            }
        }
    }

    fn persist(&mut self, index: usize, batch: BatchNo, records: Vec<tidings_core::record::Record>) {
        let node = &mut self.nodes[index];
        node.batches += 1;
        node.store.apply(batch, records).expect("records fit what is stored");
        node.most_sealed = node.most_sealed.max(node.store.sealed_parcels());
        if node.crash_at == Some(node.batches) {
            node.crash_at = None;
            self.crash(index);
            self.schedule(Duration::from_millis(50), Happening::Start { node: index });
        } else if let Disk::After(delay) = node.disk {
            let life = node.life;
            self.schedule(delay, Happening::Durable { node: index, life, batch });
        }
    }

    fn wire(&self, index: usize, link: LinkId) -> Option<(usize, usize)> {
        let at = |wire: &Wire| wire.ends.iter().position(|end| *end == (index, link)).filter(|_| wire.open);
        self.wires.iter().enumerate().rev().find_map(|(number, wire)| Some((number, at(wire)?)))
    }

    fn transmit(&mut self, index: usize, link: LinkId, bytes: Bytes) {
        if self.record == Some(index) {
            self.recorded.push(bytes.clone());
        }
        let bytes = self.altered(bytes);
        let Some((wire, side)) = self.wire(index, link) else { return };
        let length = bytes.len() as u64;
        self.carried += length;
        let begin = self.wires[wire].free[side].max(self.now);
        let end = begin + length * 1_000_000 / self.road.rate;
        self.wires[wire].free[side] = end;
        let sent = Duration::from_micros(end - self.now);
        self.schedule(sent, Happening::Drained { wire, at: side, bytes: length });
        self.schedule(sent + self.road.delay, Happening::Arrive { wire, to: 1 - side, bytes });
    }

    fn altered(&mut self, bytes: Bytes) -> Bytes {
        self.chunks += 1;
        let Some((at, kind, by)) = self.faults.remove(&self.chunks) else { return bytes };
        let at = (bytes.len() as u128 * u128::from(at)) >> 64;
        let (at, mut altered) = (usize::try_from(at).expect("within the bytes"), bytes.to_vec());
        match kind {
            0 => altered[at] ^= by,
            1 => drop(altered.drain(at..)),
            2 => altered.insert(at, by),
            _ => altered.extend_from_slice(&bytes[at..]),
        }
        altered.into()
    }

    fn connect(&mut self, from: usize, to: usize, dial: DialId, remote: Address) {
        let (here, there) = (LinkId(self.last_link + 1), LinkId(self.last_link + 2));
        self.last_link += 2;
        let keys = [self.nodes[from].key(), self.nodes[to].key()];
        let wire = Wire {
            ends: [(from, here), (to, there)],
            lives: [self.nodes[from].life, self.nodes[to].life],
            free: [0; 2],
            open: true,
        };
        self.wires.push(wire);
        let kind = LinkKind::Tcp;
        let up = [
            Input::LinkUp { link: here, peer: keys[1], kind, dial: Some(dial), address: remote },
            Input::LinkUp { link: there, peer: keys[0], kind, dial: None, address: address(from) },
        ];
        for ((node, link), up) in [(from, here), (to, there)].into_iter().zip(up) {
            self.input(node, up);
            self.input(node, Input::Writable { link, bytes: GRANT });
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Durable { node, life, batch } if self.nodes[node].life == life => {
                self.nodes[node].store.sync_to(batch);
                self.input(node, Input::Persisted(batch));
            }
            Happening::Answer { node, life, load, loaded } if self.nodes[node].life == life => {
                self.input(node, Input::Loaded(load, loaded));
            }
            Happening::Durable { .. } | Happening::Answer { .. } => {}
            Happening::Arrive { wire, to, bytes } => {
                let ((node, link), open) = (self.wires[wire].ends[to], self.wires[wire].open);
                if open && self.wires[wire].lives[to] == self.nodes[node].life {
                    self.input(node, Input::Bytes { link, bytes });
                }
            }
            Happening::Drained { wire, at, bytes } => {
                let (node, link) = self.wires[wire].ends[at];
                if self.wires[wire].open {
                    self.input(node, Input::Writable { link, bytes });
                }
            }
            Happening::Down { wire, at } => {
                self.wires[wire].open = false;
                let (node, link) = self.wires[wire].ends[at];
                if self.wires[wire].lives[at] == self.nodes[node].life {
                    self.input(node, Input::LinkDown { link });
                }
            }
            Happening::Connect { from, life, to, dial, address } => {
                if self.nodes[from].life != life || self.nodes[from].engine.is_none() {
                    return;
                }
                let open = |to: &usize| self.nodes[*to].engine.is_some() && !self.apart.contains(&pair(from, *to));
                match to.filter(open) {
                    Some(to) => self.connect(from, to, dial, address),
                    None => self.input(from, Input::DialFailed { dial, reason: "refused".to_owned() }),
                }
            }
            Happening::Start { node } => self.start(node),
        }
    }

    /// Lets the next thing happen, if it is due by then. Says whether something did.
    fn step(&mut self, until: u64) -> bool {
        let tick = |node: &Node| node.engine.as_ref().and_then(Engine::next_deadline).map(|at| at.0);
        let ticks = self.nodes.iter().enumerate().filter_map(|(index, node)| Some((tick(node)?, index)));
        let tick = ticks.min();
        let next = self.queue.keys().next().copied();
        match (tick, next) {
            (Some((at, index)), next) if at <= until && next.is_none_or(|(time, _)| at < time) => {
                self.now = self.now.max(at);
                self.input(index, Input::Tick);
            }
            (_, Some(key)) if key.0 <= until => {
                self.now = self.now.max(key.0);
                let happening = self.queue.remove(&key).expect("it was just seen");
                self.happen(happening);
            }
            _ => return false,
        }
        for index in 0..self.nodes.len() {
            self.app_turn(index);
        }
        true
    }

    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now + micros(duration);
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until something holds; fails if it does not within an hour of virtual time.
    #[track_caller]
    pub fn run_until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let until = self.now + micros(Duration::from_hours(1));
        while !holds(self) {
            if !self.step(until) {
                self.explain();
                panic!("within an hour: {what}");
            }
        }
    }

    pub(crate) fn explain(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(engine) = &node.engine {
                let waiting = node.app.sent.keys().map(|id| (id, node.store.state(*id)));
                let waiting: Vec<_> = waiting.filter(|(_, state)| *state != Some(MessageState::Acknowledged)).collect();
                let view = engine.view();
                println!("node {index}: sent {waiting:?} asked {} {:?}", node.app.is_answered(), view.counters);
                println!("{:#?}", view.peers);
            }
        }
    }
}
