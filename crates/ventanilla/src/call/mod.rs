//! `ventanilla call`: plays a caller.

mod steps;

use crate::cli::{CallOptions, TargetOptions};
use crate::dialects::{self, Act, Dialect, Heard, Line};
use crate::failure::failure;
use crate::output::clean;
use anyhow::Result;
use serde_json::json;
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
pub(crate) use steps::in_order as steps_in_order;

/// How often the caller stays silent before hanging up: a menu asks again and again.
const PATIENCE: u32 = 4;

/// Places the call and walks through it.
pub(crate) fn run(target: &TargetOptions, options: &CallOptions, mut steps: VecDeque<Act>) -> Result<()> {
    if let Some(file) = &options.script {
        steps.extend(steps::read(file)?);
    }
    let (dialect, line) = line(target, options)?;
    let mut call = dialect.dial(line)?;
    let say = Teller { json: options.json };
    say.tell("calling", &options.to, call.id());
    let interactive = std::io::stdin().is_terminal() && !options.json && !options.hang_up;
    let mut silent = 0;
    loop {
        let act = match call.hear()? {
            Heard::Said { text, language } => {
                say.tell("says", &text, language.as_deref().unwrap_or_default());
                continue;
            }
            Heard::Played(what) => {
                say.tell("plays", &what, "");
                continue;
            }
            Heard::HungUp => {
                say.tell("over", "", "");
                return Ok(());
            }
            Heard::PutThrough(to) => {
                say.tell("puts through", &to, &options.dial);
                Act::Dialled(if options.dial == "answered" { "completed".into() } else { options.dial.clone() })
            }
            Heard::Asked { digits, speech } => {
                let how = match (digits, speech) {
                    (true, true) => "digits or speech",
                    (false, true) => "speech",
                    _ => "digits",
                };
                say.tell("asks", how, "");
                next(&mut steps, options.hang_up, interactive)?
            }
            Heard::Beep => {
                say.tell("beep", "", "");
                next(&mut steps, options.hang_up, interactive)?
            }
        };
        match &act {
            Act::Press(digits) => say.tell("you press", digits, ""),
            Act::Say(text) => say.tell("you say", text, ""),
            Act::Wait => {
                silent += 1;
                say.tell("you wait", "", "");
            }
            Act::HangUp => say.tell("you hang up", "", ""),
            Act::Dialled(_) => {}
        }
        if silent > PATIENCE {
            say.tell("you hang up", "", "");
            call.act(Act::HangUp)?;
        } else {
            call.act(act)?;
        }
    }
}

/// Whom to call, and the secret to sign with.
fn line(options: &TargetOptions, call: &CallOptions) -> Result<(Box<dyn Dialect>, Line)> {
    let target = options.target()?;
    let dialects = dialects::all();
    // A webhook names its connector; without one it is the first we can play.
    let chosen = call
        .webhook
        .as_ref()
        .and_then(|url| dialects.iter().position(|d| url.contains(&format!("/{}/", d.connector()))));
    let dialect = dialects
        .into_iter()
        .nth(chosen.unwrap_or(0))
        .ok_or_else(|| failure("no dialect", "this program was built without any"))?;
    let variable = dialect.connector().replace(['/', '-'], "_");
    let webhook = match &call.webhook {
        Some(url) => url.clone(),
        None => {
            let base = target
                .state
                .setting(&variable, "public_url")
                .filter(|_| target.tenant == crate::state::DEMO && options.url.is_none());
            let own = format!("{}/{}/{}", target.url, dialect.connector(), target.tenant);
            format!("{}{}", base.unwrap_or(&own), dialect.first_suffix())
        }
    };
    let secret = call
        .secret
        .clone()
        .or_else(|| target.state.setting(&variable, dialect.secret_setting()).map(str::to_owned))
        .ok_or_else(|| {
            failure(
                "there is no secret to sign with",
                format!("give the connector's {} with --secret or VENTANILLA_SECRET", dialect.secret_setting()),
            )
        })?;
    let from = if call.from == "anonymous" { String::new() } else { call.from.clone() };
    Ok((dialect, Line { webhook, secret, from, to: call.to.clone() }))
}

/// The next thing the caller does.
fn next(steps: &mut VecDeque<Act>, hang_up: bool, interactive: bool) -> Result<Act> {
    if let Some(step) = steps.pop_front() {
        return Ok(step);
    }
    if hang_up {
        return Ok(Act::HangUp);
    }
    if !interactive {
        return Ok(Act::Wait);
    }
    print!("  digits or words (empty: wait, q: hang up) > ");
    std::io::stdout().flush()?;
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line)? == 0 {
        return Ok(Act::HangUp);
    }
    Ok(steps::typed(line.trim()))
}

/// Tells what happens, to people or to programs.
struct Teller {
    json: bool,
}

impl Teller {
    fn tell(&self, what: &str, text: &str, detail: &str) {
        if self.json {
            println!("{}", json!({"step": what, "text": text, "detail": detail}));
        } else {
            let detail = if detail.is_empty() { String::new() } else { format!("  [{detail}]") };
            println!("{}", clean(&format!("{what:>12}  {text}{detail}")).trim_end());
        }
    }
}
