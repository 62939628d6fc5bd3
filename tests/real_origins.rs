//! Larder in front of servers that nobody here wrote: Python's `http.server` and nginx with compression and ranges.
//! Every file is fetched twice through the cache (a miss, then a hit) and compared byte for byte with what the
//! origin itself sends.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that can't go on should say so and fail

#[path = "http/support/mod.rs"]
#[allow(dead_code)] // shared with tests/http, which uses the rest
mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use support::{House, Origin, Reply, request, soon};

/// A child process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Files of this repository: text of all sizes, and one larger binary made on the spot.
fn site(dir: &Path) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = Vec::new();
    for file in ["Cargo.lock", "Cargo.toml", "docs/ARCHITECTURE.md", "src/engine/plan.rs"] {
        let name = file.replace('/', "-");
        std::fs::copy(root.join(file), dir.join(&name)).unwrap();
        names.push(name);
    }
    let big: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(dir.join("big.bin"), big).unwrap();
    std::fs::write(dir.join("empty.txt"), "").unwrap();
    std::fs::write(dir.join("name with space & ü.txt"), "odd name").unwrap();
    // Older than a day, so that heuristics give them a lifetime.
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for entry in std::fs::read_dir(dir).unwrap() {
        let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(old).unwrap();
    }
    names.extend(["big.bin", "empty.txt", "name%20with%20space%20%26%20%C3%BC.txt", ""].map(String::from));
    names
}

async fn python(dir: &Path) -> (Process, SocketAddr) {
    let mut child = Command::new("python3")
        .args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3 is installed");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split("port ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    (Process(child), ([127, 0, 0, 1], port).into())
}

/// `gzip_proxied any`: nginx does not compress for requests that carry `Via`, as all of ours do.
/// One process, without workers that would outlive it when it is killed.
/// nginx on a free port, or `None` where it is not installed.
async fn nginx(dir: &Path, site: &Path) -> Option<(Process, SocketAddr)> {
    let binary = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
    let binary = binary.iter().find(|b| Path::new(b).exists())?;
    let port = free_port();
    let conf = dir.join("nginx.conf");
    std::fs::write(
        &conf,
        format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log; worker_processes 1;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;\n\
             uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s; gzip on; gzip_types *; gzip_min_length 100; gzip_vary on; gzip_proxied any;\n\
             server {{ listen 127.0.0.1:{port}; root {site}; autoindex on; expires 1h; }} }}\n",
            dir = dir.display(),
            site = site.display()
        ),
    )
    .unwrap();
    let child = Command::new(binary)
        .args(["-p", &dir.display().to_string(), "-c", &conf.display().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let process = Process(child);
    let address: SocketAddr = ([127, 0, 0, 1], port).into();
    soon("nginx", async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    Some((process, address))
}

async fn larder_before(origin: SocketAddr, rule: &str) -> House {
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nadmin: {{ address: off }}\nlog: {{ access: off }}\n\
         origins: {{ app: {{ servers: [\"http://{origin}\"] }} }}\nrules:\n  - {{ name: all, origin: app{rule} }}\n"
    );
    House::start(&yaml, Origin::start().await).await
}

/// Fields that must reach the client as the origin sent them.
const SAME: [&str; 7] =
    ["content-type", "last-modified", "etag", "content-encoding", "vary", "content-range", "cache-control"];

#[track_caller]
fn assert_same(what: &str, ours: &Reply, theirs: &Reply) {
    assert_eq!(ours.status, theirs.status, "{what}");
    assert!(!ours.truncated && !theirs.truncated, "{what}");
    assert!(ours.body == theirs.body, "{what}: {} and {} bytes", ours.body.len(), theirs.body.len());
    for name in SAME {
        assert_eq!(ours.header(name), theirs.header(name), "{what}: {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pythons_http_server_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let names = site(dir.path());
    let (_python, origin) = python(dir.path()).await;
    // It sends `Last-Modified` and no lifetime: heuristics make it cacheable.
    let house = larder_before(origin, "").await;
    for name in &names {
        let path = format!("/{name}");
        let theirs = request(origin, "GET", &path, &[("Host", "site.example")], b"").await;
        let miss = house.get(&path).await;
        let again = house.get(&path).await;
        assert_same(&path, &miss, &theirs);
        assert_same(&path, &again, &theirs);
        let lasting = theirs.header("last-modified").is_some();
        if lasting {
            again.assert_hit();
            let date = theirs.header("last-modified").unwrap();
            assert_eq!(house.send("GET", &path, &[("If-Modified-Since", date)]).await.status, 304);
            let head = house.send("HEAD", &path, &[]).await;
            assert_eq!(head.header("content-length"), theirs.header("content-length"), "{path}");
        } else {
            again.assert_status("fwd=uri-miss"); // a listing, made anew each time
        }
    }
    assert_eq!(house.get("/no-such-file").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_with_compression_and_ranges_byte_for_byte() {
    let (dir, conf) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let names = site(dir.path());
    // nginx drops its privileges: what it serves must be readable to everyone.
    open_up(dir.path());
    let Some((_nginx, origin)) = nginx(conf.path(), dir.path()).await else {
        eprintln!("nginx is not installed: this test ran without it");
        return;
    };
    let house = larder_before(origin, "").await;
    let cases: [&[(&str, &str)]; 6] = [
        &[],
        &[("Accept-Encoding", "gzip")],
        &[("Accept-Encoding", "gzip, deflate, br")],
        &[("Range", "bytes=0-99")],
        &[("Range", "bytes=-100")],
        &[("Range", "bytes=10-19, 30-39")],
    ];
    for name in &names {
        let path = format!("/{name}");
        for headers in cases {
            let with_host: Vec<_> = headers.iter().copied().chain([("Host", "site.example")]).collect();
            let theirs = request(origin, "GET", &path, &with_host, b"").await;
            for round in ["first", "second"] {
                let ours = house.send("GET", &path, headers).await;
                let what = format!("{path} {headers:?} {round}");
                if name.is_empty() && ours.status == 206 {
                    continue; // a listing of unknown length: nginx ignores ranges of it, a stored copy need not
                }
                if ours.header("content-type").is_some_and(|t| t.starts_with("multipart/")) {
                    // The boundary is each server's own; the parts are the same.
                    assert_eq!((ours.status, theirs.status), (206, 206), "{what}");
                    continue;
                }
                if name == "empty.txt" && headers.first().is_some_and(|(n, _)| *n == "Range") {
                    // No byte of nothing can be sent: 416, or the range ignored (RFC 9110 §14.2, §15.5.17).
                    assert!(matches!(ours.status, 200 | 416), "{what}: {}", ours.status);
                    continue;
                }
                if theirs.status == 416 {
                    assert_eq!(ours.status, 416, "{what}");
                    continue;
                }
                assert_same(&what, &ours, &theirs);
            }
        }
    }
}

#[cfg(unix)]
fn open_up(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.push(dir.to_owned());
    for path in paths {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}
