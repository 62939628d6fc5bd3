//! Where the figures come from: `/status/stream`, opened again whenever it ends. Where it has no place for one more reader, one
//! snapshot at a time.

use super::sse::Events;
use super::status::Status;
use crate::cli::client::AdminArgs;
use http::StatusCode;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Without a byte for this long the connection counts as lost; a snapshot comes every second.
const SILENCE: Duration = Duration::from_secs(5);

/// Between snapshots where there is no stream.
const PERIOD: Duration = Duration::from_secs(1);

/// Between attempts at most.
const LATEST: Duration = Duration::from_secs(8);

/// What there is to show.
#[derive(Debug)]
pub enum Update {
    Snapshot(Box<Status>),
    /// No connection, for this reason; the next attempt comes after so long.
    Lost {
        why: String,
        again: Duration,
    },
}

/// Why there is nothing more to read.
enum End {
    /// Nobody wants it any more.
    Unwanted,
    /// No place for one more stream, or no more streams because the process is about to end; it can be asked for snapshots.
    NoPlace,
    Broken(String),
}

/// Until nobody takes the updates any more. `soonest` is the pause after the first failure; it is doubled with each.
pub async fn follow(admin: AdminArgs, updates: mpsc::Sender<Update>, soonest: Duration) {
    let mut pause = soonest;
    loop {
        let end = match stream(&admin, &updates, &mut pause, soonest).await {
            End::NoPlace => single(&admin, &updates).await,
            end => Some(end),
        };
        match end {
            None => {
                pause = soonest;
                sleep(PERIOD).await;
            }
            Some(End::Broken(why)) => {
                if updates.send(Update::Lost { why, again: pause }).await.is_err() {
                    return;
                }
                sleep(pause).await;
                pause = (pause * 2).min(LATEST);
            }
            Some(End::Unwanted | End::NoPlace) => return,
        }
    }
}

async fn stream(
    admin: &AdminArgs,
    updates: &mpsc::Sender<Update>,
    pause: &mut Duration,
    soonest: Duration,
) -> End {
    let answer = match admin.open("/status/stream", "text/event-stream").await {
        Ok(answer) => answer,
        Err(error) => return End::Broken(error.to_string()),
    };
    if answer.status() != StatusCode::OK {
        return End::NoPlace; // a plain request says why, if it is refused as well
    }
    let mut body = answer.into_body();
    let mut events = Events::default();
    loop {
        let frame = match timeout(SILENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return End::Broken(format!("the connection broke: {error}")),
            Ok(None) => return End::Broken("the other side has ended the stream".to_owned()),
            Err(_) => return End::Broken(format!("nothing has come for {SILENCE:?}")),
        };
        let Ok(bytes) = frame.into_data() else { continue };
        let complete = match events.feed(&bytes) {
            Ok(complete) => complete,
            Err(error) => return End::Broken(error.to_string()),
        };
        for event in complete {
            let Ok(status) = serde_json::from_slice::<Status>(&event) else {
                return End::Broken("what comes is no snapshot of a Larder".to_owned());
            };
            *pause = soonest;
            if updates.send(Update::Snapshot(Box::new(status))).await.is_err() {
                return End::Unwanted;
            }
        }
    }
}

/// One snapshot; `None` if it came.
async fn single(admin: &AdminArgs, updates: &mpsc::Sender<Update>) -> Option<End> {
    let answer = match admin.get("/status").await {
        Ok(answer) => answer,
        Err(error) => return Some(End::Broken(error.to_string())),
    };
    if !answer.status.is_success() {
        let why = answer.complaint().unwrap_or("it gives no reason");
        return Some(End::Broken(format!("it answers {}: {why}", answer.status.as_u16())));
    }
    let Ok(status) = serde_json::from_value::<Status>(answer.json) else {
        return Some(End::Broken("the answer is no snapshot of a Larder".to_owned()));
    };
    let sent = updates.send(Update::Snapshot(Box::new(status))).await;
    sent.is_err().then_some(End::Unwanted)
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::snapshot;
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// What a listener hears of a request, which it answers with this.
    async fn answer(listener: &TcpListener, text: &str) -> (TcpStream, String) {
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            assert!(peer.read_buf(&mut heard).await.unwrap() > 0, "no whole request");
        }
        peer.write_all(text.as_bytes()).await.unwrap();
        (peer, String::from_utf8(heard).unwrap())
    }

    const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

    fn event(second: u64) -> String {
        format!("event: status\ndata: {}\n\n", snapshot(second))
    }

    fn json(status: &str, body: &serde_json::Value) -> String {
        let body = body.to_string();
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    struct Rig {
        listener: TcpListener,
        updates: mpsc::Receiver<Update>,
    }

    impl Rig {
        async fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let admin = AdminArgs::of(listener.local_addr().unwrap());
            let (sender, updates) = mpsc::channel(4);
            tokio::spawn(follow(admin, sender, Duration::from_millis(1)));
            Self { listener, updates }
        }

        async fn snapshot_at(&mut self) -> f64 {
            match self.updates.recv().await.unwrap() {
                Update::Snapshot(status) => status.at_s,
                Update::Lost { why, .. } => panic!("lost: {why}"),
            }
        }

        async fn lost(&mut self) -> String {
            match self.updates.recv().await.unwrap() {
                Update::Lost { why, .. } => why,
                Update::Snapshot(status) => panic!("a snapshot of {}", status.at_s),
            }
        }
    }

    #[tokio::test]
    async fn a_stream_that_ends_is_opened_again() {
        let mut rig = Rig::new().await;
        let (peer, heard) =
            answer(&rig.listener, &format!("{STREAM}: hello\n\n{}{}", event(1), event(2))).await;
        assert!(heard.starts_with("GET /status/stream HTTP/1.1\r\n"), "{heard}");
        assert_eq!((rig.snapshot_at().await, rig.snapshot_at().await), (1.0, 2.0));
        drop(peer);
        assert_eq!(rig.lost().await, "the other side has ended the stream");
        let (_peer, _) = answer(&rig.listener, &format!("{STREAM}{}", event(3))).await;
        assert_eq!(rig.snapshot_at().await, 3.0);
    }

    #[tokio::test]
    async fn where_no_stream_has_a_place_snapshots_are_asked_for() {
        let mut rig = Rig::new().await;
        let refused = serde_json::json!({ "error": "as many streams as there may be are open" });
        answer(&rig.listener, &json("503 Service Unavailable", &refused)).await;
        let (_, heard) = answer(&rig.listener, &json("200 OK", &snapshot(9))).await;
        assert!(heard.starts_with("GET /status HTTP/1.1\r\n"), "{heard}");
        assert_eq!(rig.snapshot_at().await, 9.0);
    }

    #[tokio::test]
    async fn who_is_refused_or_asks_somebody_else_is_told() {
        let mut rig = Rig::new().await;
        let refused = serde_json::json!({ "error": "this token is not known" });
        for _ in 0..2 {
            answer(&rig.listener, &json("401 Unauthorized", &refused)).await;
        }
        assert_eq!(rig.lost().await, "it answers 401: this token is not known");
        answer(&rig.listener, &format!("{STREAM}data: {{\"hello\":1}}\n\n")).await;
        assert_eq!(rig.lost().await, "what comes is no snapshot of a Larder");
    }
}
