//! The suite on a component of which there is nothing but the file: `ventanilla check`.
//!
//! What the suite does natively it does here inside the component, on a sample of the changed requests: a call costs a fresh
//! instance there.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use channel_sdk::connector::Guest;
use channel_sdk::types::{
    Authentication, Call, Context, Descriptor, Fetched, Outcome, Outgoing, Refusal, Request, Response, Translation,
};
use serde::Serialize;

use super::component::{Built, TYPES, foreign_imports};
use super::subject::{Subject, Trap};
use super::{SAMPLE, Suite, changes, settle, story, survives};

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Result {
    /// It holds.
    Ok,
    /// It does not: what failed, with which request.
    Failed,
    /// It could not be tried, and why.
    NotTried,
}

/// One rule of the contract.
#[derive(Debug, Clone, Serialize)]
pub struct Rule {
    /// As a sentence.
    pub rule: &'static str,
    /// Whether it holds.
    pub result: Result,
    /// What failed, with which request, or why it was not tried.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub remedy: &'static str,
}

/// What is to be said of a component.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// `<channel>/<vendor>`, as it says itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// In the order in which they were tried.
    pub rules: Vec<Rule>,
}

impl Verdict {
    /// Rules with this result.
    pub fn count(&self, result: &Result) -> usize {
        self.rules.iter().filter(|rule| rule.result == *result).count()
    }

    fn rule(&mut self, rule: &'static str, remedy: &'static str, failed: Option<String>) {
        let (result, remedy) = if failed.is_some() { (Result::Failed, remedy) } else { (Result::Ok, "") };
        self.rules.push(Rule { rule, result, detail: failed.unwrap_or_default(), remedy });
    }
}

/// The component under test. Its functions are called without `self`, and on many threads.
static LOADED: RwLock<Option<Built>> = RwLock::new(None);

/// Stands for whatever component was loaded.
struct Loaded;

fn given<T>(call: impl FnOnce(&mut Built) -> std::result::Result<T, Trap>) -> T {
    let loaded = LOADED.read().unwrap_or_else(PoisonError::into_inner).clone();
    let mut built = loaded.unwrap_or_else(|| panic!("no component is loaded"));
    call(&mut built).unwrap_or_else(|trap| panic!("{}", trap.0))
}

impl Guest for Loaded {
    fn describe() -> Descriptor {
        given(Built::describe)
    }
    fn authenticate(request: Request, context: Context, fetched: Vec<Fetched>) -> Authentication {
        given(|built| built.authenticate(&request, &context, &fetched))
    }
    fn translate(request: Request, context: Context, fetched: Vec<Fetched>) -> Translation {
        given(|built| built.translate(&request, &context, &fetched))
    }
    fn acknowledge(request: Request, outcome: Outcome, context: Context) -> Response {
        given(|built| built.acknowledge(&request, &outcome, &context))
    }
    fn render(message: Outgoing, context: Context) -> std::result::Result<Vec<Call>, Refusal> {
        given(|built| built.render(&message, &context))
    }
}

/// A rule as a sentence, how it is tried, what to do if it fails.
type Trial = (&'static str, fn(Suite<Loaded>), &'static str);

/// Rules for any request at all.
const ANY: [Trial; 6] = [
    (
        "it says of itself what a gateway and an operator need",
        Suite::the_descriptor_agrees_with_the_folder,
        "correct describe(); wit/channel/types.wit says what each member means",
    ),
    (
        "changed requests give a value or a typed error, never a trap",
        Suite::a_sample_of_changed_requests_gives_a_value_or_a_typed_error,
        "look for what takes the input to be well-formed: an index, a conversion, an unwrap; refuse or degrade instead",
    ),
    (
        "made-up requests keep every rule",
        Suite::made_up_requests_keep_every_rule,
        "the request is shown in its shortest form: save it as a story, and mend what it breaks",
    ),
    (
        "the same request gives the same result twice",
        Suite::the_same_request_gives_the_same_result_twice,
        "a connector has no clock, no chance and no memory: remove statics and everything that is drawn or read",
    ),
    (
        "every outcome is acknowledged so that a provider understands it",
        Suite::every_outcome_is_acknowledged_in_the_providers_words,
        "2xx only for what is stored, 503 with Retry-After for what is not, 4xx for a refusal, well-formed bodies",
    ),
    (
        "replies name their secrets and their hosts, or are refused",
        Suite::replies_are_rendered_without_secrets_or_refused,
        "secrets are parts of a call, never text; every host is in describe(); what can't be sent is a refusal",
    ),
];

/// Rules that need requests of the provider's, rightly signed.
const GOLDEN: [Trial; 4] = [
    (
        "every golden case gives what its folder says",
        Suite::every_story_gives_what_its_folder_says,
        "compare the two; if the new result is right, BLESS=1 rewrites expected.json, error.txt and answer.http",
    ),
    (
        "one flipped bit in what is signed is refused",
        Suite::one_flipped_bit_in_what_is_signed_is_refused,
        "name every byte the provider signs in check.message; never a part, never something else than it read",
    ),
    (
        "no secret is in any output",
        Suite::no_secret_is_in_any_output,
        "leave credentials out of events, answers and reasons",
    ),
    (
        "idempotency keys are stable and distinct",
        Suite::idempotency_keys_are_stable_and_distinct,
        "make the key of the provider's own id of the fact; never of a time of receipt",
    ),
];

/// Runs the suite on a built component, with the golden cases of a folder if there is one.
pub fn check(file: &Path, cases: Option<&Path>) -> Verdict {
    let mut verdict = Verdict { connector: None, rules: Vec::new() };
    let imports = match foreign_imports(file) {
        Ok(imports) => imports,
        Err(problem) => {
            verdict.rule(
                "it is a WebAssembly component",
                "build it for wasm32-unknown-unknown with the exports of wit/channel, and give that file",
                Some(problem),
            );
            return verdict;
        }
    };
    verdict.rule("it is a WebAssembly component", "", None);
    let imported = (!imports.is_empty()).then(|| format!("it imports {}", imports.join(", ")));
    let is_closed = imported.is_none();
    verdict.rule(
        "it imports our types and nothing else",
        "a connector needs no network, clock, chance, file or environment: in Rust, build for wasm32-unknown-unknown; elsewhere, \
         leave WASI out",
        imported.map(|imported| format!("{imported}; a connector imports {TYPES} and nothing else")),
    );
    if !is_closed {
        return verdict;
    }
    match Built::load(file) {
        Err(problem) => {
            verdict.rule(
                "it exports ventanilla:channel/connector",
                "implement the five functions of wit/channel/connector.wit, of the version it has",
                Some(problem),
            );
            return verdict;
        }
        Ok(built) => *LOADED.write().unwrap_or_else(PoisonError::into_inner) = Some(built),
    }
    verdict.rule("it exports ventanilla:channel/connector", "", None);
    // A failed rule is a panic whose text is for people; it is told in the verdict and not twice.
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    suite(&mut verdict, cases);
    set_hook(hook);
    verdict
}

fn suite(verdict: &mut Verdict, cases: Option<&Path>) {
    let Some(descriptor) = tried(Loaded::describe).map_or_else(
        |problem| {
            verdict.rule(ANY[0].0, ANY[0].2, Some(problem));
            None
        },
        Some,
    ) else {
        return;
    };
    let (channel, vendor) = (descriptor.channel.clone(), descriptor.vendor.clone());
    verdict.connector = Some(format!("{channel}/{vendor}"));
    let made = || match cases {
        Some(folder) => story::read_cases(folder),
        None => story::of_nobody(&descriptor),
    };
    if let Err(problem) = made() {
        let remedy = "crates/testkit/src/lib.rs says what is in such a folder";
        verdict.rule("the folder of golden cases can be read", remedy, Some(problem));
        return;
    }
    let suite = || {
        let data = made().unwrap_or_else(|problem| panic!("{problem}"));
        Suite::<Loaded>::sampled(&channel, &vendor, data)
    };
    for (rule, trial, remedy) in ANY {
        verdict.rule(rule, remedy, tried(|| trial(suite())).err());
    }
    for (rule, trial, remedy) in GOLDEN {
        match cases {
            Some(_) => verdict.rule(rule, remedy, tried(|| trial(suite())).err()),
            None => verdict.rules.push(Rule {
                rule,
                result: Result::NotTried,
                detail: "there are no golden cases".into(),
                remedy: "give a folder of signed requests with --cases; crates/testkit/src/lib.rs says what is in it",
            }),
        }
    }
}

fn tried<T>(trial: impl FnOnce() -> T) -> std::result::Result<T, String> {
    catch_unwind(AssertUnwindSafe(trial)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

impl<C: Guest> Suite<C> {
    /// With these stories, and a sample of what takes all of a request's bits in turn.
    fn sampled(channel: &str, vendor: &str, data: story::Stories) -> Self {
        Self { sample: Some(SAMPLE), ..Self::with(channel.into(), vendor.into(), Path::new(""), data) }
    }

    /// Cut short, one byte made another, and what no single byte makes.
    fn a_sample_of_changed_requests_gives_a_value_or_a_typed_error(self) {
        let mut breaches = Vec::new();
        for story in &self.data.stories {
            let all = || changes::prefixes(story).chain(changes::changed_bytes(story, 1));
            let step = (all().count() / SAMPLE).max(1) | 1;
            for changed in all().step_by(step).chain(changes::misshapen(story, 2_048)) {
                let found = survives::<C>(story, changed, true, &self.data.secrets);
                breaches.extend(found.into_iter().map(|breach| format!("{}: {breach}", story.name)));
                // One that always fails is known by now.
                if breaches.len() > 50 {
                    settle(breaches);
                    return;
                }
            }
        }
        settle(breaches);
    }
}
