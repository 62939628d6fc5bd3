//! Real servers, and the way to ask one past the links.

use super::*;
use crate::fleet::testing::Process;
pub use crate::fleet::testing::stores;
use std::ffi::OsString;
use std::ops::{Deref, DerefMut};

pub struct Server {
    process: Process,
    pub address: Address,
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Server {
    /// See [`Process::start`].
    pub fn start(store: &OsString, arguments: &[&str]) -> Self {
        let process = Process::start(store, arguments);
        Self { address: process.address(), process }
    }

    /// Asks the server itself, past the links.
    pub async fn ask(&self, command: &[&str]) -> Value {
        ask(&self.address, command).await
    }
}

pub fn linker() -> Linker {
    Linker {
        dial: Arc::new(Tcp::plain()),
        auth: Auth::default(),
        db: 0,
        check_master: false,
        most_bytes: REPLIES,
        clock: Clock::system(),
    }
}

pub async fn ask(address: &Address, command: &[&str]) -> Value {
    let asking = async {
        let connection = linker().connect(address).await.map_err(|e| e.detail.to_string())?;
        connection.send(&pipe(&[command])).await.map_err(|e| e.detail.to_string())
    };
    let answer = tokio::time::timeout(AMPLE, asking).await.expect("no answer");
    answer.unwrap_or_else(|e| panic!("{command:?} at {address}: {e}")).remove(0)
}
