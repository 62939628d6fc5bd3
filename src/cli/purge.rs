//! `larder purge`: purges through the admin listener, and prints the receipt.

use super::client::AdminArgs;
use super::{block_on, fail};
use http::StatusCode;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("selectors").required(true).multiple(true))]
pub struct Args {
    /// Everything with one of these tags; write --tag=-x for a tag that begins with a dash
    #[arg(long, value_name = "TAG", num_args = 1.., group = "selectors")]
    tag: Vec<String>,
    /// These URLs, with scheme and host, all variants
    #[arg(long, value_name = "URL", num_args = 1.., group = "selectors")]
    url: Vec<String>,
    /// What is at or below host/path
    #[arg(long, value_name = "HOST/PATH", num_args = 1.., group = "selectors")]
    prefix: Vec<String>,
    /// Everything of these hosts
    #[arg(long, value_name = "HOST", num_args = 1.., group = "selectors")]
    host: Vec<String>,
    /// Everything there is
    #[arg(long, group = "selectors")]
    everything: bool,
    /// Expire it now: it may still be served stale where rules or the origin allow that
    #[arg(long, conflicts_with = "invalidate")]
    soft: bool,
    /// Have it validated with the origin before it is served again
    #[arg(long)]
    invalidate: bool,
    /// Wait until this node, or every node of the fleet, has applied it
    #[arg(long, value_enum, default_value_t = Wait::Node)]
    wait: Wait,
    #[command(flatten)]
    admin: AdminArgs,
    /// Print the receipt as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Wait {
    Node,
    Fleet,
}

impl Args {
    fn mode(&self) -> &'static str {
        match (self.soft, self.invalidate) {
            (true, _) => "soft",
            (_, true) => "invalidate",
            _ => "hard",
        }
    }

    fn body(&self) -> Value {
        json!({
            "tags": self.tag,
            "urls": self.url,
            "prefixes": self.prefix,
            "hosts": self.host,
            "everything": self.everything,
            "mode": self.mode(),
            "wait": match self.wait { Wait::Node => "node", Wait::Fleet => "fleet" },
        })
    }
}

pub fn run(args: &Args) -> ExitCode {
    block_on(async {
        let answer = match args.admin.post("/purge", &args.body()).await {
            Ok(answer) => answer,
            Err(error) => return fail(1, error),
        };
        let told = answer.tell(args.json, |json| receipt(args.mode(), json), "the purge was refused");
        if answer.status == StatusCode::ACCEPTED {
            // Applied, but not by every node that was waited for.
            return fail(1, format_args!("not every node has applied it: {}", missing(&answer.json)));
        }
        told
    })
}

/// For people.
fn receipt(mode: &str, answer: &Value) -> String {
    let number = |pointer: &str| answer.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let some = |count: u64, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    let exact = answer.get("matched_exact") != Some(&Value::Bool(false));
    format!(
        "purged {} ({mode}): {}{} matched, {} of {} applied, {} ms, id {}",
        some(number("/selectors"), "selector", "selectors"),
        if exact { "" } else { "at least " },
        some(number("/matched"), "entry", "entries"),
        number("/nodes/applied"),
        some(number("/nodes/total"), "node", "nodes"),
        answer.get("took_ms").unwrap_or(&Value::Null),
        answer.get("id").and_then(Value::as_str).unwrap_or("?"),
    )
}

fn missing(answer: &Value) -> String {
    let names = answer.pointer("/nodes/missing").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Value, clap::Error> {
        Cli::try_parse_from(std::iter::once("purge").chain(line.split(' '))).map(|cli| cli.args.body())
    }

    #[test]
    fn arguments_become_the_call() {
        let body =
            parse("--tag a b --tag c --url http://h/x --prefix h/y --host h --soft --wait fleet").unwrap();
        let expected = json!({
            "tags": ["a", "b", "c"], "urls": ["http://h/x"], "prefixes": ["h/y"], "hosts": ["h"],
            "everything": false, "mode": "soft", "wait": "fleet",
        });
        assert_eq!(body, expected);
        let everything = parse("--everything --invalidate").unwrap();
        assert_eq!((&everything["everything"], &everything["mode"]), (&json!(true), &json!("invalidate")));
        assert_eq!(parse("--tag=-x").unwrap()["tags"], json!(["-x"]));
    }

    #[test]
    fn no_selector_and_two_modes_are_usage_errors() {
        for line in ["--soft", "--json", "--tag", "--tag a --soft --invalidate", "--tag a --wait all", "a"] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_receipt_reads_as_a_sentence() {
        let answer = json!({
            "id": "1-0", "selectors": 1, "matched": 10_001, "matched_exact": false,
            "nodes": { "applied": 1, "total": 2, "missing": ["b"] }, "took_ms": 0.25,
        });
        let text =
            "purged 1 selector (hard): at least 10001 entries matched, 1 of 2 nodes applied, 0.25 ms, id 1-0";
        assert_eq!(receipt("hard", &answer), text);
        assert_eq!(missing(&answer), "b");
    }
}
