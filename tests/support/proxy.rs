//! A proxy between Weir and a backend that can do to a connection what a network does: cut it, say nothing, lose one direction, be
//! slow; and that can strike at the one moment that matters most, while a transaction is being committed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All passes.
    Open,
    /// Connections are closed, and new ones at once.
    Cut,
    /// Connections are taken and stay open, and nothing passes. What was sent meanwhile passes once the way is open again.
    Silent,
    /// Requests pass, answers do not until the way is open again.
    Mute,
    /// Each piece waits for a while.
    Slow,
}

/// What becomes of a connection on which a transaction is being committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is cut before the database has read the request.
    LoseRequest,
    /// It is cut when the database has answered that it is done.
    LoseAnswer,
    /// The request is kept from the database, and from then on the way is [`Way::Silent`].
    Stall,
}

/// How long a piece of 16 KiB waits on a slow way.
const SLOW: Duration = Duration::from_millis(25);

/// Passes connections on as long as it may.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    way: watch::Sender<Way>,
    plot: watch::Sender<Option<(Commit, u32)>>,
    seen: AtomicU32,
    struck: AtomicU32,
}

impl Proxy {
    /// A proxy to `target`, open.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            way: watch::channel(Way::Open).0,
            plot: watch::channel(None).0,
            seen: AtomicU32::new(0),
            struck: AtomicU32::new(0),
        });
        let all = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *all.way.borrow() != Way::Cut {
                    tokio::spawn(pass(client, target, Arc::clone(&all)));
                }
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The same address of a database, by way of this proxy.
    pub fn before(&self, url: &str) -> String {
        let (base, name) = url.rsplit_once('/').expect("an address with a database");
        let (host, _) = base.rsplit_once(':').expect("an address with a port");
        format!("{host}:{}/{name}", self.port())
    }

    /// Goes on in this way, with the connections that there are and with new ones.
    pub fn set(&self, way: Way) {
        self.shared.way.send_replace(way);
    }

    /// Cuts all connections and takes no new ones.
    pub fn cut(&self) {
        self.set(Way::Cut);
    }

    /// Passes connections on again.
    pub fn mend(&self) {
        self.set(Way::Open);
    }

    /// Does this to every `every`th commit from now on, until [`Proxy::relent`].
    pub fn strike(&self, commit: Commit, every: u32) {
        self.shared.plot.send_replace(Some((commit, every)));
    }

    /// Lets commits pass again.
    pub fn relent(&self) {
        self.shared.plot.send_replace(None);
    }

    /// How many commits were struck so far.
    pub fn struck(&self) -> u32 {
        self.shared.struck.load(Ordering::SeqCst)
    }
}

/// Until both ends are closed, the way is cut, or a commit is struck.
async fn pass(client: TcpStream, target: SocketAddr, shared: Arc<Shared>) {
    let Ok(backend) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), backend.set_nodelay(true));
    let ((from_client, to_client), (from_backend, to_backend)) = (client.into_split(), backend.into_split());
    let mut way = shared.way.subscribe();
    let up = pump(from_client, to_backend, Direction::Up, &shared);
    let down = pump(from_backend, to_client, Direction::Down, &shared);
    tokio::select! {
        _ = async { tokio::try_join!(up, down) } => {}
        _ = way.wait_for(|way| *way == Way::Cut) => {}
    }
}

/// The connection is to end here.
struct Ended;

/// Passes one direction on until its sender is done.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, direction: Direction, shared: &Shared) -> Result<(), Ended> {
    let mut way = shared.way.subscribe();
    let (mut bytes, mut tail) = (vec![0; 16 << 10], Vec::new());
    loop {
        let read = from.read(&mut bytes).await.map_err(|_| Ended)?;
        if read > 0 {
            shared.watch(direction, &mut tail, &bytes[..read])?;
        }
        let now = *way.wait_for(|way| direction.may_pass(*way)).await.map_err(|_| Ended)?;
        if now == Way::Slow {
            tokio::time::sleep(SLOW).await;
        }
        if read == 0 {
            return to.shutdown().await.map_err(|_| Ended);
        }
        to.write_all(&bytes[..read]).await.map_err(|_| Ended)?;
    }
}

impl Shared {
    /// Looks for a commit in what goes by, and strikes where its turn has come.
    fn watch(&self, direction: Direction, tail: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Ended> {
        tail.extend(bytes.iter().map(u8::to_ascii_lowercase));
        let mark = direction.mark();
        let commits = tail.windows(mark.len()).filter(|window| *window == mark).count();
        // A mark may come in two pieces.
        tail.drain(..tail.len().saturating_sub(mark.len() - 1));
        let Some((commit, every)) = *self.plot.borrow() else { return Ok(()) };
        let aimed_at = if commit == Commit::LoseAnswer { Direction::Down } else { Direction::Up };
        if commits == 0 || direction != aimed_at || !self.seen.fetch_add(1, Ordering::SeqCst).is_multiple_of(every) {
            return Ok(());
        }
        self.struck.fetch_add(1, Ordering::SeqCst);
        match commit {
            Commit::LoseRequest | Commit::LoseAnswer => Err(Ended),
            Commit::Stall => {
                self.way.send_replace(Way::Silent);
                Ok(())
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

impl Direction {
    fn may_pass(self, way: Way) -> bool {
        match way {
            Way::Open | Way::Slow => true,
            Way::Cut | Way::Silent => false,
            Way::Mute => self == Self::Up,
        }
    }

    /// How a commit looks in PostgreSQL's protocol, in small letters: the end of the client's query, and the server's
    /// `CommandComplete`.
    fn mark(self) -> &'static [u8] {
        match self {
            Self::Up => b"commit\0",
            Self::Down => b"c\0\0\0\x0bcommit\0",
        }
    }
}
