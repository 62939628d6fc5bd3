//! `compress` (interface.md §2.2): compressed once, kept beside what it was made of, and told apart rightly (RFC 9110 §8.8.3.3,
//! §12.5.3, §7.7).

use crate::support::{House, Reply, until};
use larder::engine::fast::Plain;
use larder::purge::Mode;
use larder::semantics::coding::Coding;
use larder::store::Entry;
use larder::store::forms::Form;
use std::io::Read;
use std::sync::Arc;

const GZIP: (&str, &str) = ("Accept-Encoding", "gzip");

/// A page of some kilobytes.
fn text(word: &str) -> String {
    (0..400).map(|n| format!("{word} {n}\n")).collect()
}

/// A page with the tag `"TAG"` that says `word`.
fn page(tag: &str, word: &str) -> String {
    format!(
        "200 OK\nContent-Type: text/html; charset=utf-8\nCache-Control: max-age=60\nCache-Tag: t\n\
         ETag: \"{tag}\"\nAccept-Ranges: bytes\n\n{}",
        text(word)
    )
}

fn decoded(reply: &Reply) -> String {
    let (body, mut out) = (&reply.body[..], String::new());
    let read = match reply.header("content-encoding") {
        Some("gzip") => flate2::read::GzDecoder::new(body).read_to_string(&mut out),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_string(&mut out),
        Some("zstd") => zstd::stream::read::Decoder::new(body).unwrap().read_to_string(&mut out),
        other => panic!("in {other:?}: {reply:?}"),
    };
    read.unwrap();
    out
}

/// All that is stored.
fn entries(house: &House) -> Vec<Arc<Entry>> {
    let memory = &house.running.engine().memory;
    memory.iter().flat_map(|(_, resource)| resource.variants().to_vec()).collect()
}

/// The form of the only entry that has it.
fn form(house: &House, coding: Coding) -> Option<Arc<Entry>> {
    entries(house).into_iter().find_map(|entry| match entry.forms.get(coding) {
        Form::Made(form) => Some(form.clone()),
        Form::Missing | Form::Useless => None,
    })
}

async fn made(house: &House, coding: Coding) -> Arc<Entry> {
    until(coding.as_str(), || form(house, coding).is_some()).await;
    form(house, coding).unwrap()
}

/// A house that holds `/x` in plain form and as gzip.
async fn with_gzip() -> House {
    let mut house = House::new("compress: on").await;
    house.exchange("GET", "/x", &[GZIP], &page("1", "old")).await;
    made(&house, Coding::Gzip).await;
    house
}

#[tokio::test]
async fn it_is_compressed_once_and_then_served_from_the_store() {
    let mut house = House::new("compress: on").await;
    let (first, _) = house.exchange("GET", "/x", &[GZIP], &page("1", "old")).await;
    assert_eq!((first.header("content-encoding"), first.header("etag")), (None, Some("\"1\"")));
    assert_eq!(first.header("vary"), Some("Accept-Encoding"));
    let form = made(&house, Coding::Gzip).await;
    for _ in 0..3 {
        house.advance(1);
        let hit = house.send("GET", "/x", &[GZIP]).await;
        hit.assert_hit();
        assert_eq!(decoded(&hit), text("old"));
        assert_eq!(hit.header("etag"), Some("\"1--gzip\""));
        assert_eq!(hit.header("vary"), Some("Accept-Encoding"));
        assert_eq!(hit.header("content-length"), Some(hit.body.len().to_string().as_str()));
        assert_eq!(hit.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(hit.body.len() < text("old").len() / 2 && hit.header("age").is_some());
    }
    assert!(Arc::ptr_eq(&form, &made(&house, Coding::Gzip).await), "made once");
    let plain = house.get("/x").await;
    plain.assert_hit();
    assert_eq!((plain.text(), plain.header("etag")), (text("old"), Some("\"1\"")));
    assert_eq!((plain.header("vary"), plain.header("content-encoding")), (Some("Accept-Encoding"), None));
    house.quiet().await;
}

#[tokio::test]
async fn rfc9110_12_5_3_the_client_chooses_and_the_rule_orders_equals() {
    let mut house = House::new("compress: { algorithms: [br, gzip] }").await;
    house.fetched("/x", &page("1", "old")).await;
    for (accept, coding) in [("gzip, br, zstd", Coding::Brotli), ("br;q=0.5, x-gzip", Coding::Gzip)] {
        let first = house.send("GET", "/x", &[("Accept-Encoding", accept)]).await;
        assert_eq!(first.text(), text("old"), "plain until it is made");
        made(&house, coding).await;
    }
    for (accept, coding) in [
        ("gzip, br, zstd", "br"),
        ("gzip, br;q=0.9", "gzip"),
        ("*", "br"),
        ("*, br;q=0", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("gzip, identity;q=0", "gzip"),
    ] {
        let hit = house.send("GET", "/x", &[("Accept-Encoding", accept)]).await;
        assert_eq!(hit.header("content-encoding"), Some(coding), "{accept}");
        assert_eq!(decoded(&hit), text("old"));
    }
    for accept in ["", "zstd", "gzip;q=0", "identity", "identity, br;q=0.5", "*;q=0", "identity;q=0"] {
        let hit = house.send("GET", "/x", &[("Accept-Encoding", accept)]).await;
        hit.assert_hit();
        assert_eq!((hit.header("content-encoding"), hit.text()), (None, text("old")), "{accept}");
    }
    assert!(form(&house, Coding::Zstd).is_none(), "not configured");
}

#[tokio::test]
async fn every_algorithm_is_one_that_clients_can_read() {
    let mut house = House::new("compress: on").await;
    house.fetched("/x", &page("1", "old")).await;
    for coding in Coding::ALL {
        let accept = [("Accept-Encoding", coding.as_str())];
        house.send("GET", "/x", &accept).await.assert_hit();
        made(&house, coding).await;
        let hit = house.send("GET", "/x", &accept).await;
        assert_eq!((hit.header("content-encoding"), decoded(&hit)), (Some(coding.as_str()), text("old")));
        assert_eq!(hit.header("etag"), Some(format!("\"1--{}\"", coding.as_str()).as_str()));
    }
}

#[tokio::test]
async fn a_head_says_what_a_get_would() {
    let house = with_gzip().await;
    let names = ["etag", "content-encoding", "content-length", "content-type", "vary"];
    for accept in [&[][..], &[GZIP]] {
        let (get, head) = (house.send("GET", "/x", accept).await, house.send("HEAD", "/x", accept).await);
        head.assert_hit();
        for name in names {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
    }
}

#[tokio::test]
async fn the_fast_lane_serves_compressed_hits() {
    let house = with_gzip().await;
    let fast = |accept: &'static [u8]| {
        let plain = Plain { tls: false, host: b"site.example", target: b"/x" };
        let engine = house.running.engine();
        let fields = |name: &http::HeaderName, take: &mut dyn FnMut(&[u8])| {
            if name == "accept-encoding" {
                take(accept);
            }
        };
        engine.fast_hit(&plain, || None, fields, engine.clock.now().mono)
    };
    house.send("GET", "/x", &[GZIP]).await.assert_hit(); // from here on it is remembered where that leads
    let hit = fast(b"gzip").expect("a fast hit");
    let head = String::from_utf8_lossy(hit.entry().head()).into_owned();
    assert!(head.contains("content-encoding: gzip\r\n") && head.contains("etag: \"1--gzip\"\r\n"), "{head}");
    assert!(head.contains(&format!("content-length: {}\r\n", hit.entry().length)), "{head}");
    let plain = fast(b"identity").expect("a fast hit");
    let head = String::from_utf8_lossy(plain.entry().head()).into_owned();
    assert!(head.contains("vary: Accept-Encoding\r\n") && !head.contains("content-encoding"), "{head}");
    assert!(fast(b"br").is_none(), "it is to be made first");
    // As clients see it.
    let hit = house.send("GET", "/x", &[GZIP]).await;
    assert_eq!(decoded(&hit), text("old"));
}

#[tokio::test]
async fn rfc9110_13_1_2_a_304_confirms_the_form_that_the_client_holds() {
    let house = with_gzip().await;
    let ask = async |accept: &str, tags: &str| {
        let fields = [("Accept-Encoding", accept), ("If-None-Match", tags)];
        let reply = house.send("GET", "/x", &fields).await;
        reply.assert_hit();
        if reply.status == 304 {
            assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
            assert_eq!((reply.header("content-encoding"), reply.header("content-length")), (None, None));
        }
        (reply.status, reply.header("etag").unwrap().to_owned())
    };
    let told = |status, tag: &str| (status, tag.to_owned());
    assert_eq!(ask("gzip", "\"1--gzip\"").await, told(304, "\"1--gzip\""));
    assert_eq!(ask("gzip", "W/\"1--gzip\"").await, told(304, "\"1--gzip\""));
    assert_eq!(ask("gzip", "\"1\"").await, told(304, "\"1\""), "held since it was cold");
    assert_eq!(ask("gzip", "\"0\", \"1--gzip\"").await, told(304, "\"1--gzip\""));
    assert_eq!(ask("gzip", "*").await, told(304, "\"1--gzip\""));
    assert_eq!(ask("br", "\"1--br\"").await, told(304, "\"1--br\""), "held since before it was evicted here");
    assert_eq!(ask("br", "\"1--gzip\"").await, told(200, "\"1\""), "it can't read that");
    assert_eq!(ask("gzip", "\"0--gzip\"").await, told(200, "\"1--gzip\""));
    assert_eq!(ask("", "\"1\"").await, told(304, "\"1\""));
}

#[tokio::test]
async fn rfc9110_14_2_ranges_are_of_one_form_and_never_join_two() {
    let house = with_gzip().await;
    let coded = house.send("GET", "/x", &[GZIP]).await.body;
    let range = ("Range", "bytes=10-19");
    let ask = async |fields: &[(&str, &str)]| house.send("GET", "/x", fields).await;
    let plain_part = text("old").as_bytes()[10..20].to_vec();

    for fields in [&[GZIP, range][..], &[GZIP, range, ("If-Range", "\"1\"")]] {
        let part = ask(fields).await;
        assert_eq!(
            (part.status, part.header("etag"), part.header("content-encoding")),
            (206, Some("\"1\""), None)
        );
        assert_eq!((&part.body[..], part.header("vary")), (&plain_part[..], Some("Accept-Encoding")));
    }
    let part = ask(&[GZIP, range, ("If-Range", "\"1--gzip\"")]).await;
    assert_eq!((part.status, part.header("etag")), (206, Some("\"1--gzip\"")));
    assert_eq!((&part.body[..], part.header("content-encoding")), (&coded[10..20], Some("gzip")));
    assert_eq!(part.header("content-range"), Some(format!("bytes 10-19/{}", coded.len()).as_str()));
    for if_range in ["W/\"1--gzip\"", "\"0--gzip\"", "\"1--br\"", "\"0\"", &house.date(-100_000)] {
        let whole = ask(&[GZIP, range, ("If-Range", if_range)]).await;
        assert_eq!(whole.status, 200, "{if_range}");
    }
}

#[tokio::test]
async fn a_date_cannot_tell_forms_apart() {
    let mut house = House::new("compress: on").await;
    let modified = house.date(-100_000);
    let undated = page("1", "old").replace("ETag: \"1\"", &format!("Last-Modified: {modified}"));
    house.exchange("GET", "/x", &[GZIP], &undated).await;
    let range = [("Range", "bytes=10-19"), ("If-Range", modified.as_str())];
    assert_eq!(
        house.send("GET", "/x", &range).await.status,
        206,
        "of the only form that this client ever gets"
    );
    let accepting = [GZIP, range[0], range[1]];
    assert_eq!(house.send("GET", "/x", &accepting).await.status, 200);
    made(&house, Coding::Gzip).await;
    let whole = house.send("GET", "/x", &accepting).await;
    assert_eq!((whole.status, decoded(&whole)), (200, text("old")));
    assert_eq!(whole.header("accept-ranges"), Some("none"));
}

#[tokio::test]
async fn a_purge_hits_every_form() {
    for by_url in [true, false] {
        let mut house = with_gzip().await;
        if by_url {
            house.purge_url(Mode::Hard, "/x")
        } else {
            house.purge_tag(Mode::Hard, "t")
        }
        let (reply, seen) = house.exchange("GET", "/x", &[GZIP], &page("2", "new")).await;
        assert_eq!((reply.text(), seen.header("if-none-match")), (text("new"), None));
        made(&house, Coding::Gzip).await;
        let hit = house.send("GET", "/x", &[GZIP]).await;
        assert_eq!((decoded(&hit), hit.header("etag")), (text("new"), Some("\"2--gzip\"")));
    }
}

#[tokio::test]
async fn the_origin_is_asked_about_the_plain_form_and_a_304_revives_all() {
    let mut house = with_gzip().await;
    let form = made(&house, Coding::Gzip).await;
    house.advance(61);
    let (reply, seen) =
        house.exchange("GET", "/x", &[GZIP], "304 Not Modified\nETag: \"1\"\nX-New: 1\n\n").await;
    assert_eq!(seen.header("if-none-match"), Some("\"1\""));
    assert_eq!((decoded(&reply), reply.header("etag")), (text("old"), Some("\"1--gzip\"")));
    assert_eq!(reply.header("x-new"), Some("1"));
    let hit = house.send("GET", "/x", &[GZIP]).await;
    hit.assert_hit();
    assert_eq!((decoded(&hit), hit.header("x-new")), (text("old"), Some("1")));
    let renewed = made(&house, Coding::Gzip).await;
    assert!(form.body.is_same(&renewed.body), "not compressed again");
    // The same when the client has a condition of its own.
    house.purge_tag(Mode::Invalidate, "t");
    let fields = [GZIP, ("If-None-Match", "\"1--gzip\"")];
    let (reply, seen) = house.exchange("GET", "/x", &fields, "304 Not Modified\nETag: \"1\"\n\n").await;
    assert_eq!(seen.header("if-none-match"), Some("\"1\""));
    assert_eq!((reply.status, reply.header("etag")), (304, Some("\"1--gzip\"")));
}

#[tokio::test]
async fn a_new_answer_leaves_no_form_of_the_old_and_gets_its_own() {
    let mut house = with_gzip().await;
    house.advance(61);
    // Somebody who wants no coding fetches it.
    house.exchange("GET", "/x", &[], &page("2", "new")).await;
    let form = made(&house, Coding::Gzip).await;
    assert_eq!(form.describe().headers["etag"], "\"2--gzip\"", "made again without being asked for");
    let hit = house.send("GET", "/x", &[GZIP]).await;
    hit.assert_hit();
    assert_eq!(decoded(&hit), text("new"));
}

#[tokio::test]
async fn what_may_not_be_transformed_is_not() {
    let mut house = House::new("compress: on").await;
    let html = "Content-Type: text/html";
    let with = |field: &str| page("1", "old").replace("ETag", &format!("{field}\nETag"));
    let cases = [
        ("/no-transform", page("1", "old").replace("max-age=60", "max-age=60, no-transform")),
        ("/coded", with("Content-Encoding: gzip")),
        ("/identity", with("Content-Encoding: identity")),
        ("/image", page("1", "old").replace(html, "Content-Type: image/png")),
        ("/untyped", page("1", "old").replace(html, "X: y")),
        ("/short", page("1", "old").split_once("\n\n").unwrap().0.to_owned() + "\n\nshort"),
        ("/missing", page("1", "old").replace("200 OK", "404 Not Found")),
    ];
    for (path, answer) in &cases {
        let (first, _) = house.exchange("GET", path, &[GZIP], answer).await;
        for reply in [first, house.send("GET", path, &[GZIP]).await] {
            assert_eq!((reply.header("vary"), reply.header("etag")), (None, Some("\"1\"")), "{path}");
        }
        house.send("GET", path, &[GZIP]).await.assert_hit();
    }
    assert!(
        entries(&house)
            .iter()
            .all(|entry| Coding::ALL.iter().all(|c| matches!(entry.forms.get(*c), Form::Missing)))
    );
}

#[tokio::test]
async fn rfc9111_5_2_1_6_a_client_may_ask_that_nothing_be_transformed() {
    let house = with_gzip().await;
    let reply = house.send("GET", "/x", &[GZIP, ("Cache-Control", "no-transform")]).await;
    reply.assert_hit();
    assert_eq!((reply.header("content-encoding"), reply.text()), (None, text("old")));
}

#[tokio::test]
async fn conditions_of_writes_reach_the_origin_in_its_own_words() {
    let mut house = with_gzip().await;
    for (sent, seen) in
        [("\"1--gzip\"", "\"1\""), ("\"1\", \"2--br\"", "\"1\", \"2\""), ("\"1-gzip\"", "\"1-gzip\"")]
    {
        let (_, asked) =
            house.exchange("PUT", "/x", &[("If-Match", sent)], "412 Precondition Failed\n\n").await;
        assert_eq!(asked.header("if-match"), Some(seen));
    }
    // A read that only the origin may judge, and one of what is not stored.
    let fields = [GZIP, ("If-Match", "\"1--gzip\""), ("If-None-Match", "\"1--gzip\"")];
    let (reply, asked) = house.exchange("GET", "/x", &fields, "304 Not Modified\nETag: \"1\"\n\n").await;
    assert_eq!((asked.header("if-match"), asked.header("if-none-match")), (Some("\"1\""), Some("\"1\"")));
    assert_eq!((reply.status, reply.header("etag")), (304, Some("\"1--gzip\"")));
    let fields = [GZIP, ("If-None-Match", "\"1--gzip\""), ("Range", "bytes=5-"), ("If-Range", "\"1--gzip\"")];
    let (reply, asked) = house.exchange("HEAD", "/cold", &fields, "304 Not Modified\nETag: \"1\"\n\n").await;
    assert_eq!((asked.header("if-none-match"), asked.header("range")), (Some("\"1\""), None));
    assert_eq!((reply.status, reply.header("etag")), (304, Some("\"1--gzip\"")));
}

#[tokio::test]
async fn who_holds_a_form_of_what_is_fetched_anew_unchanged_gets_a_304() {
    let mut house = House::new("compress: on").await;
    let fields = [GZIP, ("If-None-Match", "\"1--gzip\"")];
    let (reply, asked) = house.exchange("GET", "/x", &fields, &page("1", "old")).await;
    assert_eq!(asked.header("if-none-match"), None, "it is fetched to be stored");
    assert_eq!((reply.status, reply.header("etag")), (304, Some("\"1--gzip\"")));
}

#[tokio::test]
async fn variants_by_other_fields_have_forms_of_their_own() {
    let mut house = House::new("compress: on").await;
    for word in ["de", "en"] {
        let answer = page(word, word).replace("ETag", "Vary: Accept-Language\nETag");
        house.exchange("GET", "/x", &[GZIP, ("Accept-Language", word)], &answer).await;
        until("both", || {
            let made = |entry: &Arc<Entry>| matches!(entry.forms.get(Coding::Gzip), Form::Made(_));
            entries(&house).iter().all(made)
        })
        .await;
    }
    for word in ["de", "en"] {
        let hit = house.send("GET", "/x", &[GZIP, ("Accept-Language", word)]).await;
        hit.assert_hit();
        assert_eq!(decoded(&hit), text(word));
        assert_eq!(hit.header("vary"), Some("Accept-Language, Accept-Encoding"));
    }
}

#[tokio::test]
async fn what_the_origin_codes_itself_is_left_as_it_is() {
    let mut house = House::new("compress: on").await;
    let own = page("1", "old").replace("ETag", "Content-Encoding: br\nVary: Accept-Encoding\nETag");
    let (_, seen) = house.exchange("GET", "/x", &[("Accept-Encoding", "br")], &own).await;
    assert_eq!(seen.header("accept-encoding"), Some("br"), "it may");
    let hit = house.send("GET", "/x", &[("Accept-Encoding", "br")]).await;
    hit.assert_hit();
    assert_eq!((hit.header("content-encoding"), hit.header("etag")), (Some("br"), Some("\"1\"")));
    // What it sends to others without a coding is ours to code.
    let plain = page("1", "old").replace("ETag", "Vary: Accept-Encoding\nETag");
    house.exchange("GET", "/x", &[GZIP], &plain).await;
    made(&house, Coding::Gzip).await;
    let hit = house.send("GET", "/x", &[GZIP]).await;
    hit.assert_hit();
    assert_eq!((decoded(&hit), hit.all("vary")), (text("old"), vec!["Accept-Encoding"]));
}

#[tokio::test]
async fn a_rule_may_wait_for_the_type_and_a_form_counts_as_memory_in_use() {
    let rules = "  - { name: all, origin: app }\n  - { name: text, match: { content_type: \"text/*\" }, compress: on }\n";
    let mut house = House::with_rules(rules, "").await;
    house.fetched("/x", &page("1", "old")).await;
    let before = house.running.engine().memory.bytes();
    house.send("GET", "/x", &[GZIP]).await.assert_hit();
    let form = made(&house, Coding::Gzip).await;
    until("the account", || house.running.engine().memory.bytes() >= before + form.length).await;
    assert_eq!(house.metric("larder_memory_entries").await, 1.0, "a form is no variant of its own");
    let (_, asked) =
        house.exchange("PUT", "/x", &[("If-Match", "\"1--gzip\"")], "412 Precondition Failed\n\n").await;
    assert_eq!(asked.header("if-match"), Some("\"1\""));
}

#[tokio::test]
async fn where_no_rule_asks_for_it_nothing_changes() {
    let mut house = House::new("compress: off").await;
    let (first, _) = house.exchange("GET", "/x", &[GZIP], &page("1", "old")).await;
    for reply in [first, house.send("GET", "/x", &[GZIP]).await] {
        assert_eq!((reply.header("vary"), reply.header("content-encoding")), (None, None));
    }
    let (_, asked) =
        house.exchange("PUT", "/x", &[("If-Match", "\"1--gzip\"")], "412 Precondition Failed\n\n").await;
    assert_eq!(asked.header("if-match"), Some("\"1--gzip\""));
}

#[tokio::test]
async fn a_reload_keeps_the_forms_that_are_still_offered() {
    let reload = |house: &House, rule: &str| {
        let yaml = format!(
            "server: {{ listen: [{{ address: \"127.0.0.1:0\" }}] }}\nlog: {{ access: off }}\n\
             origins: {{ app: {{ servers: [\"http://{}\"] }} }}\nrules: [{{ {rule} }}]",
            house.origin.address
        );
        let loaded = larder::config::parse("test.yaml", &yaml, std::path::Path::new("."), &|_| None).unwrap();
        house.running.reload(loaded.config).unwrap();
    };
    let house = with_gzip().await;
    let form = made(&house, Coding::Gzip).await;
    reload(&house, "compress: on, response_headers: { set: { X-New: '1' } }");
    house.send("GET", "/x", &[GZIP]).await.assert_hit();
    let anew = made(&house, Coding::Gzip).await;
    assert!(form.body.is_same(&anew.body) && form.generation() < anew.generation());
    let hit = house.send("GET", "/x", &[GZIP]).await;
    assert_eq!((decoded(&hit), hit.header("x-new")), (text("old"), Some("1")));
    reload(&house, "compress: { algorithms: [br] }");
    let plain = house.send("GET", "/x", &[GZIP]).await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("Accept-Encoding")));
    reload(&house, "ttl: 1m");
    assert_eq!(house.send("GET", "/x", &[GZIP]).await.header("vary"), None);
}
