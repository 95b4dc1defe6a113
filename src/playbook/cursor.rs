//! The place of one host in a play: which task it runs next, through blocks, their rescue and always sections, included
//! files and handlers. Values in, values out.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::play::Block;
use super::play::Node;
use super::play::Task;
use crate::inventory::Vars;

/// The place of one host in a play.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    frames: Vec<Frame>,
}

/// A list of tasks that the host has begun.
#[derive(Debug, Clone)]
struct Frame {
    nodes: Arc<[Node]>,
    index: usize,
    kind: Kind,
}

/// What a list of tasks belongs to.
#[derive(Debug, Clone)]
enum Kind {
    /// The play.
    Play,
    /// A section of a block.
    Block {
        block: Arc<Block>,
        section: Section,
        /// Set if the block fails when its `always` section has ended.
        fails: bool,
    },
    /// A file or role that a task has included, and those that follow it.
    Included { order: usize, vars: Arc<Vars>, rest: std::vec::IntoIter<Inclusion> },
    /// The handlers that were notified.
    Handlers,
}

/// A file or role that a task includes on a host.
#[derive(Debug, Clone)]
pub(super) struct Inclusion {
    /// Hosts with a smaller order go first.
    pub(super) order: usize,
    /// Its tasks.
    pub(super) nodes: Arc<[Node]>,
    /// The variables that the task gives to it.
    pub(super) vars: Arc<Vars>,
}

/// The sections of a block, in the order in which they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Body,
    Rescue,
    Always,
}

/// What a cursor points at.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'c> {
    /// A task.
    Task(&'c Arc<Task>),
    /// A handler that the host has notified.
    Handler(&'c Arc<Task>),
    /// Nothing: the host has done the play.
    End,
}

impl Cursor {
    /// Begins a play.
    pub(super) fn new(tasks: Arc<[Node]>, handlers: &Arc<[Node]>, notified: &mut BTreeSet<usize>) -> Self {
        let mut cursor = Self { frames: vec![Frame { nodes: tasks, index: 0, kind: Kind::Play }] };
        cursor.settle(handlers, notified);
        cursor
    }

    /// Returns what the cursor points at.
    pub(super) fn at(&self) -> At<'_> {
        let Some(frame) = self.frames.last() else { return At::End };
        let Some(Node::Task(task)) = frame.nodes.get(frame.index) else { return At::End };
        let is_handler = self.frames.iter().any(|frame| matches!(frame.kind, Kind::Handlers));
        if is_handler { At::Handler(task) } else { At::Task(task) }
    }

    /// Returns a key that orders the hosts of a play: the hosts with the smallest key run their task next.
    pub(super) fn key(&self) -> Vec<usize> {
        self.frames.iter().flat_map(|frame| [frame.kind.order(), frame.index]).collect()
    }

    /// Returns the variables of the included files, the innermost last.
    pub(super) fn include_vars(&self) -> impl Iterator<Item = &Arc<Vars>> {
        self.frames.iter().filter_map(|frame| match &frame.kind {
            Kind::Included { vars, .. } => Some(vars),
            _ => None,
        })
    }

    /// Goes on after a task that succeeded, or whose failure is ignored.
    pub(super) fn advance(&mut self, handlers: &Arc<[Node]>, notified: &mut BTreeSet<usize>) {
        self.pass();
        self.settle(handlers, notified);
    }

    /// Goes on after a task that failed: with a `rescue` or an `always` section, or with nothing. Reports whether a
    /// `rescue` section catches the failure.
    pub(super) fn fail(&mut self, handlers: &Arc<[Node]>, notified: &mut BTreeSet<usize>) -> bool {
        let catches = |frame: &Frame| match &frame.kind {
            Kind::Block { block, section, .. } => *section == Section::Body && !block.rescue.is_empty(),
            _ => false,
        };
        let is_rescued = self.frames.iter().any(catches);
        self.unwind();
        self.settle(handlers, notified);
        is_rescued
    }

    /// Goes on with what the task has included.
    pub(super) fn include(
        &mut self,
        inclusions: Vec<Inclusion>,
        handlers: &Arc<[Node]>,
        notified: &mut BTreeSet<usize>,
    ) {
        match Frame::next_of(inclusions.into_iter()) {
            Some(frame) => self.frames.push(frame),
            None => self.pass(),
        }
        self.settle(handlers, notified);
    }

    /// Goes on with the handlers that the host has notified.
    pub(super) fn flush(&mut self, handlers: &Arc<[Node]>, notified: &mut BTreeSet<usize>) {
        self.push_handlers(handlers);
        self.settle(handlers, notified);
    }

    /// Ends the play for this host.
    pub(super) fn end(&mut self) {
        self.frames.clear();
    }

    /// Goes past the current task.
    fn pass(&mut self) {
        if let Some(frame) = self.frames.last_mut() {
            frame.index += 1;
        }
    }

    fn push_handlers(&mut self, handlers: &Arc<[Node]>) {
        self.frames.push(Frame { nodes: Arc::clone(handlers), index: 0, kind: Kind::Handlers });
    }

    /// Enters blocks, leaves lists that have ended, and passes handlers that were not notified, up to the next task.
    fn settle(&mut self, handlers: &Arc<[Node]>, notified: &mut BTreeSet<usize>) {
        while let Some(frame) = self.frames.last_mut() {
            let is_handlers = matches!(frame.kind, Kind::Handlers);
            match frame.nodes.get(frame.index) {
                Some(Node::Task(_)) if is_handlers && !notified.remove(&frame.index) => frame.index += 1,
                Some(Node::Task(_)) => return,
                Some(Node::Flush) => self.push_handlers(handlers),
                Some(Node::Block(block)) => {
                    let frame = Frame::of_block(Arc::clone(block), Section::Body, false);
                    self.frames.push(frame);
                }
                None => self.leave(),
            }
        }
    }

    /// Leaves a list that has ended.
    fn leave(&mut self) {
        match self.frames.pop().map(|frame| frame.kind) {
            Some(Kind::Block { block, section, .. }) if section < Section::Always && !block.always.is_empty() => {
                self.frames.push(Frame::of_block(block, Section::Always, false));
            }
            Some(Kind::Block { fails: true, .. }) => self.unwind(),
            Some(Kind::Included { rest, .. }) => match Frame::next_of(rest) {
                Some(frame) => self.frames.push(frame),
                None => self.pass(),
            },
            _ => self.pass(),
        }
    }

    /// Leaves every list up to the section that follows from a failure.
    fn unwind(&mut self) {
        while let Some(Frame { kind, .. }) = self.frames.pop() {
            let Kind::Block { block, section, .. } = kind else { continue };
            if section == Section::Body && !block.rescue.is_empty() {
                return self.frames.push(Frame::of_block(block, Section::Rescue, false));
            }
            if section < Section::Always && !block.always.is_empty() {
                return self.frames.push(Frame::of_block(block, Section::Always, true));
            }
        }
    }
}

impl Frame {
    fn of_block(block: Arc<Block>, section: Section, fails: bool) -> Self {
        let nodes = match section {
            Section::Body => &block.body,
            Section::Rescue => &block.rescue,
            Section::Always => &block.always,
        };
        Self { nodes: Arc::clone(nodes), index: 0, kind: Kind::Block { block, section, fails } }
    }

    /// Makes a frame of the next thing that a task has included.
    fn next_of(mut inclusions: std::vec::IntoIter<Inclusion>) -> Option<Self> {
        let Inclusion { order, nodes, vars } = inclusions.next()?;
        Some(Self { nodes, index: 0, kind: Kind::Included { order, vars, rest: inclusions } })
    }
}

impl Kind {
    /// Returns the order among the lists that begin at the same task.
    const fn order(&self) -> usize {
        match self {
            Self::Play | Self::Handlers => 0,
            Self::Block { section, .. } => *section as usize,
            Self::Included { order, .. } => *order,
        }
    }
}
