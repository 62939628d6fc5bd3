//! The scripts alone.

use super::*;
use crate::fleet::names;
use crate::fleet::settings::Keys;
use crate::fleet::transport::answer::{Answer, stream_id};
use crate::fleet::transport::scripts::{APPEND, Names, SYNC};
use redis::Value;

fn names(node: &str) -> Names {
    Names::new(&names::Names::new("larder", None, &Keys::default()), node)
}

async fn append(links: &Links, above: PurgeId, nonce: u32, record: &[u8], most: (&str, &str)) -> PurgeId {
    let names = names("0");
    let (above, nonce) = (above.to_string(), nonce.to_string());
    let run = Run {
        role: Role::Append,
        keys: &[&names.log],
        args: &[above.as_bytes(), most.0.as_bytes(), most.1.as_bytes(), nonce.as_bytes(), record],
        then: &[],
        patience: AMPLE,
    };
    stream_id(&APPEND.run(links, run).await.unwrap()[0]).unwrap()
}

async fn sync(links: &Links, position: &str, me: &str) -> Answer {
    let names = names(me);
    let run = Run {
        role: Role::Sync,
        keys: &[&names.log, &names.nodes, &names.number],
        args: &[position.as_bytes(), me.as_bytes(), b"name of it", b"40", b"1000", b"60000"],
        then: &[],
        patience: AMPLE,
    };
    Answer::parse(SYNC.run(links, run).await.unwrap().remove(0)).unwrap()
}

fn links(server: &Server) -> Arc<Links> {
    Links::new(&settings(server.port, "x"), Clock::system())
}

const MANY: (&str, &str) = ("1000", "100000000");

#[tokio::test]
async fn ids_are_made_as_the_model_makes_them() {
    for store in stores() {
        let server = Server::start(&store);
        let links = links(&server);
        // The store's clock is behind all of these: what there is, and what must be exceeded, counts.
        let id = |ms, seq| PurgeId::from_parts(ms, seq).unwrap();
        let mut last = append(&links, PurgeId::ZERO, 77, b"x", MANY).await;
        assert_eq!(last.seq(), 77);
        for (above, nonce) in [
            (id(4_000_000_000_000, 5), u32::MAX),
            (PurgeId::ZERO, 0),
            (id(4_000_000_000_001, (1 << 22) - 1), 1 << 22),
            (id(3_999_999_999_999, 9), 123),
            (id(4_000_000_900_000, 0), (1 << 22) - 1),
        ] {
            let given = append(&links, above, nonce, b"x", MANY).await;
            assert_eq!(given, PurgeId::appended(last, above, 0, nonce));
            last = given;
        }
        // Trimmed to nothing, it remembers.
        server.ask(&["XTRIM", "{larder:purge}:log", "MAXLEN", "0"]).await;
        let given = append(&links, PurgeId::ZERO, 5, b"x", MANY).await;
        assert_eq!(given, PurgeId::appended(last, PurgeId::ZERO, 0, 5));
        let answer = sync(&links, &last.to_string(), "a").await;
        assert_eq!(answer.records.iter().map(|r| (r.id, r.prev)).collect::<Vec<_>>(), [(given, last)]);
    }
}

#[tokio::test]
async fn an_answer_ends_by_number_or_bytes_and_then_says_no_tail() {
    for store in stores() {
        let server = Server::start(&store);
        let links = links(&server);
        assert_eq!(sync(&links, "", "a").await.tail, Some(PurgeId::ZERO));
        let mut ids = Vec::new();
        for _ in 0..60 {
            ids.push(append(&links, PurgeId::ZERO, 1, b"", MANY).await);
        }
        let first = sync(&links, "", "a").await;
        assert_eq!((first.records.len(), first.tail), (40, None));
        let rest = sync(&links, &ids[39].to_string(), "a").await;
        assert_eq!((rest.records.len(), rest.tail), (20, Some(ids[59])));
        for _ in 0..4 {
            ids.push(append(&links, PurgeId::ZERO, 1, &[b'x'; 600], MANY).await);
        }
        let long = sync(&links, &ids[59].to_string(), "a").await;
        assert_eq!((long.records.len(), long.tail), (2, None));
        let none = sync(&links, &ids[63].to_string(), "a").await;
        assert_eq!((none.records.len(), none.tail), (0, Some(ids[63])));
    }
}

#[tokio::test]
async fn the_log_is_bounded_in_records_and_bytes() {
    for store in stores() {
        let server = Server::start(&store);
        let links = links(&server);
        let length = async || match server.ask(&["XLEN", "{larder:purge}:log"]).await {
            Value::Int(length) => length,
            other => panic!("{other:?}"),
        };
        for _ in 0..400 {
            append(&links, PurgeId::ZERO, 1, b"x", ("100", "100000000")).await;
        }
        assert!((100..=250).contains(&length().await), "{}", length().await);
        for _ in 0..40 {
            append(&links, PurgeId::ZERO, 1, &[b'x'; 50_000], ("100", "1000000")).await;
        }
        assert!((10..=30).contains(&length().await), "{}", length().await);
    }
}

/// P4: on another branch, a position that is numerically beyond a purge is no sign of having applied it.
#[tokio::test]
async fn a_position_off_this_branch_is_not_published() {
    for store in stores() {
        let server = Server::start(&store);
        let links = links(&server);
        let id = append(&links, PurgeId::ZERO, 1, b"x", MANY).await;
        let next = append(&links, PurgeId::ZERO, 1, b"x", MANY).await;
        let applied = async |position: PurgeId| {
            let answer = sync(&links, &position.to_string(), "a").await;
            assert_eq!((answer.beats.len(), answer.beats[0].name.as_str()), (1, "name of it"));
            answer.beats[0].applied
        };
        assert_eq!(applied(id).await, Some(id));
        assert_eq!(applied(next).await, Some(next));
        for off in [id.following(), PurgeId(id.0 - 1), next.following(), PurgeId(next.0 - 1)] {
            assert_eq!(applied(off).await, Some(PurgeId::ZERO), "{off}");
        }
    }
}

/// As if they had come one after the other.
#[tokio::test]
async fn records_of_one_step_follow_each_other() {
    for store in stores() {
        let server = Server::start(&store);
        let links = links(&server);
        let before = append(&links, PurgeId::ZERO, 9, b"x", MANY).await;
        let above = PurgeId::from_parts(4_000_000_000_000, 5).unwrap();
        let (names, text) = (names("0"), above.to_string());
        let run = Run {
            role: Role::Append,
            keys: &[&names.log],
            args: &[text.as_bytes(), b"1000", b"100000000", b"7", b"x", b"8", b"y", b"9", b"z"],
            then: &[],
            patience: AMPLE,
        };
        let last = stream_id(&APPEND.run(&links, run).await.unwrap()[0]).unwrap();
        let answer = sync(&links, &before.to_string(), "a").await;
        let mut prev = before;
        for (record, nonce) in answer.records.iter().zip([7, 8, 9]) {
            assert_eq!((record.prev, record.id), (prev, PurgeId::appended(prev, above, 0, nonce)));
            prev = record.id;
        }
        assert_eq!((answer.records.len(), answer.tail, last), (3, Some(prev), prev));
    }
}
