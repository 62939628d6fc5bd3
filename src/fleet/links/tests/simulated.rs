//! Over a simulated network: a cut that nobody announces.

use super::fake::{say, serve};
use super::*;

#[derive(Debug)]
struct Simulated;

impl Dial for Simulated {
    fn dial<'a>(&'a self, address: &'a Address) -> Dialling<'a> {
        Box::pin(async move {
            let stream = turmoil::net::TcpStream::connect((&*address.host, address.port)).await?;
            Ok(Box::new(stream) as Stream)
        })
    }
}

#[test]
fn a_cut_costs_time_limits_then_nothing_and_heals_by_itself() {
    for seed in 0..5 {
        let mut sim =
            turmoil::Builder::new().rng_seed(seed).simulation_duration(Duration::from_secs(60)).build();
        sim.host("store", || async {
            let listener = turmoil::net::TcpListener::bind(("0.0.0.0", 6379)).await?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(serve(stream, |_| say("+OK")));
            }
        });
        sim.client("node", async {
            let clock = Clock::manual();
            let hand = clock.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    hand.advance(Duration::from_millis(1));
                }
            });
            let settings = settings(Topology::Standalone(address("store", 6379)));
            let links = Links::with_dial(&settings, clock.clone(), Arc::new(Simulated));
            let patience = Duration::from_millis(300);
            let get = async || links.call(Role::Small, b"a", &pipe(&[&["GET", "a"]]), patience).await;
            assert_eq!(get().await, Ok(vec![Value::Okay]));

            turmoil::partition("node", "store");
            let before = turmoil::elapsed();
            let outcomes = [get().await, get().await, get().await, get().await, get().await];
            assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
            assert!(turmoil::elapsed() - before <= Duration::from_millis(5 * 310));
            assert_eq!(get().await, Err(CallError::BreakerOpen));
            assert_eq!(state(&links, Role::Small).connected, 0);

            turmoil::repair("node", "store");
            let healed = turmoil::elapsed();
            while get().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // One period of the breaker, one attempt that was under way, one pause.
            assert!(
                turmoil::elapsed() - healed <= Duration::from_secs(5),
                "{:?}",
                turmoil::elapsed() - healed
            );
            Ok(())
        });
        sim.run().unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}
