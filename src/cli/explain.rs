//! `larder explain`: asks a running instance what it would do with a request, and why; nothing is fetched or changed.

use super::client::AdminArgs;
use super::{block_on, fail};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// With scheme and host, as clients ask for it; a Host among the headers replaces its host
    #[arg(value_name = "URL")]
    url: String,
    /// The method
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// A header field, as 'Name: value'; may be given several times
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = field)]
    headers: Vec<(String, String)>,
    #[command(flatten)]
    admin: AdminArgs,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected 'Name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

impl Args {
    fn body(&self) -> Value {
        let mut headers: Map<String, Value> = Map::new();
        for (name, value) in &self.headers {
            let same = headers.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned();
            let values = headers.entry(same.unwrap_or_else(|| name.clone())).or_insert_with(|| json!([]));
            if let Some(values) = values.as_array_mut() {
                values.push(value.as_str().into());
            }
        }
        json!({ "url": self.url, "method": self.method, "headers": headers })
    }
}

pub fn run(args: &Args) -> ExitCode {
    block_on(async {
        match args.admin.post("/explain", &args.body()).await {
            Ok(answer) => answer.tell(args.json, text, "the question was refused"),
            Err(error) => fail(1, error),
        }
    })
}

/// Numbered steps, then the advice.
fn text(answer: &Value) -> String {
    let words = |value: &Value, member: &str| -> String {
        value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let list = |value: &Value, member: &str| value.get(member).and_then(Value::as_array).cloned();
    let mut out = String::new();
    // Writing to a String can't fail.
    for (at, step) in list(answer, "steps").unwrap_or_default().iter().enumerate() {
        let source = match words(step, "source") {
            source if source.is_empty() => source,
            source => format!("  [{source}]"),
        };
        let _ = writeln!(out, "{:>2}  {:<10}  {}{source}", at + 1, words(step, "step"), words(step, "says"));
        for detail in list(step, "details").unwrap_or_default() {
            let _ = writeln!(out, "                {}", detail.as_str().unwrap_or_default());
        }
    }
    for advice in list(answer, "advice").unwrap_or_default() {
        let _ = writeln!(out, "\n    advice      {}", advice.as_str().unwrap_or_default());
    }
    out
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

    fn parse(line: &[&str]) -> Result<Value, clap::Error> {
        Cli::try_parse_from(["explain"].iter().chain(line)).map(|cli| cli.args.body())
    }

    #[test]
    fn arguments_become_the_question() {
        let plain = json!({ "url": "http://h/x", "method": "GET", "headers": {} });
        assert_eq!(parse(&["http://h/x"]).unwrap(), plain);
        let line =
            ["-X", "POST", "http://h/x", "-H", "Cookie: a=1", "-H", "cookie: b=2", "-H", "Host:h:8080"];
        let headers = json!({ "Cookie": ["a=1", "b=2"], "Host": ["h:8080"] });
        assert_eq!(
            parse(&line).unwrap(),
            json!({ "url": "http://h/x", "method": "POST", "headers": headers })
        );
        for wrong in [&["http://h/x", "-H", "no colon"][..], &[], &["a", "b"]] {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn the_answer_is_told_in_numbered_steps() {
        let answer = json!({
            "steps": [
                { "step": "request", "says": "GET http://h/x", "details": [], "source": null },
                { "step": "decision", "says": "fetched", "details": ["Cache-Status: larder; fwd=uri-miss"], "source": "RFC 9111 §4" },
            ],
            "advice": ["set `ttl`"],
        });
        let expected = " 1  request     GET http://h/x\n \
                         2  decision    fetched  [RFC 9111 §4]\n                \
                         Cache-Status: larder; fwd=uri-miss\n\n    \
                         advice      set `ttl`\n";
        assert_eq!(text(&answer), expected);
        assert_eq!(text(&json!({ "steps": 1 })), "");
    }
}
