//! What callers get for what the store says, by a server that says it.

use super::fake::{Act, Fake, say};
use super::*;

async fn links_to(answer: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> (Fake, Arc<Links>, Clock) {
    let fake = Fake::start(answer).await;
    let clock = Clock::manual();
    let links = Links::new(&settings(Topology::Standalone(fake.address.clone())), clock.clone());
    (fake, links, clock)
}

#[tokio::test]
async fn values_come_in_the_order_of_the_commands_and_an_error_in_its_place() {
    let (fake, links, _) = links_to(|_, command| match command {
        "GET a" => say("$1\r\nA"),
        "GET b" => say("-WRONGTYPE no string"),
        _ => say("$-1"),
    })
    .await;
    let all = pipe(&[&["GET", "a"], &["GET", "b"], &["GET", "c"]]);
    let values = links.call(Role::Small, b"a", &all, AMPLE).await.unwrap();
    assert_eq!(values[0], bulk("A"));
    assert!(matches!(&values[1], Value::ServerError(e) if e.code() == "WRONGTYPE"));
    assert_eq!(values[2], Value::Nil);
    assert_eq!(fake.heard(), ["GET a", "GET b", "GET c"]);

    let alone = links.call(Role::Small, b"b", &pipe(&[&["GET", "b"]]), AMPLE).await;
    assert_eq!(alone, Err(CallError::Refused));
    assert_eq!(links.call(Role::Small, b"b", &redis::pipe(), AMPLE).await, Ok(vec![]));
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn a_transaction_brings_what_exec_brings() {
    let (_fake, links, _) = links_to(|_, command| match command {
        "MULTI" => say("+OK"),
        "EXEC" => say("*2\r\n:1\r\n:2"),
        _ => say("+QUEUED"),
    })
    .await;
    let mut both = pipe(&[&["INCR", "a"], &["INCR", "b"]]);
    both.atomic();
    assert_eq!(links.call(Role::Write, b"a", &both, AMPLE).await, Ok(vec![Value::Int(1), Value::Int(2)]));
    let mut three = pipe(&[&["INCR", "a"], &["INCR", "b"], &["INCR", "c"]]);
    three.atomic();
    assert_eq!(links.call(Role::Write, b"a", &three, AMPLE).await, Err(CallError::Refused));
}

#[tokio::test]
async fn errors_of_the_whole_store_are_errors_of_the_call_even_among_others() {
    for (reply, expected) in [
        ("-OOM full", CallError::Full),
        ("-READONLY replica", CallError::NotNow),
        ("-LOADING soon", CallError::NotNow),
        ("-NOREPLICAS none", CallError::NotNow),
        ("-NOAUTH who", CallError::Connect),
        ("-MOVED 1 127.0.0.1:1", CallError::Refused),
    ] {
        let (_fake, links, _) = links_to(move |_, command| match command {
            "GET b" => say(reply),
            _ => say("+OK"),
        })
        .await;
        let all = pipe(&[&["GET", "a"], &["GET", "b"], &["GET", "c"]]);
        assert_eq!(links.call(Role::Small, b"a", &all, AMPLE).await, Err(expected), "{reply}");
    }
}

#[tokio::test]
async fn a_full_store_opens_the_breaker_of_those_who_write_alone() {
    let (_fake, links, _) = links_to(|_, _| say("-OOM full")).await;
    let set = pipe(&[&["SET", "a", "1"]]);
    for role in Role::ALL {
        for _ in 0..5 {
            assert_eq!(links.call(role, b"a", &set, AMPLE).await, Err(CallError::Full), "{role:?}");
        }
        let writes = matches!(role, Role::Append | Role::Write);
        let sixth = if writes { CallError::BreakerOpen } else { CallError::Full };
        assert_eq!(links.call(role, b"a", &set, AMPLE).await, Err(sixth), "{role:?}");
        assert_eq!(state(&links, role).breaker_open, writes);
    }
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let (_fake, links, _) = links_to(|_, _| say("-ERR no")).await;
    for _ in 0..20 {
        let call = links.call(Role::Small, b"a", &pipe(&[&["GET", "a"]]), AMPLE).await;
        assert_eq!(call, Err(CallError::Refused));
    }
}

#[tokio::test]
async fn a_script_goes_by_its_digest_and_by_its_text_when_the_store_does_not_know_it() {
    let known = std::sync::atomic::AtomicBool::new(false);
    let (fake, links, _) = links_to(move |_, command| {
        if command.starts_with("EVAL ") {
            known.store(true, Ordering::SeqCst);
        }
        if known.load(Ordering::SeqCst) { say(":7") } else { say("-NOSCRIPT No matching script.") }
    })
    .await;
    let script = Script { text: "return 7" };
    for _ in 0..2 {
        let value = links.script(Role::Small, &script, &[b"{k}1", b"{k}2"], &[b"x"], AMPLE).await;
        assert_eq!(value, Ok(Value::Int(7)));
    }
    // SHA-1 of the text, as `printf 'return 7' | sha1sum` says.
    let by_digest = "EVALSHA 59b6ab2fbe0ee4b25733de0f62e6cda4899ef8e9 2 {k}1 {k}2 x";
    assert_eq!(fake.heard(), [by_digest, "EVAL return 7 2 {k}1 {k}2 x", by_digest]);
}

#[tokio::test]
async fn what_a_script_raises_is_a_refusal() {
    let (_fake, links, _) = links_to(|_, _| say("-ERR user_script:1: attempt to index nil")).await;
    let script = Script { text: "return nothing.at.all" };
    assert_eq!(links.script(Role::Small, &script, &[b"k"], &[], AMPLE).await, Err(CallError::Refused));
}

#[tokio::test]
async fn what_is_no_resp_breaks_the_connection_and_not_the_next_call() {
    let nested = "*1\r\n".repeat(200);
    for rubbish in [
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        "\u{0}\u{1}\u{2}",
        ":nonsense\r\n",
        "$x\r\n",
        "$3\r\nabcdef\r\n",
        nested.as_str(),
    ] {
        let bytes = rubbish.as_bytes().to_vec();
        let (fake, links, _) = links_to(move |connection, _| match connection {
            1 => Act::Say(bytes.clone()),
            _ => say("+OK"),
        })
        .await;
        let get = pipe(&[&["GET", "a"]]);
        assert_eq!(links.call(Role::Small, b"a", &get, AMPLE).await, Err(CallError::Broken), "{rubbish:?}");
        assert_eq!(links.call(Role::Small, b"a", &get, AMPLE).await, Ok(vec![Value::Okay]), "{rubbish:?}");
        assert_eq!(fake.connections(), 2);
    }
}

#[tokio::test]
async fn a_reply_that_claims_to_be_endless_costs_patience_at_most() {
    for claim in
        ["*9223372036854775807", "%9223372036854775807", "$9223372036854775807", "=9223372036854775807", "|3"]
    {
        let (_fake, links, _) = links_to(move |connection, _| match connection {
            1 => say(&format!("{claim}\r\n:1\r\n:2")),
            _ => say("+OK"),
        })
        .await;
        let call = links.call(Role::Small, b"a", &pipe(&[&["GET", "a"]]), Duration::from_millis(30)).await;
        assert!(matches!(call, Err(CallError::Timeout | CallError::Broken)), "{claim}: {call:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_is_none() {
    for cut in ["", "$", "$10\r\nabc", "*2\r\n:1\r\n", "+OK"] {
        let (_fake, links, _) = links_to(move |connection, _| match connection {
            1 => Act::SayAndHangUp(cut.into()),
            _ => say("+OK"),
        })
        .await;
        let get = pipe(&[&["GET", "a"]]);
        assert_eq!(links.call(Role::Small, b"a", &get, AMPLE).await, Err(CallError::Broken), "{cut:?}");
        assert_eq!(links.call(Role::Small, b"a", &get, AMPLE).await, Ok(vec![Value::Okay]), "{cut:?}");
    }
}

#[tokio::test]
async fn a_reply_beyond_every_size_breaks_the_connection() {
    let fake =
        Fake::start(|_, _| Act::Say([b"$4000000000\r\n".as_slice(), &vec![b'x'; 1 << 20]].concat())).await;
    let clock = Clock::manual();
    let linker = Linker {
        dial: Arc::new(Tcp::plain()),
        auth: Auth::default(),
        db: 0,
        check_master: false,
        most_bytes: 100_000,
        clock,
    };
    let connection = linker.connect(&fake.address).await.unwrap();
    let get = pipe(&[&["GET", "a"]]);
    let answer =
        tokio::time::timeout(AMPLE, connection.send(&get)).await.expect("it doesn't wait for the rest");
    assert_eq!(answer.unwrap_err().why, CallError::Broken);
    assert!(!connection.is_usable());
}
