//! The address of the store, from the form it has in the configuration.

use crate::fleet::settings::*;
pub fn parse(_: &str) -> Result<(Topology, bool, Auth, i64), String> {
    Err(String::new())
}
