//! An open `top`: it waits for keys, for the store and for the end of work, and draws when something has changed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::TopArgs;
use super::cluster;
use super::cluster::Events;
use crate::cli::Context;
use crate::cli::error::CommandError;
use crate::cli::error::ExitStatus;
use crate::control::preview::Planner;
use crate::control::read_model::View;
use crate::core::model::Snapshot;
use crate::remote::Target;
use crate::runner::ClusterContext;
use crate::ui::screen::Screen;
use crate::ui::terminal::stdout_has_color;
use crate::ui::top;
use crate::ui::top::App;
use crate::ui::top::Effect;
use crate::ui::top::Message;

/// The least time between two pictures that no key asked for.
const DRAW_INTERVAL: Duration = Duration::from_millis(50);

/// The least time between two readings of the cluster, and how many times as long as one reading it is.
const REFRESH: (Duration, u32) = (Duration::from_millis(100), 20);

/// How many news wait for the screen.
const WAITING: usize = 256;

/// What a task tells the session.
#[derive(Debug)]
pub(super) enum News {
    /// A message for the screen.
    Message(Message),
    /// The machines were observed.
    Looked(Box<Snapshot>),
    /// A machine answers, so that a shell can be opened there.
    Reached(Box<Target>),
}

/// Why the session goes on.
enum Wake {
    News(News),
    /// The records have changed.
    Changed,
    /// It is time to read the changed records.
    Refresh,
    /// An age that is shown has changed.
    Tick,
    /// It is time to draw.
    Draw,
    Resized,
    End(ExitStatus),
}

/// An open `top`.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) context: &'a Context,
    pub(super) args: TopArgs,
    pub(super) cluster: ClusterContext,
    view: View,
    app: App,
    screen: Screen,
    events: Events,
    /// The records after a look at the machines, until the store changes.
    looked: Option<Arc<Snapshot>>,
    pub(super) sender: mpsc::Sender<News>,
    news: mpsc::Receiver<News>,
    pub(super) journal: Option<AbortHandle>,
    pub(super) planner: Option<Arc<Planner>>,
    /// Changes that are being carried out.
    pub(super) changes: JoinSet<()>,
    hung_up: Signal,
    resized: Signal,
    is_dirty: bool,
    draw_at: Instant,
    /// When changed records are read, if there are some.
    refresh_at: Option<Instant>,
    refreshed: (Instant, Duration),
    tick_at: Option<Instant>,
}

impl<'a> Session<'a> {
    /// Opens the screen.
    pub(super) fn open(
        context: &'a Context,
        args: TopArgs,
        cluster: ClusterContext,
        view: View,
    ) -> Result<Self, CommandError> {
        let failed = |error: io::Error| CommandError::failed("cannot draw on the terminal").caused_by(error);
        let hung_up = signal(SignalKind::hangup()).map_err(failed)?;
        let resized = signal(SignalKind::window_change()).map_err(failed)?;
        let screen = Screen::open().map_err(failed)?;
        let (sender, news) = mpsc::channel(WAITING);
        let app = App::new(&context.settings.cluster(), stdout_has_color(), screen.size());
        let now = Instant::now();
        Ok(Self {
            context,
            args,
            cluster,
            view,
            app,
            screen,
            events: Events::default(),
            looked: None,
            sender,
            news,
            journal: None,
            planner: None,
            changes: JoinSet::new(),
            hung_up,
            resized,
            is_dirty: true,
            draw_at: now,
            refresh_at: None,
            refreshed: (now, Duration::ZERO),
            tick_at: None,
        })
    }

    /// Returns how many changes are still being carried out.
    pub(super) fn unfinished(&mut self) -> usize {
        while self.changes.try_join_next().is_some() {}
        self.changes.len()
    }

    /// Runs until the operator ends it, or the terminal is gone.
    pub(super) async fn run(&mut self) -> Result<ExitStatus, CommandError> {
        loop {
            let effects = match self.wake().await {
                Wake::News(News::Message(message)) => self.tell(message),
                Wake::News(News::Looked(snapshot)) => {
                    self.looked = Some(Arc::new(*snapshot));
                    self.refresh()
                }
                Wake::News(News::Reached(target)) => self.shell(&target).await?,
                Wake::Changed => {
                    let (last, cost) = self.refreshed;
                    self.refresh_at.get_or_insert(last + (cost * REFRESH.1).max(REFRESH.0));
                    Vec::new()
                }
                Wake::Refresh => {
                    self.looked = None;
                    self.refresh()
                }
                Wake::Tick => self.tell(Message::Tick(self.cluster.clock.now())),
                Wake::Resized => self.resize(),
                Wake::Draw => {
                    self.draw()?;
                    Vec::new()
                }
                Wake::End(status) => return Ok(status),
            };
            for effect in effects {
                match effect {
                    Effect::Quit => return Ok(ExitStatus::Done),
                    Effect::Redraw => self.screen.clear().map_err(lost)?,
                    effect => self.begin(effect),
                }
            }
        }
    }

    /// Waits until there is something to do.
    async fn wake(&mut self) -> Wake {
        let far = Instant::now() + Duration::from_hours(1);
        tokio::select! {
            biased;
            () = self.context.stop.cancelled() => Wake::End(ExitStatus::Interrupted),
            _ = self.hung_up.recv() => Wake::End(ExitStatus::Interrupted),
            key = self.screen.key() => match key {
                Some(key) => {
                    self.draw_at = Instant::now();
                    Wake::News(News::Message(Message::Key(key)))
                }
                None => Wake::End(ExitStatus::Interrupted),
            },
            _ = self.resized.recv() => Wake::Resized,
            () = tokio::time::sleep_until(self.draw_at), if self.is_dirty => Wake::Draw,
            () = tokio::time::sleep_until(self.refresh_at.unwrap_or(far)), if self.refresh_at.is_some() => Wake::Refresh,
            Some(news) = self.news.recv() => Wake::News(news),
            is_open = self.view.changed(), if self.refresh_at.is_none() => {
                if is_open { Wake::Changed } else { Wake::End(ExitStatus::Failed) }
            }
            () = tokio::time::sleep_until(self.tick_at.unwrap_or(far)), if self.tick_at.is_some() => Wake::Tick,
        }
    }

    /// Hands a message to the application.
    pub(super) fn tell(&mut self, message: Message) -> Vec<Effect> {
        self.is_dirty = true;
        let is_time = matches!(message, Message::Tick(_) | Message::Cluster(..));
        let effects = self.app.update(message);
        if is_time {
            self.tick_at = self.app.ages_in().map(|limit| Instant::now() + limit);
        }
        effects
    }

    /// Reads the cluster.
    fn refresh(&mut self) -> Vec<Effect> {
        let began = Instant::now();
        self.refresh_at = None;
        let published = self.view.now();
        if !published.is_read && published.stale.is_none() {
            return Vec::new();
        }
        let snapshot = self.looked.clone().unwrap_or_else(|| published.snapshot());
        let now = self.cluster.clock.now();
        let cluster = cluster::cluster(published, snapshot, &mut self.events, now);
        let effects = self.tell(Message::Cluster(Box::new(cluster), now));
        self.refreshed = (Instant::now(), began.elapsed());
        effects
    }

    /// Returns the records that are shown.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.looked.clone().unwrap_or_else(|| self.view.now().snapshot())
    }

    fn resize(&mut self) -> Vec<Effect> {
        let (columns, rows) = self.screen.size();
        self.draw_at = Instant::now();
        self.tell(Message::Size(columns, rows))
    }

    fn draw(&mut self) -> Result<(), CommandError> {
        let app = &self.app;
        self.screen.draw(|frame| top::draw(app, frame)).map_err(lost)?;
        self.is_dirty = false;
        self.draw_at = Instant::now() + DRAW_INTERVAL;
        Ok(())
    }

    /// Gives the terminal to a shell on a machine until the shell ends.
    async fn shell(&mut self, target: &Target) -> Result<Vec<Effect>, CommandError> {
        self.screen.suspend();
        let ended = self.cluster.remote.interact(target, None).await;
        self.screen.resume().map_err(lost)?;
        let effects = self.resize();
        match ended {
            Ok(_) => {
                self.tell(Message::Notice(format!("the shell on {} has ended", target.name)));
            }
            Err(failure) => {
                self.tell(Message::Text(format!("shell on {}", target.name), failure.to_string()));
            }
        }
        Ok(effects)
    }
}

/// Makes the error of a terminal that takes nothing.
fn lost(error: io::Error) -> CommandError {
    CommandError::failed("cannot draw on the terminal").caused_by(error)
}
