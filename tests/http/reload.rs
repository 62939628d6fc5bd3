//! A new configuration in a running process (interface.md §1, SIGHUP).

use crate::support::{House, request, soon};

fn config(house: &House, rules: &str) -> larder::config::Config {
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {{ address: \"127.0.0.1:0\" }}\n\
         log: {{ access: off }}\norigins: {{ app: {{ servers: [\"http://{}\"], retries: 0 }} }}\nrules:\n{rules}",
        house.origin.address
    );
    let loaded = larder::config::parse("test.yaml", &yaml, std::path::Path::new("."), &|_| None);
    loaded.unwrap_or_else(|report| panic!("{report}\n{yaml}")).config
}

#[tokio::test]
async fn entries_stay_and_new_rules_hold() {
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\nx").await;
    let rules = "  - name: all\n    origin: app\n    ttl: 5m\n    response_headers: { set: { X-New: \"1\" } }\n  - name: last\n    match: { path: /admin }\n    cache: bypass\n";
    let reload = house.running.reload(config(&house, rules)).unwrap();
    assert_eq!(reload.kept, Vec::<&str>::new());
    let told: Vec<_> = reload.changes.iter().map(ToString::to_string).collect();
    let expected = [
        "origins.app.connect_timeout: 20s -> 2s",
        "rules[all].ttl: (not set) -> 5m",
        "rules[all].response_headers: added",
        "rules[last]: added",
    ];
    assert_eq!(told, expected);
    assert_eq!(house.running.reload(config(&house, rules)).unwrap().changes, [], "nothing changed");
    let hit = house.get("/x").await;
    hit.assert_hit();
    assert_eq!(hit.header("x-new"), Some("1"));
    house.fetched("/y", "200 OK\nCache-Control: max-age=60\n\ny").await.assert_status("; stored; ttl=300");
    house.fetched("/admin", "200 OK\n\n").await.assert_status("fwd=bypass");
    assert!(house.metric("larder_requests_total{rule=\"last\",outcome=\"pass\"}").await >= 1.0);
}

#[tokio::test]
async fn entries_of_rules_with_conditions_keep_to_their_conditions() {
    let beta = "  - name: beta\n    match: { cookie: { beta: \"1\" } }\n    ttl: 60s\n";
    let gamma = "  - name: gamma\n    match: { cookie: { gamma: \"1\" } }\n    ttl: 60s\n";
    let all = "  - name: all\n    origin: app\n    ttl: 60s\n";
    let mut house = House::with_rules(&format!("{all}{beta}"), "").await;
    house.exchange("GET", "/x", &[("Cookie", "beta=1")], "200 OK\n\nbeta").await;
    // Another rule now stands where that one stood.
    house.running.reload(config(&house, &format!("{all}{gamma}{beta}"))).unwrap();
    let (reply, _) = house.exchange("GET", "/x", &[("Cookie", "gamma=1")], "200 OK\n\ngamma").await;
    assert_eq!(reply.text(), "gamma");
    assert_eq!(house.send("GET", "/x", &[("Cookie", "beta=1")]).await.text(), "beta");
}

#[tokio::test]
async fn requests_under_way_finish_under_the_old_rules() {
    let mut house = House::new("ttl: 1m").await;
    let client = house.client("GET", "/x", &[]).await;
    let asked = house.origin.next().await;
    house.running.reload(config(&house, "  - name: all\n    origin: app\n    ttl: 2m\n")).unwrap();
    asked.answer("200 OK\n\nx").await;
    client.reply().await.assert_status("; stored; ttl=60");
    house.get("/x").await.assert_hit();
}

/// Whether a GET of `/x` is answered from a prepared head.
fn is_fast(house: &House) -> bool {
    let plain = larder::engine::fast::Plain { tls: false, host: b"site.example", target: b"/x" };
    let engine = house.running.engine();
    engine.fast_hit(&plain, || None, |_: &_, _: &mut dyn FnMut(&[u8])| {}, engine.clock.mono()).is_some()
}

#[tokio::test]
async fn entries_return_to_the_fast_lane_at_their_first_hit() {
    let mut house = House::new("").await;
    house.fetched("/x", "200 OK\nCache-Control: max-age=60\n\nx").await;
    house.get("/x").await.assert_hit();
    assert!(is_fast(&house));
    let rules = "  - name: all\n    origin: app\n    response_headers: { set: { X-New: \"1\" } }\n";
    house.running.reload(config(&house, rules)).unwrap();
    assert!(!is_fast(&house));
    house.get("/x").await.assert_hit();
    assert!(is_fast(&house));
    assert_eq!(house.get("/x").await.header("x-new"), Some("1"));
    house.quiet().await;
}

#[tokio::test]
async fn the_fast_lane_leaves_early_refreshes_to_one_draw() {
    let mut house = House::new("early_refresh: { beta: 1 }").await;
    let client = house.client("GET", "/x", &[]).await;
    let asked = house.origin.next().await;
    house.advance(1); // how long the origin takes
    asked.answer("200 OK\nCache-Control: max-age=600\n\nx").await;
    client.reply().await;
    house.settled().await;
    house.get("/x").await.assert_hit();
    assert!(is_fast(&house));
    house.advance(590);
    assert!(is_fast(&house));
    house.advance(4); // one in a thousand would refresh from 7 seconds before the end
    assert!(!is_fast(&house));
}

/// A larder of its own, and what it says.
struct Process {
    child: std::process::Child,
    said: tokio::sync::mpsc::Receiver<String>,
}

impl Process {
    fn start(file: &std::path::Path) -> Self {
        use std::io::BufRead;
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(["serve", "-c"])
            .arg(file)
            .env_remove("RUST_LOG")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let errors = std::io::BufReader::new(child.stderr.take().unwrap());
        let (tell, said) = tokio::sync::mpsc::channel(1024);
        std::thread::spawn(move || {
            errors.lines().map_while(Result::ok).all(|line| tell.blocking_send(line).is_ok())
        });
        Self { child, said }
    }

    /// The rest of the next line that has `text`.
    async fn says(&mut self, text: &str) -> String {
        loop {
            let line = soon(text, self.said.recv()).await.expect("it goes on");
            if let Some(at) = line.find(text) {
                return line[at + text.len()..].to_owned();
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_reload_tells_what_it_changes_in_the_log_and_to_who_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("larder.yaml");
    let written = |secret: &str, more: &str| {
        let text = format!(
            "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}], secret: {secret} }}\n\
             admin: {{ address: \"127.0.0.1:0\" }}\nlog: {{ access: off }}\n\
             origins: {{ app: {{ servers: [\"http://127.0.0.1:1\"] }} }}\n{more}"
        );
        std::fs::write(&file, text).unwrap();
    };
    let rules = "rules:\n  - { name: all, origin: app, read_your_writes: 1s }\n";
    written("sesame-open-the-door-1", rules);
    let mut process = Process::start(&file);
    let to: std::net::SocketAddr = process.says("admin on http://").await.parse().unwrap();
    let host = to.to_string();
    let headers = [("Host", host.as_str()), ("Content-Type", "application/json")];
    let reload = async || request(to, "POST", "/reload", &headers, b"").await.text();

    assert!(reload().await.contains("\"changes\":[],\"changes_at_next_start\":[]"));
    process.says("configuration reloaded: nothing changed").await;

    written(
        "sesame-open-the-door-2",
        &format!("memory: {{ capacity: 1GiB }}\n{rules}  - {{ name: new, ttl: 1m }}\n"),
    );
    let told = reload().await;
    for golden in [
        r#"{"path":"memory.capacity","change":"value","from":"512MiB","to":"1GiB","at_next_start":true}"#,
        r#"{"path":"rules[new]","change":"added","from":null,"to":null,"at_next_start":false}"#,
        r#"{"path":"server.secret","change":"secret","from":null,"to":null,"at_next_start":false}"#,
        r#""changes_at_next_start":["memory.capacity"]"#,
    ] {
        assert!(told.contains(golden), "{told}");
    }
    assert!(!told.contains("sesame"), "{told}");
    for golden in [
        "configuration: memory.capacity: 512MiB -> 1GiB (from the next start on)",
        "configuration: rules[new]: added",
        "configuration: server.secret: another secret",
        "memory.capacity changes only at the next start",
    ] {
        assert_eq!(process.says(golden).await.trim_end_matches("\u{1b}[0m"), "");
    }

    std::fs::write(&file, "rules: [{ tll: 1m }]").unwrap();
    assert!(reload().await.contains("unknown-key"));
    process.says("configuration not reloaded").await;
}
