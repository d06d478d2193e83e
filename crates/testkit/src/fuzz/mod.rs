//! Made-up inputs, some seconds of them in every test run, hours of them under libFuzzer.
//!
//! A test is given bytes that say how to change a good request or file ([`edit`]); it gives back what the result looked like,
//! or what is wrong with it. [`explore`] runs it in one of three ways:
//!
//! * In `cargo test`: random inputs for [`SECONDS`], or `VENTANILLA_FUZZ_SECONDS`. An input whose result looks like none before is
//!   kept and built upon, so that later ones go deeper. `VENTANILLA_FUZZ_SEED` repeats a run; a failure names its seed and its input.
//! * Compiled by `cargo xtask fuzz`, the same, and an input that reaches code no other has reached is kept too; in the folder
//!   `VENTANILLA_FUZZ_CORPUS`, where the next run begins.
//! * With `VENTANILLA_FUZZ_INPUT`: that one input, as hexadecimal digits, or the file that has its bytes.

mod coverage;
mod edit;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use std::path::PathBuf;

use coverage::Coverage;
pub use edit::{EDIT, Words, edit};

/// How long random inputs are tried in an ordinary test run.
pub const SECONDS: f64 = 1.5;

/// Edits of one input; more of them make noise of any request.
const MOST: usize = 12;

/// Inputs that are built upon.
const KEPT: usize = 50_000;

/// What a result looked like, so that a new kind of result is noticed, or what is wrong with it.
pub type Verdict = Result<u64, String>;

/// Runs the test on inputs of `head` bytes and then any number of edits. Panics with the first input that is found wrong, made
/// as short as it stays wrong.
pub fn explore(name: &str, head: usize, test: &mut dyn FnMut(&[u8]) -> Verdict) {
    if let Some(input) = given() {
        match test(&input) {
            Ok(looks) => println!("{name}: this input is well (it looks like {looks:016x})"),
            Err(problem) => panic!("{name}: {problem}"),
        }
        return;
    }
    let seed = variable("VENTANILLA_FUZZ_SEED").unwrap_or_else(fresh_seed);
    let seconds = variable("VENTANILLA_FUZZ_SECONDS").unwrap_or(SECONDS);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut random = Random(seed);
    let mut coverage = Coverage::start();
    let corpus = std::env::var_os("VENTANILLA_FUZZ_CORPUS").map(PathBuf::from);
    let mut waiting = corpus.iter().flat_map(stored).collect::<Vec<_>>();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut seen = HashSet::new();
    let mut tried = 0_u64;
    let mut told = Instant::now();
    // At least some hundred, also where a machine is so busy that the time is up at once.
    while tried < 200 || Instant::now() < end {
        let known = waiting.pop();
        let is_known = known.is_some();
        let input = known.unwrap_or_else(|| next(&mut random, head, &kept));
        tried += 1;
        match test(&input) {
            Ok(looks) => {
                let reached = coverage.as_mut().is_some_and(Coverage::add);
                if (seen.insert(looks) || reached) && kept.len() < KEPT {
                    if let Some(corpus) = corpus.as_ref().filter(|_| !is_known) {
                        let file = corpus.join(hexadecimal(&input));
                        std::fs::write(&file, &input).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                    }
                    kept.push(input);
                }
            }
            Err(problem) => {
                let (input, problem) = shortest(head, input, problem, test);
                panic!(
                    "{name}: {problem}\ninput {tried} of seed {seed}; to repeat it: VENTANILLA_FUZZ_INPUT={}",
                    hexadecimal(&input)
                );
            }
        }
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            eprintln!("{name}: {}", progress(tried, seed, seen.len(), kept.len(), coverage.as_ref()));
        }
    }
    eprintln!("{name}: {}", progress(tried, seed, seen.len(), kept.len(), coverage.as_ref()));
}

fn progress(tried: u64, seed: u64, kinds: usize, kept: usize, coverage: Option<&Coverage>) -> String {
    let edges = coverage.map(Coverage::edges);
    let edges = edges.map(|(reached, all)| format!(", {reached} of {all} edges reached")).unwrap_or_default();
    format!("{tried} inputs of seed {seed}, {kinds} kinds of result, {kept} inputs kept{edges}")
}

/// Inputs that an earlier run has kept.
fn stored(folder: &PathBuf) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.filter_map(|file| std::fs::read(file.ok()?.path()).ok()).collect()
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn fresh_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn given() -> Option<Vec<u8>> {
    let text = std::env::var("VENTANILLA_FUZZ_INPUT").ok()?;
    let digits: Option<Vec<u8>> = (0..text.len())
        .step_by(2)
        .map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect();
    let read = || std::fs::read(&text).unwrap_or_else(|error| panic!("VENTANILLA_FUZZ_INPUT: {text}: {error}"));
    Some(digits.unwrap_or_else(read))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// SplitMix64 (Steele, Lea, Flood, 2014): statistics good enough, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// A new input, or one that was kept with something more, less or else in it.
fn next(random: &mut Random, head: usize, kept: &[Vec<u8>]) -> Vec<u8> {
    let Some(good) = kept.get(random.below(kept.len() + kept.len() / 2 + 1)) else {
        let edits = random.below(MOST / 2);
        return random.bytes(head + edits * EDIT);
    };
    let mut input = good.clone();
    for _ in 0..=random.below(3) {
        match random.below(5) {
            0 | 1 if input.len() < head + MOST * EDIT => input.extend(random.bytes(EDIT)),
            2 if input.len() >= head + EDIT => {
                let at = head + random.below((input.len() - head) / EDIT) * EDIT;
                input.drain(at..(at + EDIT).min(input.len()));
            }
            3 => {
                let other = kept.get(random.below(kept.len())).map(|other| other.get(head..).unwrap_or_default());
                input.extend(other.unwrap_or_default());
                input.truncate(head + MOST * EDIT);
            }
            _ => {
                let at = random.below(input.len());
                if let Some(byte) = input.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
        }
    }
    input
}

/// Takes edits away while the input stays wrong.
fn shortest(
    head: usize,
    mut input: Vec<u8>,
    mut problem: String,
    test: &mut dyn FnMut(&[u8]) -> Verdict,
) -> (Vec<u8>, String) {
    let mut at = head;
    while at < input.len() {
        let mut fewer = input.clone();
        fewer.drain(at..(at + EDIT).min(fewer.len()));
        match test(&fewer) {
            Err(still) => (input, problem) = (fewer, still),
            Ok(_) => at += EDIT,
        }
    }
    (input, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn the_same_seed_gives_the_same_inputs() {
        let inputs = |seed| {
            let mut random = Random(seed);
            let kept = vec![random.bytes(20)];
            (0..50).map(|_| next(&mut random, 4, &kept)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
    }

    #[test]
    fn what_is_wrong_is_found_and_made_short() {
        // Wrong is an input with two certain edits, whatever else is in it: found because each of them alone looks new.
        let mut test = |input: &[u8]| {
            let edits = input.get(4..).unwrap_or_default();
            let has = |kind| edits.chunks(EDIT).any(|edit| edit.first() == Some(&kind));
            if has(3) && has(200) { Err("both".into()) } else { Ok(u64::from(has(3)) + 2 * u64::from(has(200))) }
        };
        let panic = catch_unwind(AssertUnwindSafe(|| explore("pair", 4, &mut test))).unwrap_err();
        let said = panic.downcast_ref::<String>().unwrap();
        let input = said.rsplit_once("VENTANILLA_FUZZ_INPUT=").unwrap().1;
        assert_eq!(input.len(), (4 + 2 * EDIT) * 2, "{said}");
    }
}
