//! An SSH server inside the test that works, drops, stalls or lies.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use muster::core::model::Address;
use muster::remote::Target;
use muster::remote::ssh::Deadlines;
use muster::remote::ssh::Options;
use russh::Channel;
use russh::ChannelId;
use russh::Disconnect;
use russh::keys::Algorithm;
use russh::keys::HashAlg;
use russh::keys::PrivateKey;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::server;
use russh::server::Auth;
use russh::server::ChannelOpenHandle;
use russh::server::Msg;
use russh::server::Session;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::process::ChildStdin;

/// How a host treats one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Runs commands with a real `sh`.
    None,
    /// Closes the connection at once.
    HangUp,
    /// Sends this and closes the connection.
    Say(&'static str),
    /// Sends this and nothing more.
    SayAndStall(&'static str),
    /// Refuses every key.
    RefuseKeys,
    /// Never answers a key.
    StallAtKeys,
    /// Refuses all commands.
    RefuseCommands,
    /// Accepts a command and sends nothing more.
    StallAtShell,
    /// Accepts no key, but the password `secret`.
    TakePassword,
    /// Accepts no key, but the password `secret` as the answer to a question.
    AskPassword,
    /// Has a `sudo` that asks for a password.
    AskForPassword,
    /// Starts the shell and drops the connection at the first script.
    Die,
    /// Starts the shell and prints text without the end at the first script.
    NeverEnd,
    /// Starts the shell and prints without end and without a newline at the first script.
    Flood,
    /// Starts the shell and closes the channel without an exit status at the first script.
    CloseChannel,
    /// Starts the shell and prints bytes that are not text, then the end, at the first script.
    Garbage,
    /// Does not answer a request for a stream to another host, and answers all others.
    IgnoreProbe,
    /// Opens a stream to another host and disconnects.
    DropTunnel,
    /// Hangs at a request for a stream to another host.
    HangAtProbe,
}

/// A host that listens on loopback. Each connection has the next of the given faults, and the last one from then on.
pub(super) struct FakeHost {
    pub(super) port: u16,
    pub(super) connections: Arc<AtomicUsize>,
    folder: tempfile::TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeHost {
    pub(super) async fn start(faults: &[Fault]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host_key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let user_key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        std::fs::write(folder.path().join("id"), user_key.to_openssh(LineEnding::LF).unwrap()).unwrap();
        std::fs::set_permissions(folder.path().join("id"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let known = format!("[127.0.0.1]:{port} {}\n", host_key.public_key().to_openssh().unwrap());
        std::fs::write(folder.path().join("known"), known).unwrap();
        let config = Arc::new(server::Config {
            keys: vec![host_key],
            auth_rejection_time: Duration::ZERO,
            ..server::Config::default()
        });
        let connections = Arc::new(AtomicUsize::new(0));
        let (faults, count, print) =
            (faults.to_vec(), connections.clone(), user_key.public_key().fingerprint(HashAlg::Sha256).to_string());
        let task = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let fault = faults[number.min(faults.len() - 1)];
                open.spawn(serve(stream, fault, config.clone(), print.clone()));
            }
        });
        Self { port, connections, folder, task }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns options with which the host can be reached.
    pub(super) fn options(&self, deadlines: Deadlines) -> Options {
        let (id, known) = (self.path("id"), self.path("known"));
        let text = format!(
            "IdentityFile {}\nUserKnownHostsFile {}\nGlobalKnownHostsFile none\n",
            id.display(),
            known.display()
        );
        std::fs::write(self.path("config"), text).unwrap();
        Options { ssh_config: Some(self.path("config")), deadlines, ..Options::default() }
    }

    pub(super) fn target(&self) -> Target {
        target(self.port)
    }
}

pub(super) fn target(port: u16) -> Target {
    let address = Address { user: Some("root".to_owned()), host: "127.0.0.1".to_owned(), port: Some(port) };
    Target { name: "core-01".to_owned(), address, ..Target::default() }
}

async fn serve(mut stream: TcpStream, fault: Fault, config: Arc<server::Config>, print: String) {
    match fault {
        Fault::HangUp => {}
        Fault::Say(text) => stream.write_all(text.as_bytes()).await.unwrap(),
        Fault::SayAndStall(text) => {
            stream.write_all(text.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        }
        _ => {
            let client = Client { fault, print, stdin: None, told: false, unanswered: Vec::new() };
            if let Ok(session) = server::run_stream(config, stream, client).await {
                let _ = session.await;
            }
        }
    }
}

struct Client {
    fault: Fault,
    print: String,
    stdin: Option<ChildStdin>,
    told: bool,
    /// Requests that are not answered.
    unanswered: Vec<ChannelOpenHandle>,
}

impl server::Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, key: server::VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        match self.fault {
            Fault::RefuseKeys | Fault::TakePassword | Fault::AskPassword => Ok(Auth::reject()),
            Fault::StallAtKeys => std::future::pending().await,
            _ if key.public_key.fingerprint(HashAlg::Sha256).to_string() == self.print => Ok(Auth::Accept),
            _ => Ok(Auth::reject()),
        }
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
        let is_taken = matches!(self.fault, Fault::TakePassword) && password == "secret";
        Ok(if is_taken { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<server::Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        if !matches!(self.fault, Fault::AskPassword) {
            return Ok(Auth::reject());
        }
        let Some(mut answers) = response else {
            let prompts = vec![("Password: ".into(), false)].into();
            return Ok(Auth::Partial { name: "".into(), instructions: "".into(), prompts });
        };
        let is_right = answers.next().is_some_and(|answer| &*answer == b"secret");
        Ok(if is_right { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match self.fault {
            Fault::DropTunnel => {
                reply.accept().await;
                let handle = session.handle();
                tokio::spawn(async move {
                    handle.disconnect(Disconnect::ByApplication, "bye".to_owned(), String::new()).await
                });
            }
            Fault::IgnoreProbe => self.unanswered.push(reply),
            Fault::HangAtProbe => std::future::pending().await,
            _ => {}
        }
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        match self.fault {
            Fault::RefuseCommands => return session.channel_failure(id),
            Fault::StallAtShell => return session.channel_success(id),
            Fault::AskForPassword => {
                session.channel_success(id)?;
                session.extended_data(id, 1, b"sudo: a password is required\n".to_vec())?;
                session.exit_status_request(id, 1)?;
                session.eof(id)?;
                return session.close(id);
            }
            Fault::None | Fault::TakePassword | Fault::AskPassword => {}
            _ => {
                session.channel_success(id)?;
                return session.data(id, b"Welcome!\nmuster-shell-is-ready\n".to_vec());
            }
        }
        session.channel_success(id)?;
        let command = String::from_utf8(command.to_vec()).unwrap();
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.stdin = child.stdin.take();
        let (handle, mut stdout) = (session.handle(), child.stdout.take().unwrap());
        tokio::spawn(async move {
            let mut buffer = vec![0; 8192];
            while let Ok(count @ 1..) = stdout.read(&mut buffer).await {
                if handle.data(id, buffer[..count].to_vec()).await.is_err() {
                    return;
                }
            }
            let status = child.wait().await.unwrap().code().unwrap_or(255);
            let _ = handle.exit_status_request(id, u32::try_from(status).unwrap()).await;
            let _ = handle.eof(id).await;
            let _ = handle.close(id).await;
        });
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(data).await;
            return Ok(());
        }
        let first = !std::mem::replace(&mut self.told, true);
        match self.fault {
            Fault::Die => Err(russh::Error::Disconnect),
            Fault::NeverEnd if first => session.data(id, b"some\noutput\n".to_vec()),
            Fault::CloseChannel if first => session.close(id),
            Fault::Garbage if first => session.data(id, b"\x00\xff\r\n\x1b[2J end\nend \nend\n".to_vec()),
            Fault::Flood if first => {
                let handle = session.handle();
                tokio::spawn(async move { while handle.data(id, vec![b'x'; 30_000]).await.is_ok() {} });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn channel_eof(&mut self, _: ChannelId, _: &mut Session) -> Result<(), russh::Error> {
        self.stdin = None;
        Ok(())
    }
}
