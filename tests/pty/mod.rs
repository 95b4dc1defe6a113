//! A program on a terminal of its own: a pseudo-terminal, and the picture that the program draws on it.

use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use rustix::pty::OpenptFlags;
use rustix::termios::LocalModes;
use rustix::termios::Winsize;

/// How long a picture may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A program on a terminal.
pub(crate) struct Pty {
    pub(crate) child: Child,
    master: File,
    /// Keeps the terminal after the end of the program.
    terminal: File,
    seen: Arc<(Mutex<Picture>, Condvar)>,
}

impl Pty {
    /// Runs a program on a terminal with this many columns and rows, which is its controlling terminal.
    pub(crate) fn run(command: &Command, (columns, rows): (u16, u16)) -> Self {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let path = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let terminal = File::options().read(true).write(true).open(path).unwrap();
        let mut on_terminal = Command::new("setsid");
        on_terminal.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        on_terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", "xterm");
        if let Some(folder) = command.get_current_dir() {
            on_terminal.current_dir(folder);
        }
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        let master = File::from(master);
        let picture = Picture::new(columns.into(), rows.into());
        let seen = Arc::new((Mutex::new(picture), Condvar::new()));
        let pty_size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, pty_size).unwrap();
        let child = on_terminal.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        let (mut output, picture) = (master.try_clone().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut bytes = [0; 8192];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                picture.0.lock().unwrap().take(&bytes[..count]);
                picture.1.notify_all();
            }
        });
        Self { child, master, terminal, seen }
    }

    /// Types keys.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the picture has a text, and returns the picture.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> String {
        self.until(text, |picture| picture.contains(text))
    }

    /// Waits until the picture is as it should be.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        self.wait(what, |picture| is_so(&picture.text()))
    }

    /// Waits until the program has the whole screen, or until it has not.
    #[track_caller]
    pub(crate) fn until_whole_screen(&self, is_whole_screen: bool) {
        self.wait("the whole screen", |picture| picture.is_whole_screen == is_whole_screen);
    }

    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&Picture) -> bool) -> String {
        let (began, (picture, changed)) = (Instant::now(), &*self.seen);
        let mut picture = picture.lock().unwrap();
        while !is_so(&picture) {
            let text = picture.text();
            let left = LIMIT.checked_sub(began.elapsed());
            // The picture is not poisoned, so that what is on it can be read.
            let Some(left) = left else {
                drop(picture);
                panic!("waited for {what:?}, and saw\n{text}");
            };
            picture = changed.wait_timeout(picture, left).unwrap().0;
        }
        picture.text()
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, (columns, rows): (u16, u16)) {
        {
            let mut picture = self.seen.0.lock().unwrap();
            let is_whole_screen = picture.is_whole_screen;
            *picture = Picture { is_whole_screen, ..Picture::new(columns.into(), rows.into()) };
        }
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).unwrap();
    }

    /// Waits for the end of the program, and returns its exit code and what is on the terminal then.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        self.until_whole_screen(false);
        (code, self.seen.0.lock().unwrap().text())
    }

    /// Reports whether the terminal is as a shell needs it: lines are edited, keys are echoed.
    pub(crate) fn is_restored(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.terminal).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // A test that fails leaves no program behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a terminal shows. It knows the control sequences that muster writes, and no character of two columns.
struct Picture {
    columns: usize,
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    pending: Vec<u8>,
    is_whole_screen: bool,
}

impl Picture {
    fn new(columns: usize, rows: usize) -> Self {
        let cells = vec![vec![' '; columns]; rows];
        Self { columns, cells, at: (0, 0), pending: Vec::new(), is_whole_screen: false }
    }

    fn text(&self) -> String {
        let line = |line: &Vec<char>| line.iter().collect::<String>().trim_end().to_owned() + "\n";
        self.cells.iter().map(line).collect()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let text = match std::str::from_utf8(&pending) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&pending[..error.valid_up_to()]).unwrap(),
        };
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if c == '\u{1b}' {
                let Some(end) = rest[2.min(rest.len())..].find(|c: char| ('\u{40}'..='\u{7e}').contains(&c)) else {
                    break;
                };
                self.control(&rest[2..2 + end], rest.as_bytes()[2 + end]);
                rest = &rest[3 + end..];
                continue;
            }
            self.put(c);
            rest = &rest[c.len_utf8()..];
        }
        self.pending = pending[text.len() - rest.len()..].to_vec();
    }

    fn control(&mut self, parameters: &str, last: u8) {
        match (parameters, last) {
            ("?1049", b'h') => self.is_whole_screen = true,
            ("?1049", b'l') => self.is_whole_screen = false,
            ("2", b'J') => self.cells.iter_mut().for_each(|line| line.fill(' ')),
            (_, b'H') => {
                let mut numbers = parameters.split(';').map(|number| number.parse::<usize>().unwrap_or(1) - 1);
                self.at = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            }
            _ => {}
        }
    }

    fn put(&mut self, c: char) {
        match c {
            '\r' => self.at.1 = 0,
            '\n' => self.at.0 += 1,
            c if c.is_control() => {}
            c => {
                if self.at.1 >= self.columns {
                    self.at = (self.at.0 + 1, 0);
                }
                while self.at.0 >= self.cells.len() {
                    self.cells.rotate_left(1);
                    self.cells.last_mut().unwrap().fill(' ');
                    self.at.0 -= 1;
                }
                self.cells[self.at.0][self.at.1] = c;
                self.at.1 += 1;
            }
        }
    }
}
