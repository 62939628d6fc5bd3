//! `larder top`: what a shell sees of it, and what a terminal does. How the screens look is tested where they are drawn.

use crate::support::{House, Origin, larder, pieces, reads};
use std::io::Write as _;
use std::process::{Command, Stdio};

const PAGE: &str = "200 OK\nCache-Tag: t\nCache-Control: max-age=60\n\n0123456789";

fn admin(house: &House) -> String {
    format!("http://{}", house.running.admin().unwrap())
}

#[tokio::test]
async fn once_it_prints_one_snapshot_as_text() {
    let mut house = House::new("").await;
    house.fetched("/x", PAGE).await;
    house.get("/x").await.assert_hit();
    house.fetched("/cookie", "200 OK\nSet-Cookie: a=1\nCache-Control: max-age=60\n\nx").await;
    let (code, out, err) = larder(&["top", "--once", "--admin", &admin(&house)]).await;
    assert_eq!((code, &*err), (Some(0), ""), "{out}");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<_> = out.lines().map(words).collect();
    for line in ["Not stored, and why answers", "set-cookie 1", "Recent purges matched"] {
        assert!(lines.iter().any(|known| known == line), "no {line:?} in\n{out}");
    }
    for start in [
        "Larder ",
        "Requests ",
        "At origins ",
        "Hit ratio ",
        "Latency p50 ",
        "Memory ",
        "hit ",
        "miss ",
        "app up ",
    ] {
        assert!(lines.iter().any(|known| known.starts_with(start)), "no {start:?} in\n{out}");
    }
    assert!(!out.contains('\u{1b}'), "nothing for a terminal");
}

#[tokio::test]
async fn without_a_terminal_it_says_what_to_do_instead() {
    let house = House::new("").await;
    let (code, out, err) = larder(&["top", "--admin", &admin(&house)]).await;
    assert_eq!((code, &*out), (Some(2), ""));
    assert_eq!(
        err,
        "larder: standard output is no terminal; `larder top --once` prints one snapshot as text\n"
    );
}

#[tokio::test]
async fn who_can_not_be_reached_or_refuses_is_told_at_once() {
    let nobody =
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let (code, _, err) = larder(&["top", "--once", "--admin", &nobody]).await;
    assert_eq!(code, Some(1));
    assert!(err.starts_with(&format!("larder: no connection to {nobody}: ")), "{err}");
    let origin = Origin::start().await;
    let secret = "a-long-enough-secret-for-this";
    let yaml = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nlog: {{ access: off }}\n\
         admin: {{ address: \"127.0.0.1:0\", tokens: [{{ name: x, secret: {secret}, allow: [read] }}] }}\n\
         origins: {{ app: {{ servers: [\"http://{}\"] }} }}\n",
        origin.address
    );
    let house = House::start(&yaml, origin).await;
    let (code, _, err) = larder(&["top", "--once", "--admin", &admin(&house)]).await;
    assert_eq!(code, Some(1));
    assert!(err.starts_with("larder: it answers 401: "), "{err}");
    let (code, out, _) = larder(&["top", "--once", "--admin", &admin(&house), "--token", secret]).await;
    assert_eq!(code, Some(0), "{out}");
}

/// `script` (util-linux, which every Debian has) makes a terminal for it.
#[tokio::test]
async fn in_a_terminal_it_is_live_and_leaves_the_terminal_as_it_was() {
    if Command::new("script").arg("--version").output().is_err() {
        println!("skipped: there is no `script` here");
        return;
    }
    let house = House::new("").await;
    let larder = env!("CARGO_BIN_EXE_larder");
    let line =
        format!("stty rows 24 cols 80; '{larder}' top --admin {}; echo status $?; stty -a", admin(&house));
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-f", "-c", &line, "/dev/null"]).env("TERM", "xterm").env_remove("LARDER_TOKEN");
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut screen) = (script.stdin.take().unwrap(), pieces(script.stdout.take().unwrap()));
    let mut text = String::new();
    for (until, typed) in [("live", "p"), ("held", "q")] {
        reads(&mut screen, &mut text, Some(until)).await;
        keys.write_all(typed.as_bytes()).unwrap();
    }
    reads(&mut screen, &mut text, None).await;
    let status = tokio::task::spawn_blocking(move || script.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{text}");
    let (shown, left) = text.split_once("\u{1b}[?1049l").unwrap_or_else(|| panic!("never left: {text}"));
    assert!(shown.contains("\u{1b}[?1049h"), "{text}");
    assert!(left.contains("status 0"), "{left}");
    for mode in ["icanon", "echo", "isig"] {
        assert!(left.split_whitespace().any(|word| word == mode), "{mode} is not as it was: {left}");
    }
}
