//! Real servers, and the way to ask one past the nodes.

use super::*;
use crate::fleet::testing::Process;
pub use crate::fleet::testing::stores;
use redis::Value;
use std::ffi::OsString;
use std::ops::{Deref, DerefMut};

pub struct Server(Process);

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}

impl Server {
    /// See [`Process::start`].
    pub fn start(store: &OsString) -> Self {
        Self(Process::start(store, &[]))
    }

    /// Asks past the nodes.
    pub async fn ask(&self, command: &[&str]) -> Value {
        self.try_to_ask(command).await.unwrap()
    }

    pub async fn try_to_ask(&self, command: &[&str]) -> Result<Value, CallError> {
        let links = Links::new(&settings(self.port, "asks"), Clock::system());
        let mut commands = redis::pipe();
        // Two, so that an error is a value.
        commands.cmd(command[0]).arg(&command[1..]).cmd("PING");
        links.call(Role::Small, b"x", &commands, AMPLE).await.map(|mut values| values.remove(0))
    }
}
