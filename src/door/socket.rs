//! The UNIX sockets of the doors, under a runtime directory.
//!
//! Promises: a socket appears under its name with mode and owner already set; one that a dead process left is taken
//! over, one that a living process serves is left alone and told; nothing else at that name is ever removed; at the end
//! a socket is removed only if it is still the one made here.

use crate::config::Listen;
use crate::net;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Octets of a UNIX socket's path at the most: `sun_path` without its final NUL.
const MAX_PATH: usize = 107;

/// Why a door cannot open.
#[derive(Debug, Error)]
pub enum DoorError {
    /// No next hop and no TCP address.
    #[error("nothing to listen on: add a [next_hop.\"...\"] table, or lmtp = [...] in [listen]")]
    Nothing,
    /// The path is longer than the system allows for a socket.
    #[error(
        "the socket for {purpose} cannot be made: {path} has {octets} octets, over {MAX_PATH}; \
        a shorter runtime_directory in [listen] helps"
    )]
    PathTooLong {
        /// What the socket is for.
        purpose: String,
        /// Where it was to be.
        path: PathBuf,
        /// Octets of that path.
        octets: usize,
    },
    /// A living process serves the socket.
    #[error("{0} is served by another process; is pipelane running already?")]
    InUse(PathBuf),
    /// Something that is no socket has the name.
    #[error("{0} is there and is no socket; it was left alone, remove it if it is not needed")]
    NotASocket(PathBuf),
    /// A call to the system failed.
    #[error("cannot {action} {what}: {source}")]
    System {
        /// What was being done.
        action: &'static str,
        /// To what.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl DoorError {
    /// For `map_err`.
    pub(super) fn system(action: &'static str, what: impl ToString) -> impl FnOnce(io::Error) -> DoorError {
        let what = what.to_string();
        move |source| DoorError::System { action, what, source }
    }
}

/// Makes sockets as `[listen]` says. Of processes that start at the same moment one has a maker at a time; else two
/// could take over one stale socket.
#[derive(Debug)]
pub(super) struct SocketMaker {
    user: Option<u32>,
    group: Option<u32>,
    /// The turn ends when the file is closed.
    _turn: File,
}

impl SocketMaker {
    /// Makes the runtime directory if it is not there, and waits for its turn.
    pub(super) fn new(listen: &Listen) -> Result<SocketMaker, DoorError> {
        make_directory(&listen.runtime_directory)?;
        let _turn = take_turn(&listen.runtime_directory)?;
        let find = |key: &str, name: &Option<String>, look_up: fn(&str) -> io::Result<u32>| {
            let what = || format!("the {key} \"{}\" of [listen]", name.as_deref().unwrap_or_default());
            name.as_deref().map(look_up).transpose().map_err(DoorError::system("look up", what()))
        };
        Ok(SocketMaker {
            user: find("socket_owner", &listen.socket_owner, net::user_id)?,
            group: find("socket_group", &listen.socket_group, net::group_id)?,
            _turn,
        })
    }

    /// A socket that nobody has to wait for. It is made under another name and moved, so that no client meets it before
    /// mode and owner are set; the move also replaces a stale one.
    pub(super) fn make(&self, purpose: &str, path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), DoorError> {
        let draft = path.with_file_name(format!(".{}", std::process::id()));
        let octets = path.as_os_str().as_bytes().len().max(draft.as_os_str().as_bytes().len());
        if octets > MAX_PATH {
            return Err(DoorError::PathTooLong { purpose: purpose.to_owned(), path: path.to_owned(), octets });
        }
        check_free(path)?;
        if fs::symlink_metadata(&draft).is_ok_and(|found| found.file_type().is_socket()) {
            // Left by a process of this number that died half-way.
            fs::remove_file(&draft).map_err(DoorError::system("remove", draft.display()))?;
        }
        let system = |action| DoorError::system(action, path.display());
        let socket = UnixListener::bind(&draft).map_err(system("listen on"))?;
        let prepared = (|| {
            socket.set_nonblocking(true).map_err(system("listen on"))?;
            chown(&draft, self.user, self.group).map_err(system("set the owner of"))?;
            fs::set_permissions(&draft, Permissions::from_mode(mode)).map_err(system("set the mode of"))?;
            let found = fs::symlink_metadata(&draft).map_err(system("look at"))?;
            fs::rename(&draft, path).map_err(system("make"))?;
            Ok(SocketFile { path: path.to_owned(), device: found.dev(), inode: found.ino() })
        })();
        // The error that is told is the one that matters.
        prepared.map(|file| (socket, file)).inspect_err(|_| drop(fs::remove_file(&draft)))
    }
}

fn take_turn(directory: &Path) -> Result<File, DoorError> {
    let path = directory.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(DoorError::system("open", path.display()))?;
    file.lock().map_err(DoorError::system("lock", path.display()))?;
    Ok(file)
}

/// Whether the name can be taken: nothing is there, or a socket that nobody accepts on.
fn check_free(path: &Path) -> Result<(), DoorError> {
    let system = || DoorError::system("look at", path.display());
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system()(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(DoorError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(system())?;
    let address = SockAddr::unix(path).map_err(system())?;
    // Without waiting: a living process whose backlog is full would hold a blocking connect.
    probe.set_nonblocking(true).map_err(system())?;
    match probe.connect(&address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            log::info!("{}: taken over from a process that is gone", path.display());
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(system()(error)),
        _ => Err(DoorError::InUse(path.to_owned())),
    }
}

/// Mode 0755 whatever the umask is, so that the MTA's user can pass through; one that is there stays as it is.
pub(super) fn make_directory(path: &Path) -> Result<(), DoorError> {
    if path.is_dir() {
        return Ok(());
    }
    let system = || DoorError::system("make the directory", path.display());
    DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(system())?;
    fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(system())
}

/// A socket's name in the file system.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|f| (f.dev(), f.ino()) == (self.device, self.inode));
        if ours && let Err(error) = fs::remove_file(&self.path) {
            log::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}
