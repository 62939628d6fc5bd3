//! Listening sockets that this process did not bind itself: handed over by systemd (socket activation) or by the process before
//! it. They are found by their address. And those that it listens on, for the process after it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Sockets {
    handed: Vec<TcpListener>,
    used: Vec<TcpListener>,
}

impl Sockets {
    /// The sockets that systemd, or the process before, has left for this process (`LISTEN_FDS`). Call it once, before threads
    /// are started.
    pub fn from_environment() -> Self {
        let mut found = listenfd::ListenFd::from_env();
        let mut handed = Vec::new();
        for at in 0..found.len() {
            match found.take_tcp_listener(at) {
                Ok(socket) => handed.extend(socket),
                Err(error) => {
                    tracing::warn!(%error, "a descriptor that was handed over is no listening TCP socket")
                }
            }
        }
        Self { handed, used: Vec::new() }
    }

    /// The socket for this address: one that was handed over, else what `bind` makes.
    ///
    /// # Errors
    /// Those of `bind`; no descriptor left.
    pub fn take(
        &mut self,
        address: SocketAddr,
        bind: impl FnOnce() -> io::Result<TcpListener>,
    ) -> io::Result<TcpListener> {
        let is_it = |socket: &TcpListener| socket.local_addr().is_ok_and(|bound| bound == address);
        let socket = match self.handed.iter().position(is_it) {
            Some(at) => self.handed.swap_remove(at),
            None => bind()?,
        };
        self.used.push(socket.try_clone()?);
        Ok(socket)
    }

    /// Closes what was handed over and nobody has asked for, and says so.
    pub fn close_unused(&mut self) {
        for socket in self.handed.drain(..) {
            let address = socket.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string());
            tracing::warn!(address, "a socket was handed over that the configuration does not name: closed");
        }
    }

    /// Copies of all that this process listens on, for the next one.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn copies(&self) -> io::Result<Vec<OwnedFd>> {
        self.used.iter().map(|socket| socket.try_clone().map(OwnedFd::from)).collect()
    }

    /// A copy of the one for this address.
    pub fn copy(&self, address: SocketAddr) -> Option<TcpListener> {
        let is_it = |socket: &&TcpListener| socket.local_addr().is_ok_and(|bound| bound == address);
        self.used.iter().find(is_it)?.try_clone().ok()
    }

    /// From now on the addresses are free, once nobody accepts on them any more.
    pub fn close(&mut self) {
        self.used.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_was_handed_over_is_found_by_its_address() {
        let handed = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = handed.local_addr().unwrap();
        let mut sockets = Sockets { handed: vec![handed], used: Vec::new() };
        let other = || TcpListener::bind("127.0.0.1:0");
        let taken = sockets.take(address, || panic!("it is there")).unwrap();
        assert_eq!(taken.local_addr().unwrap(), address);
        let bound = sockets.take("127.0.0.1:0".parse().unwrap(), other).unwrap();
        assert_ne!(bound.local_addr().unwrap(), address);
        assert_eq!(sockets.copies().unwrap().len(), 2);
        // While a copy is left the address is not free.
        drop(taken);
        assert!(TcpListener::bind(address).is_err());
        sockets.close();
        assert!(TcpListener::bind(address).is_ok());
    }
}
