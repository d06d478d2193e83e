//! `ventanilla reply`: answers a citizen by the channel they wrote by.

use crate::cli::ReplyOptions;
use crate::client::{Client, percent};
use crate::failure::failure;
use crate::output::{clean, text};
use anyhow::{Context, Result};
use serde_json::json;
use std::io::{IsTerminal, Read};

/// Puts the reply into the outbox; whether it leaves is seen in the case.
pub(crate) fn reply(client: &Client, options: &ReplyOptions) -> Result<()> {
    let words = words(options)?;
    let mut body = json!({"text": words});
    if let Some(author) = &options.author {
        body["author"] = author.as_str().into();
    }
    let answer = client.send("POST", &format!("cases/{}/replies", percent(&options.reference)), &body)?;
    if options.json {
        println!("{answer}");
    } else {
        println!(
            "queued as {}; `ventanilla case {}` shows what becomes of it",
            clean(text(&answer, "/id")),
            clean(&options.reference)
        );
    }
    Ok(())
}

/// The text given, or standard input.
fn words(options: &ReplyOptions) -> Result<String> {
    const HINT: &str = "write it after the reference, or pipe it in: ventanilla reply 482-109-3726 < answer.txt";
    let mut words = options.text.join(" ");
    if options.text.is_empty() || words == "-" {
        let mut input = std::io::stdin();
        if options.text.is_empty() && input.is_terminal() {
            return Err(failure("there is no text", HINT));
        }
        words.clear();
        input.read_to_string(&mut words).context("standard input is not text in UTF-8")?;
    }
    let words = words.trim();
    if words.is_empty() { Err(failure("the reply is empty", HINT)) } else { Ok(words.to_owned()) }
}
