//! What a search finds.

use channel_sdk::types::{CaseStatus, Event, Kind, Threading};
use store_sdk::Store;
use store_sdk::cases::{Query, Update};
use store_sdk::log::Page;
use store_sdk::words::LOOKED_AT;

use super::make::*;
use super::{World, block_on};

fn said(key: &str, text: &str) -> Event {
    Event { sender: Some(handle("messenger", "somebody")), text: Some(text.into()), ..chat(key, key) }
}

/// In any case of letters, with and without accents, all words, in subject, text, name, handle and reference.
pub fn a_search_finds_the_beginnings_of_words<W: World>(world: &W) {
    let store = world.open();
    let mut event = mail("<1@a>", "nuria@example.org", &[]);
    event.sender_name = Some("Núria Ñandú".into());
    event.subject = Some("100% de farolas".into());
    event.text = Some("No se VE nada_en la calle\0oscura".into());
    let reference = reference(&record(&store, MAIL, event));
    record(&store, MAIL, mail("<2@b>", "b@example.org", &[]));
    for q in [
        "ÑANDÚ",
        "nandu",
        "farola",
        "FARO núr",
        "núria-farolas",
        "nuria@EXAMPLE.org",
        "farolas 100%",
        "de 10",
        "nada_en",
        "oscura",
        &reference,
        &reference.replace('-', ""),
        &reference[..7],
        &reference.replace('-', "")[..5],
        &format!("farolas {}", &reference[..3]),
    ] {
        assert_eq!(found(&store, TENANT, by(q)), [reference.clone()], "{q}");
    }
    for q in ["arolas", "farolas pozo", "farolasx", "x0%", "\\", "'", "\"", "%", "_", "!!!", "\0", "\u{301}", "~"] {
        assert_eq!(found(&store, TENANT, by(q)), [String::new(); 0], "{q}");
    }
    assert_eq!(found(&store, TENANT, by(" ")).len(), 2);
    assert!(found(&store, "sevilla", by("farolas")).is_empty());
}

/// Several words may be in several events of a case; state and channel count as well.
pub fn words_of_a_search_may_be_in_several_events_of_a_case<W: World>(world: &W) {
    let store = world.open();
    let first = reference(&record(&store, VOICE, chat("1", "one")));
    record(&store, VOICE, Event { text: Some("a lamp".into()), ..chat("2", "one") });
    record(&store, VOICE, Event { text: Some("a bench, the Lámpara".into()), ..chat("3", "one") });
    let second = reference(&record(&store, MAIL, mail("<l@a>", "a@example.org", &[])));
    record(&store, VOICE, Event { text: Some("a bench".into()), ..chat("4", "two") });
    assert_eq!(found(&store, TENANT, by("lamp")), [second.clone(), first.clone()], "newest first, and each once");
    assert_eq!(found(&store, TENANT, by("bench lamp")), [first.clone()]);
    assert_eq!(found(&store, TENANT, by("hello lampara bench")), [first.clone()]);
    let channel = |channel: &str| Query { channel: Some(channel.into()), ..by("lamp") };
    assert_eq!(found(&store, TENANT, channel("email")), [second.clone()]);
    let pending = Update { status: Some(CaseStatus::Pending), department: None, assignee: None, priority: None };
    block_on(store.change(TENANT.into(), first.clone(), pending, "ana".into(), T0)).expect("changed");
    let status = |status| Query { status: Some(status), ..by("lamp") };
    assert_eq!(found(&store, TENANT, status(CaseStatus::Pending)), [first.clone()]);
    assert_eq!(found(&store, TENANT, status(CaseStatus::New)), [second.clone()]);
    let page = |after| block_on(store.search(TENANT.into(), by("lamp"), Page { after, limit: 1 })).expect("page");
    let one = page(None);
    assert_eq!(one.cases[0].reference, second);
    let two = page(one.next);
    assert_eq!((two.cases[0].reference.clone(), two.next), (first, None));
}

/// As people know it: without the code of the country, or its last digits, in groups.
pub fn a_telephone_number_is_found_by_its_end<W: World>(world: &W) {
    let store = world.open();
    let called = reference(&record(&store, VOICE, call(Kind::CallStarted, "s", "CA1")));
    let wrote = reference(&record(&store, VOICE, said("w", "Llámenme al 600 111-222, por favor")));
    record(&store, VOICE, said("x", "600111 and 222"));
    for q in ["600111222", "600 111 222", "600-111-222", "111222"] {
        assert_eq!(found(&store, TENANT, by(q)), [wrote.clone(), called.clone()], "{q}");
    }
    for q in ["+34600111222", "+34 600 111 222", "34600", "CA1 34600111222"] {
        let expected = if q.starts_with("CA1") { Vec::new() } else { vec![called.clone()] };
        assert_eq!(found(&store, TENANT, by(q)), expected, "{q}");
    }
    assert!(found(&store, TENANT, by("6001112220")).is_empty());
}

/// The caller's number of a call that was abandoned comes from another event of it.
pub fn an_abandoned_call_is_found_by_its_number<W: World>(world: &W) {
    let store = world.open();
    let called = reference(&record(&store, VOICE, call(Kind::CallStarted, "s", "CA1")));
    let ended = Event { sender: None, ..call(Kind::CallEnded, "e", "CA1") };
    record(&store, VOICE, ended);
    assert_eq!(kinds(&case(&store, &called)), ["call.started", "call.ended", "call.missed"]);
    assert_eq!(found(&store, TENANT, by("600111222")), [called.clone()]);
    assert_eq!(found(&store, TENANT, by("+34600111222")), [called]);
}

/// What has no case is found by nobody, and what is in no word loses no intake.
pub fn a_hostile_text_loses_no_intake<W: World>(world: &W) {
    let store = world.open();
    let texts = [
        "'\"\\\\\" '' \\' \"\"\" --; DROP TABLE words",
        "\0\u{1}\u{8}\u{1f}\u{7f}\u{85}\u{2028}\u{feff}\u{fffd}\u{fdd0}\u{fdd0}0\u{ffff}\u{10ffff}",
        "{\"a\":[\"b\",\"c\"]} ','\",\"']]}",
        &"x".repeat(16_384),
        &"9".repeat(40_000),
        &"👩‍👩‍👧‍👦 ".repeat(3_000),
        &"𝔞𝔟𝔠 ﷺ ".repeat(3_000),
        "שלום \u{202e}עולם\u{202c} مرحبا بالعالم",
        &(0..4_000).map(|number| format!("word{number}\n")).collect::<String>(),
        "%_\\%\\_ $1 ?1 :a @b #c",
        "e\u{301}\u{301}\u{301}\u{200d}\u{200d} \u{345}",
        "",
        " \n\t\r ",
        "~ ~~ ~1 ~12345",
    ];
    for (index, text) in texts.into_iter().enumerate() {
        let event = Event {
            subject: Some(text.chars().take(900).collect()),
            sender_name: Some(text.chars().take(90).collect()),
            ..said(&format!("h{index}"), &format!("{text}\nmark{index}"))
        };
        let reference = reference(&record(&store, VOICE, event));
        // What stands behind the first 200 words, or 16,384 characters, is not looked for.
        if text.len() < 10_000 {
            assert_eq!(found(&store, TENANT, by(&format!("mark{index}"))), [reference], "{index}");
        }
        // And a question may be as bad.
        let question: String = text.chars().take(300).collect();
        drop(block_on(store.search(TENANT.into(), by(&question), first())).expect("an answer"));
    }
    for (q, index) in
        [("drop", 0), ("שלום", 7), ("عالم", 99), ("بالعالم", 7), ("abc", 6), (&"x".repeat(50), 3), ("~12345", 13)]
    {
        let hits = found(&store, TENANT, by(q));
        assert_eq!(hits.len(), usize::from(index < 99), "{q}: {hits:?}");
    }
    let alone = Event { threading: Threading::Detached, ..said("alone", "nowhere") };
    record(&store, VOICE, alone);
    assert!(found(&store, TENANT, by("nowhere")).is_empty());
}

/// Not among the suite's, because it takes many cases: a word that is in more of them than a page looks at. No page loses or repeats one, and
/// one that looks at enough without finding any says where to go on.
pub fn a_word_that_is_everywhere_is_found_page_by_page<W: World>(world: &W) {
    let store = world.open();
    let many = usize::try_from(LOOKED_AT).expect("a number") + 700;
    let mut every = Vec::new();
    for from in (0..many).step_by(100) {
        let event = |number: usize| {
            let rare = if number % 1000 == 10 { " marzipan" } else { "" };
            let side = if number < 300 { "left" } else { "right" };
            said(&number.to_string(), &format!("Everywhere and {side}{rare}"))
        };
        let receipts = record_all(&store, TENANT, VOICE, (from..many.min(from + 100)).map(event).collect());
        every.extend(receipts.iter().map(reference));
    }
    every.reverse();
    let all = |query: &Query, limit: u32| {
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = block_on(store.search(TENANT.into(), query.clone(), Page { after, limit })).expect("page");
            seen.extend(page.cases.into_iter().map(|case| case.reference));
            pages += 1;
            match page.next {
                Some(next) => after = Some(next),
                None => return (seen, pages),
            }
        }
    };
    let (seen, pages) = all(&by("everyw"), 500);
    assert!(seen == every, "{} of {}", seen.len(), every.len());
    assert_eq!(pages, many.div_ceil(500));
    // Another that is everywhere decides nothing; the rarer one leads.
    assert!(all(&by("everywhere and"), 499).0 == every);
    let rare: Vec<String> = every.iter().rev().skip(10).step_by(1000).rev().cloned().collect();
    assert_eq!(rare.len(), 3);
    assert_eq!(all(&by("everywhere marzipan"), 2), (rare, 2));
    assert_eq!(all(&by("left everywhere"), 500), (every[many - 300..].to_vec(), 1), "the oldest, led by their word");
    // Of none of these there is any: each is everywhere alone, and one of them in events without the other.
    for number in 0..many.div_ceil(100) {
        let event = |place: usize| said(&format!("b{number}/{place}"), "Elsewhere");
        record_all(&store, TENANT, MAIL, (0..100).map(event).collect());
    }
    let nothing = all(&by("elsewhere everywhere"), 10);
    assert_eq!(nothing.0, [String::new(); 0]);
    assert!((2..6).contains(&nothing.1), "{} pages of {LOOKED_AT} cases", nothing.1);
    let older = all(&Query { status: Some(CaseStatus::New), ..by("everywhere") }, 500);
    assert!(older.0 == every, "behind the pages without any");
}
