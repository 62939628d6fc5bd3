//! RFC 9110 §7.8: connections that stop being HTTP.

use super::support::*;
use tokio::io::AsyncWriteExt;

const UPGRADE: &str = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

#[tokio::test]
async fn after_101_the_bytes_are_the_handlers_also_those_already_read() {
    let handler = Script::new(true);
    let mut client = connect(&handler);
    client.send(["GET /hit/1 HTTP/1.1\r\nHost: a\r\n\r\n", UPGRADE, "early"].concat()).await;
    client.read_until("\r\n\r\na").await;
    let head = client.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: echo\r\n"), "{head}");
    assert_eq!(client.read_until(">").await, "<early>");
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.read_until(">").await, "<GET / HTTP/1.1\r\n\r\n>");
    // The connection still counts as one while it is upgraded.
    assert!(!client.server.is_finished());
    client.io.shutdown().await.unwrap();
    client.read_to_end().await;
    client.server.await.unwrap();
}

#[tokio::test]
async fn an_upgrade_not_taken_is_the_last_request() {
    let handler = Script::new(true);
    let input = "GET /fields HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n\
        GET /optimistic HTTP/1.1\r\nHost: a\r\n\r\n";
    let got = ask(&handler, input, &["GET"]).await;
    assert_eq!((got.len(), got[0].header("connection")), (1, Some("close")));
    assert!(got[0].body.contains("upgrade: h2c"));
    assert_eq!(handler.handled(), ["GET /fields"]);
}

#[tokio::test]
async fn upgrade_is_ignored_where_it_is_not_asked_for_rightly() {
    for head in [
        "GET /fields HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n",
        "GET /fields HTTP/1.0\r\nHost: a\r\nConnection: upgrade, keep-alive\r\nUpgrade: echo\r\n\r\n",
        "GET /fields HTTP/1.1\r\nUpgrade: x\r\nHost: a\r\nUPGRADE: y\r\nX: z\r\n\r\n",
        "POST /fields HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let handler = Script::new(true);
        let input = [head, "GET /hit/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"].concat();
        let got = ask(&handler, input, &["GET", "GET"]).await;
        assert!(!got[0].body.contains("\nupgrade:"), "{}", got[0].body);
        assert_eq!(got.len(), 2, "the connection goes on: {head}");
    }
}

/// hyper prepares for the upgrade as soon as it sees the field, and gave the connection to nobody, with its
/// answer unwritten, when the body was not read to its end.
#[tokio::test]
async fn an_ignored_upgrade_beside_an_unread_body_costs_no_byte_of_the_answer() {
    let head = "POST /ignore HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n\r\n";
    let handler = Script::new(true);
    let client = connect_with(&handler, Default::default(), 1);
    let got = client.talk([head, "2\r\nab\r\n0\r\n\r\n"].concat()).await;
    assert_eq!(replies(&got, &["POST"])[0].body, "ignored");
}
