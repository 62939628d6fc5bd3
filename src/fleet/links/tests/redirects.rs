//! Clusters whose nodes say what a test wants: redirections, nodes that are not ready, maps that change.

use super::fake::{Act, Fake, say};
use super::*;
use std::sync::OnceLock;

/// Where the other node is: known once it runs.
type Place = Arc<OnceLock<Address>>;

/// The answer to `CLUSTER SLOTS` when one node has everything.
fn all_at(node: &Address) -> Act {
    say(&format!("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n${}\r\n{}\r\n:{}", node.host.len(), node.host, node.port))
}

fn cluster_of(seeds: &[&Address]) -> (Arc<Links>, Clock) {
    let clock = Clock::manual();
    let topology = Topology::Cluster(seeds.iter().map(|seed| (*seed).clone()).collect());
    (Links::new(&settings(topology), clock.clone()), clock)
}

/// Two nodes; the first has all slots to begin with and `answer`s, the second says `+SECOND` to everything but what `other` answers.
async fn two(
    answer: impl Fn(&str, &Address) -> Act + Send + Sync + 'static,
    other: impl Fn(&str) -> Option<Act> + Send + Sync + 'static,
) -> (Fake, Fake, Arc<Links>, Clock) {
    let second = Fake::start(move |_, command| other(command).unwrap_or_else(|| say("+SECOND"))).await;
    let (own, there): (Place, Address) = (Arc::default(), second.address.clone());
    let place = Arc::clone(&own);
    let first = Fake::start(move |_, command| match command {
        "CLUSTER SLOTS" => all_at(place.get().unwrap()),
        command => answer(command, &there),
    })
    .await;
    own.set(first.address.clone()).unwrap();
    let (links, clock) = cluster_of(&[&first.address]);
    (first, second, links, clock)
}

fn second() -> Value {
    Value::SimpleString("SECOND".to_owned())
}

async fn get(links: &Links) -> Result<Vec<Value>, CallError> {
    links.call(Role::Small, b"a", &pipe(&[&["GET", "a"]]), AMPLE).await
}

#[tokio::test]
async fn moved_is_followed_and_remembered_for_that_slot() {
    let (first, other, links, _) = two(
        |command, there| match command {
            "GET b" => say("+FIRST"),
            _ => say(&format!("-MOVED 15495 {there}")),
        },
        |_| None,
    )
    .await;
    assert_eq!(get(&links).await, Ok(vec![second()]));
    assert_eq!(get(&links).await, Ok(vec![second()]));
    assert_eq!(first.heard(), ["CLUSTER SLOTS", "GET a"], "the second call goes to the right node at once");
    assert_eq!(other.heard(), ["GET a", "GET a"]);
    let stayed = links.call(Role::Small, b"b", &pipe(&[&["GET", "b"]]), AMPLE).await;
    assert_eq!(stayed, Ok(vec![Value::SimpleString("FIRST".to_owned())]), "another slot is where it was");
}

#[tokio::test]
async fn a_map_is_asked_for_again_after_moved_and_now_and_then() {
    let (first, _other, links, clock) = two(
        |command, there| match command {
            "GET b" => say("+FIRST"),
            _ => say(&format!("-MOVED 15495 {there}")),
        },
        |_| None,
    )
    .await;
    let asked = || first.heard().iter().filter(|command| *command == "CLUSTER SLOTS").count();
    let stays = async || links.call(Role::Small, b"b", &pipe(&[&["GET", "b"]]), AMPLE).await;
    stays().await.unwrap();
    clock.advance(Duration::from_millis(100));
    assert_eq!(get(&links).await, Ok(vec![second()]));
    eventually("asked after moved", || async { asked() == 2 }).await;
    // The new map says the first again, wrongly: that is found out again.
    assert_eq!(get(&links).await, Ok(vec![second()]));
    assert_eq!(asked(), 2, "not more often than every 100 ms");
    clock.advance(Duration::from_secs(10));
    stays().await.unwrap();
    eventually("asked without a reason", || async { asked() == 3 }).await;
}

#[tokio::test]
async fn ask_is_followed_once_and_announced_before_each_command() {
    let (first, other, links, _) = two(
        |command, there| match command {
            "GET {a}here" => say("$4\r\nhere"),
            _ => say(&format!("-ASK 15495 {there}")),
        },
        |command| (command == "ASKING").then(|| say("+OK")),
    )
    .await;
    let three = pipe(&[&["GET", "{a}gone"], &["GET", "{a}here"], &["GET", "{a}too"]]);
    for _ in 0..2 {
        let values = links.call(Role::Small, b"{a}", &three, AMPLE).await.unwrap();
        assert_eq!(values, [second(), bulk("here"), second()]);
    }
    let once = ["ASKING", "GET {a}gone", "ASKING", "GET {a}too"];
    assert_eq!(other.heard(), [once, once].concat(), "only what was redirected is sent again");
    assert_eq!(first.heard().len(), 1 + 3 + 3, "and the slot stays where it is");
}

#[tokio::test]
async fn a_transaction_is_redirected_as_a_whole() {
    let (_first, other, links, _) = two(
        |command, there| match command {
            "MULTI" => say("+OK"),
            "EXEC" => say("-EXECABORT Transaction discarded because of previous errors."),
            "SET {a}1 x" => say("+QUEUED"),
            _ => say(&format!("-ASK 15495 {there}")),
        },
        |command| match command {
            "EXEC" => Some(say("*2\r\n+OK\r\n+OK")),
            "SET {a}1 x" | "SET {a}2 y" => Some(say("+QUEUED")),
            _ => Some(say("+OK")),
        },
    )
    .await;
    let mut both = pipe(&[&["SET", "{a}1", "x"], &["SET", "{a}2", "y"]]);
    both.atomic();
    assert_eq!(links.call(Role::Write, b"{a}1", &both, AMPLE).await, Ok(vec![Value::Okay, Value::Okay]));
    assert_eq!(other.heard(), ["ASKING", "MULTI", "SET {a}1 x", "SET {a}2 y", "EXEC"]);
}

#[tokio::test]
async fn a_circle_of_redirections_ends() {
    let place: Place = Arc::default();
    let own = Arc::clone(&place);
    let (first, _other, links, _) =
        two(move |_, _| say(&format!("-MOVED 15495 {}", own.get().unwrap())), |_| None).await;
    place.set(first.address.clone()).unwrap();
    assert_eq!(get(&links).await, Err(CallError::NotNow));
    assert_eq!(first.heard().iter().filter(|command| *command == "GET a").count(), 4);
}

#[tokio::test]
async fn a_node_that_does_not_know_its_own_name_is_the_one_that_was_asked() {
    let port: Arc<OnceLock<u16>> = Arc::default();
    let own = Arc::clone(&port);
    let node = Fake::start(move |_, command| match command {
        "CLUSTER SLOTS" => say(&format!("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n:{}", own.get().unwrap())),
        _ => say("+OK"),
    })
    .await;
    port.set(node.address.port).unwrap();
    let (links, _) = cluster_of(&[&node.address]);
    assert_eq!(get(&links).await, Ok(vec![Value::Okay]));
}

#[tokio::test]
async fn what_is_not_ready_is_asked_again_a_little_later_but_not_for_ever() {
    for reply in ["-TRYAGAIN rehashing", "-CLUSTERDOWN not yet"] {
        let times = std::sync::atomic::AtomicUsize::new(0);
        let (_first, _other, links, _) = two(
            move |_, _| match times.fetch_add(1, Ordering::SeqCst) {
                0 | 1 => say(reply),
                2 => say("+OK"),
                _ => say(reply),
            },
            |_| None,
        )
        .await;
        assert_eq!(get(&links).await, Ok(vec![Value::Okay]), "{reply}");
        assert_eq!(get(&links).await, Err(CallError::NotNow), "{reply}");
    }
}

#[tokio::test]
async fn redirections_are_within_the_callers_patience() {
    let (_first, _other, links, _) =
        two(|_, there| say(&format!("-MOVED 15495 {there}")), |_| Some(Act::Nothing)).await;
    let call = links.call(Role::Small, b"a", &pipe(&[&["GET", "a"]]), Duration::from_millis(50)).await;
    assert_eq!(call, Err(CallError::Timeout));
}

#[tokio::test]
async fn any_seed_will_do() {
    let silent = Fake::start(|_, _| say("-ERR This instance has cluster support disabled")).await;
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        address("127.0.0.1", listener.local_addr().unwrap().port())
    };
    let own: Place = Arc::default();
    let place = Arc::clone(&own);
    let node = Fake::start(move |_, command| match command {
        "CLUSTER SLOTS" => all_at(place.get().unwrap()),
        _ => say("+OK"),
    })
    .await;
    own.set(node.address.clone()).unwrap();
    let (links, _) = cluster_of(&[&silent.address, &gone, &node.address]);
    assert_eq!(get(&links).await, Ok(vec![Value::Okay]));
}

#[tokio::test]
async fn where_no_node_tells_callers_fail_at_once_after_the_first() {
    let node = Fake::start(|_, _| say("-ERR This instance has cluster support disabled")).await;
    let (links, clock) = cluster_of(&[&node.address]);
    for _ in 0..5 {
        assert_eq!(get(&links).await, Err(CallError::Connect));
    }
    assert_eq!(node.heard(), ["CLUSTER SLOTS"]);
    assert_eq!(get(&links).await, Err(CallError::BreakerOpen));
    assert!(state(&links, Role::Small).breaker_open);
    clock.advance(Duration::from_secs(2));
    assert_eq!(get(&links).await, Err(CallError::Connect));
    assert_eq!(node.heard().len(), 2);
}

#[tokio::test]
async fn a_slot_that_nobody_has_is_not_now() {
    let node = Fake::start(|_, _| say("*1\r\n*3\r\n:0\r\n:100\r\n*2\r\n$9\r\n127.0.0.1\r\n:1")).await;
    let (links, _) = cluster_of(&[&node.address]);
    assert_eq!(get(&links).await, Err(CallError::NotNow));
}
