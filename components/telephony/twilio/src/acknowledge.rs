//! Answers: TwiML that carries the call on.

use channel_sdk::phrases::{Phrases, say};
use channel_sdk::refusal;
use channel_sdk::time;
use channel_sdk::types::{Context, Department, Outcome, Receipt, Request, Response};

use crate::dialogue::{self, Turn};
use crate::twiml::{Script, setting};
use crate::wire::{State, Step, Webhook};

/// A call that goes round in circles is ended after so many of our answers.
const MAX_TURNS: u32 = 40;
/// A question is put so often.
const MAX_ATTEMPTS: u32 = 3;

/// The answer to a request of which this became.
pub(crate) fn acknowledge(request: &Request, outcome: &Outcome, context: &Context) -> Response {
    match outcome {
        Outcome::Accepted(receipts) | Outcome::Quarantined(receipts) => {
            twiml(200, answer(request, receipts, context), None)
        }
        Outcome::Refused(refused) => refusal::response(refused, "GET, POST"),
        Outcome::Unavailable(seconds) => twiml(503, sorry(context), Some(*seconds)),
        // Answers to public questions, which nobody asks by telephone.
        Outcome::Found(_) => twiml(200, Script::new(context, "en").finish(), None),
    }
}

fn twiml(status: u16, document: String, retry_after: Option<u32>) -> Response {
    let mut headers = vec![
        ("content-type".to_owned(), "text/xml; charset=utf-8".to_owned()),
        // The answer to a GET is this caller's alone.
        ("cache-control".to_owned(), "no-store".to_owned()),
    ];
    if let Some(seconds) = retry_after {
        headers.push(("retry-after".into(), seconds.to_string()));
    }
    Response { status, headers, body: document.into_bytes() }
}

/// We can't take the call: said in every language of the tenant, with the number for emergencies.
fn sorry(context: &Context) -> String {
    let emergency = setting(context, "emergency_number").unwrap_or("112");
    let mut script = Script::new(context, "en");
    let mut said: Vec<&str> = Vec::new();
    for tag in
        context.profile.languages.iter().map(String::as_str).chain(context.profile.languages.is_empty().then_some("en"))
    {
        let phrases = Phrases::of(tag);
        if !said.contains(&phrases.tag) {
            said.push(phrases.tag);
            script.say_in(phrases.tag, &say(phrases.unavailable, &[emergency]));
        }
    }
    script.hang_up();
    script.finish()
}

fn answer(request: &Request, receipts: &[Receipt], context: &Context) -> String {
    let webhook = Webhook::read(request);
    let language = dialogue::spoken_language(&webhook, context);
    let turn = dialogue::turn(&webhook, context);
    let language = if let Turn::Language(chosen) = turn { chosen } else { language };
    let mut script = Script::new(context, language);
    let mut state = webhook.state.clone();
    if turn == Turn::None {
        return script.finish();
    }
    if state.turn.is_some_and(|turn| turn >= MAX_TURNS) {
        script.goodbye();
        return script.finish();
    }
    let reference = receipts.iter().find_map(|receipt| receipt.case_reference.as_deref()).unwrap_or_default();
    match turn {
        Turn::None => {}
        Turn::Arrived => {
            script.announcement();
            if context.profile.languages.len() > 1 && state.language.is_none() {
                script.ask_language(&state);
            } else {
                script.greeting();
                menu(&mut script, &state, request, context);
            }
        }
        Turn::Language(_) => {
            script.greeting();
            menu(&mut script, &state, request, context);
        }
        Turn::Silent | Turn::NotUnderstood | Turn::WrongReference => {
            if turn == Turn::WrongReference {
                script.say(script.phrases.reference_wrong);
            } else if turn == Turn::NotUnderstood {
                script.say(script.phrases.not_understood);
            }
            // Silence was counted by the URL it came to.
            if turn != Turn::Silent {
                state.attempt = state.attempt.saturating_add(1);
            }
            ask_again(&mut script, &state, request, context, reference);
        }
        Turn::Repeat => menu(&mut script, &State { attempt: 0, ..state }, request, context),
        Turn::Department(department) => {
            state.department = Some(department.code.clone());
            if has_telephone(department) && time::is_open(&context.profile, request.received_at) {
                script.dial(&state, department);
            } else {
                script.say(script.phrases.closed);
                script.record(&state);
            }
        }
        Turn::Message => script.record(&state),
        Turn::CallBack if dialogue::is_withheld(&webhook) => script.ask_number(&state),
        Turn::CallBack | Turn::Number(_) => {
            script.say(script.phrases.will_call);
            farewell(&mut script, reference);
        }
        Turn::State => script.ask_reference(&state),
        Turn::Reference(_) => {
            match receipts.iter().find_map(|receipt| receipt.asked.as_ref()) {
                Some(asked) => script.case_state(asked),
                // Nothing is stored yet, so nothing was looked up either: it waits in the spool, or in quarantine.
                None if receipts.is_empty() => script.say(script.phrases.call_kept),
                None => script.say(script.phrases.reference_unknown),
            }
            menu(&mut script, &state, request, context);
        }
        Turn::Attended => farewell(&mut script, reference),
        Turn::Unattended => {
            script.say(script.phrases.nobody);
            if !dialogue::is_withheld(&webhook) {
                script.say(script.phrases.will_call);
            }
            script.reference(reference);
            script.record(&state);
        }
        Turn::Recorded => {
            script.say(script.phrases.message_kept);
            farewell(&mut script, reference);
        }
    }
    script.finish()
}

/// Puts the question of this step again, or gives the caller another way when it was put often enough.
fn ask_again(script: &mut Script<'_>, state: &State, request: &Request, context: &Context, reference: &str) {
    let enough = state.attempt >= MAX_ATTEMPTS;
    match state.step {
        Step::Language if state.attempt < 2 => script.ask_language(state),
        Step::Language => {
            script.greeting();
            menu(script, state, request, context);
        }
        Step::Reference if !enough => script.ask_reference(state),
        Step::Number if !enough => script.ask_number(state),
        Step::Message if state.attempt > 0 => {
            script.say(script.phrases.not_recorded);
            farewell(script, reference);
        }
        Step::Menu | Step::Start | Step::Dial if !enough => script.ask_menu(state),
        Step::Menu | Step::Start | Step::Dial | Step::Number | Step::Message => script.record(state),
        Step::Reference => menu(script, state, request, context),
    }
}

fn menu(script: &mut Script<'_>, state: &State, request: &Request, context: &Context) {
    if state.step != Step::Menu
        && state.step != Step::Reference
        && !time::is_open(&context.profile, request.received_at)
    {
        script.say(script.phrases.closed);
    }
    script.ask_menu(state);
}

fn farewell(script: &mut Script<'_>, reference: &str) {
    if reference.is_empty() {
        script.say(script.phrases.call_kept);
    }
    script.reference(reference);
    script.goodbye();
}

fn has_telephone(department: &Department) -> bool {
    department.phone.is_some() || department.sip.is_some()
}
