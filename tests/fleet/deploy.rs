//! `deploy/fleet/run` starts what it says, what it prints to try does what it says, and nothing is left when it ends.

use crate::support::process::{Process, accepts, free_port};
use crate::support::*;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the script prints to try: `# what comes of it`, then the command.
fn to_try(output: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = output.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter(|pair| pair[0].starts_with("# ") && pair[1].starts_with("curl "));
    pairs.map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}

fn run(command: &str) -> String {
    let output = Command::new("bash").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

scenario! {
    async fn the_fleet_to_try_at_home_works_and_leaves_nothing(engine: Engine) {
        let dir = tempfile::tempdir().unwrap();
        let output = dir.path().join("output");
        let file = std::fs::File::create(&output).unwrap();
        let ports: Vec<u16> = (0..8).map(|_| free_port()).collect();
        let list = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/fleet/run");
        let mut process = Process::spawn(
            Command::new(script)
                .env("LARDER_BIN", env!("CARGO_BIN_EXE_larder"))
                .env("STORE_BIN", engine.binary())
                .env("STORE_PORT", ports[0].to_string())
                .env("ORIGIN_PORT", ports[1].to_string())
                .env("PORTS", list(&ports[2..5]))
                .env("ADMIN_PORTS", list(&ports[5..8]))
                .stdin(Stdio::null())
                .stdout(file.try_clone().unwrap())
                .stderr(file)
                .process_group(0),
        );
        let said = || std::fs::read_to_string(&output).unwrap();
        eventually("the end of the introduction", PATIENCE, async || {
            assert!(process.is_alive(), "{}", said());
            said().contains("Ctrl-C")
        })
        .await;
        let tries = to_try(&said());
        assert!(tries.len() >= 4, "{}", said());
        for (what, command) in &tries {
            // A value is on its way to the store when the first answer is there.
            eventually(&format!("{what}\n{command}"), ms(10_000), async || {
                let answer = run(command);
                let wanted = what.trim_start_matches("# ").rsplit("→ ").next().unwrap();
                answer.contains(wanted)
            })
            .await;
        }
        assert!(process.terminate().await, "{}", said());
        for port in ports {
            assert!(!accepts(([127, 0, 0, 1], port).into()).await, "somebody still listens on {port}");
        }
    }
}
