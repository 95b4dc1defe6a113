//! The whole screen of a terminal, for a command that draws on it. While the screen is open, what other parts of muster would
//! print on stderr is kept, and printed when the screen is closed.
//!
//! The terminal is restored on every path, also when a panic unwinds.

use std::collections::VecDeque;
use std::io;
use std::io::BufWriter;
use std::io::IsTerminal as _;
use std::io::Stdout;
use std::sync::Mutex;
use std::sync::Once;
use std::sync::PoisonError;

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::EnterAlternateScreen;
use ratatui::crossterm::terminal::LeaveAlternateScreen;
use ratatui::crossterm::terminal::disable_raw_mode;
use ratatui::crossterm::terminal::enable_raw_mode;
use ratatui::layout::Rect;

use super::keys::Key;
use super::keys::Keys;

/// How many texts are kept while the screen is open.
const KEPT: usize = 100;

/// The texts that are printed when the screen is closed; `None` while no screen is open.
static TEXTS: Mutex<Option<VecDeque<String>>> = Mutex::new(None);

/// Keeps a text for stderr if a screen is open. Reports whether it does.
pub(super) fn keep(text: &str) -> bool {
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(texts) = &mut *texts else { return false };
    if texts.len() == KEPT {
        texts.pop_front();
    }
    texts.push_back(text.to_owned());
    true
}

/// Lets a panic say its message after the screen is closed: the task of one host may panic, and the others go on.
fn keep_panics() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !keep(&format!("{panic}\n")) {
                before(panic);
            }
        }));
    });
}

/// Reports whether there is a terminal to draw on and to read keys from.
pub fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// An open screen.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    keys: Option<Keys>,
    /// Set while the terminal is taken.
    is_open: bool,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

impl Screen {
    /// Opens the screen.
    pub fn open() -> io::Result<Self> {
        keep_panics();
        let backend = CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stdout()));
        let mut screen = Self { terminal: Terminal::new(backend)?, keys: None, is_open: false };
        screen.resume()?;
        Ok(screen)
    }

    /// Takes the terminal.
    pub fn resume(&mut self) -> io::Result<()> {
        self.is_open = true;
        *TEXTS.lock().unwrap_or_else(PoisonError::into_inner) = Some(VecDeque::new());
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        self.keys = Some(Keys::start()?);
        self.terminal.hide_cursor()?;
        self.clear()
    }

    /// Gives the terminal back, for another program or for good, and prints the texts that were kept.
    pub fn suspend(&mut self) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        self.keys = None;
        // If the terminal is gone there is nothing to restore.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        let texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner).take();
        for text in texts.into_iter().flatten() {
            super::write(&text);
        }
    }

    /// Returns the columns and rows.
    pub fn size(&self) -> (u16, u16) {
        self.terminal.size().map_or((80, 24), |size| (size.width, size.height))
    }

    /// Draws everything anew with the next frame.
    pub fn clear(&mut self) -> io::Result<()> {
        // The method of this name asks the terminal for the place of its cursor, and the answer would be taken for keys.
        let (columns, rows) = self.size();
        self.terminal.resize(Rect::new(0, 0, columns, rows))
    }

    /// Draws a frame. Only the cells that have changed are written.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }

    /// Waits for the next key; `None` once the terminal is gone.
    pub async fn key(&mut self) -> Option<Key> {
        match &mut self.keys {
            Some(keys) => keys.next().await,
            None => None,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.suspend();
    }
}
