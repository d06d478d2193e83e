//! Whose rows a statement sees, and when.

mod support;

use channel_sdk::types::{Event, Kind, Task};
use store_postgres::database::{Database as _, Value};
use store_sdk::Store;
use store_sdk::feed::Start;
use store_sdk::log::{Disposition, Page};
use support::{Base, Kept, OWNER, ROLE, empty, now, number, rows};
use testkit::store_suite::World;
use testkit::store_suite::make::{T0, TENANT, VOICE, all_events, call, chat, envelope, record_all, record_for};

const OTHER: &str = "sevilla";

/// Something in every table, of two tenants.
fn filled() -> Base {
    let base = empty();
    let owner = base.connect("postgres");
    for tenant in [TENANT, OTHER] {
        let store = base.open();
        let mut once = envelope(tenant, VOICE);
        once.nonce = Some("n".into());
        let started = Event { task: Some(Task::Review), ..call(Kind::CallStarted, "s", "CA1") };
        let receipts = now(store.record(once, Disposition::Accepted, vec![started])).unwrap();
        let reference = receipts[0].case_reference.clone().unwrap();
        now(store.add_note(tenant.into(), reference.clone(), "n".into(), "ana".into(), T0)).unwrap();
        now(store.reply(tenant.into(), reference, "r".into(), "ana".into(), T0)).unwrap();
        drop(now(store.feed_claim(tenant.into(), "crm".into(), Start::Now, T0, T0 + 1, 1)).unwrap());
        rows(&owner, &format!("INSERT INTO ventanilla.tenants VALUES ('{tenant}', '{{}}', TRUE); ")).unwrap();
        rows(&owner, &format!("INSERT INTO ventanilla.acknowledgements VALUES ('{tenant}', 'x', 'x', 1, 1)")).unwrap();
        rows(
            &owner,
            &format!(
                "INSERT INTO ventanilla.contact_joins (tenant, into_contact, other_contact, author, at) VALUES ('{tenant}', 'a', 'b', 'c', 1)"
            ),
        )
        .unwrap();
    }
    assert_eq!(now(base.open().seal(T0, 10)).unwrap().sealed, 2);
    for tenant in [TENANT, OTHER] {
        for values in [
            "again VALUES ('{}', 1, 'x')",
            "retention VALUES ('{}', 'cases', 1)",
            "forgetting VALUES ('{}')",
            "audit VALUES ('{}', 1, 'x', 1, 'a', 'policy', NULL, '{}', NULL)",
            "removals VALUES ('{}', 'x', 1, 'a', NULL, 1)",
            "unsealed VALUES ('{}', 1)",
        ] {
            rows(&owner, &format!("INSERT INTO ventanilla.{}", values.replacen("{}", tenant, 1))).unwrap();
        }
    }
    base
}

/// Tables and the column that says whose a row is.
fn tables(on: &Kept) -> Vec<(String, String)> {
    let sql = "SELECT c.relname::text, CASE c.relname WHEN 'tenants' THEN 'code' ELSE 'tenant' END FROM pg_class c \
               WHERE c.relnamespace = 'ventanilla'::regnamespace AND c.relkind = 'r' AND c.relname <> 'migrations' ORDER BY 1";
    rows(on, sql).unwrap().iter().map(|row| (row.text(0).unwrap().into(), row.text(1).unwrap().into())).collect()
}

fn as_tenant(on: &Kept, tenant: &str) {
    rows(on, &format!("SELECT set_config('ventanilla.tenant', '{tenant}', FALSE)")).unwrap();
}

#[test]
fn every_table_is_closed_by_a_policy_that_its_owner_is_under_too() {
    let base = empty();
    let owner = base.connect(OWNER);
    let open = "SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'ventanilla'::regnamespace AND c.relkind = 'r' \
                AND c.relname <> 'migrations' AND NOT (c.relrowsecurity AND c.relforcerowsecurity \
                AND EXISTS (SELECT 1 FROM pg_policies p WHERE p.schemaname = 'ventanilla' AND p.tablename = c.relname))";
    assert_eq!(number(&owner, open), 0);
    assert!(tables(&owner).len() > 12);
    // A view that asked with its owner's eyes would be a way around.
    let views = "SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'ventanilla'::regnamespace AND c.relkind = 'v' \
                 AND NOT coalesce(c.reloptions @> ARRAY['security_invoker=true'], FALSE)";
    assert_eq!(number(&owner, views), 0);
    // As would a function that runs as somebody else. The one there is is under the owner's policies, which are forced.
    let definers = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'ventanilla'::regnamespace AND prosecdef \
                    AND proname <> 'remove_seals_1'";
    assert_eq!(number(&owner, definers), 0);
}

#[test]
fn rows_of_one_tenant_are_neither_read_nor_written_under_the_setting_of_another() {
    let base = filled();
    let everything = base.connect("postgres");
    for role in [ROLE, OWNER] {
        let on = base.connect(role);
        for (table, column) in tables(&on) {
            let count = |on: &Kept, tenant: &str| {
                number(on, &format!("SELECT count(*) FROM ventanilla.{table} WHERE {column} = '{tenant}'"))
            };
            let (mine, theirs) = (count(&everything, TENANT), count(&everything, OTHER));
            assert!(mine > 0 && theirs > 0, "{table} is empty: the test shows nothing");
            as_tenant(&on, "");
            assert_eq!(
                number(&on, &format!("SELECT count(*) FROM ventanilla.{table}")),
                0,
                "{role} {table}: no setting"
            );
            as_tenant(&on, TENANT);
            assert_eq!((count(&on, TENANT), count(&on, OTHER)), (mine, 0), "{role} {table}");
            // Neither changed, nor given away, nor made in another's name, nor deleted.
            let write = |sql: String| rows(&on, &sql);
            let changed = write(format!(
                "UPDATE ventanilla.{table} SET {column} = {column} WHERE {column} = '{OTHER}' RETURNING 1::bigint"
            ));
            // A seal stays, also the tenant's own, and so does the audit, for its owner too.
            if role == OWNER && table == "audit" {
                let done = rows(&on, "DELETE FROM ventanilla.audit");
                assert!(done.as_ref().is_err_and(|error| error.0.contains("audit-stays")), "{done:?}");
                continue;
            }
            let stays = role == ROLE && ["seals", "audit"].contains(&table.as_str());
            if stays {
                for sql in [
                    format!("UPDATE ventanilla.{table} SET n = n"),
                    format!("DELETE FROM ventanilla.{table}"),
                    format!("TRUNCATE ventanilla.{table}"),
                ] {
                    let done = rows(&on, &sql);
                    assert!(done.as_ref().is_err_and(|error| error.0.starts_with("42501")), "{sql}: {done:?}");
                }
                assert!(changed.is_err_and(|error| error.0.starts_with("42501")));
                continue;
            }
            assert_eq!(changed.unwrap().len(), 0, "{role} {table}");
            let given = write(format!("UPDATE ventanilla.{table} SET {column} = '{OTHER}'"));
            assert!(given.as_ref().is_err_and(|error| error.0.starts_with("42501")), "{role} {table}: {given:?}");
            let made = write(format!(
                "INSERT INTO ventanilla.{table} SELECT (jsonb_populate_record(t, '{{\"{column}\": \"{OTHER}\"}}')).* FROM ventanilla.{table} t"
            ));
            assert!(made.as_ref().is_err_and(|error| error.0.starts_with("42501")), "{role} {table}: {made:?}");
            rows(&on, "BEGIN").unwrap();
            write(format!("DELETE FROM ventanilla.{table}")).unwrap();
            rows(&on, "COMMIT").unwrap();
            assert_eq!(count(&everything, OTHER), theirs, "{role} {table}");
            // For the next role: the row is made anew by copying theirs.
            rows(
                &everything,
                &format!(
                    "INSERT INTO ventanilla.{table} SELECT (jsonb_populate_record(t, '{{\"{column}\": \"{TENANT}\"}}')).* \
                     FROM ventanilla.{table} t WHERE {column} = '{OTHER}'"
                ),
            )
            .unwrap();
        }
    }
}

/// The setting ends with the statement that said it.
#[test]
fn no_tenant_is_left_behind_on_a_connection() {
    let base = filled();
    let on = base.connect(ROLE);
    for sql in [
        format!("SELECT * FROM ventanilla.events_1('{TENANT}', 0, 10, NULL)"),
        "SELECT * FROM ventanilla.tenants_1()".into(),
        "CALL ventanilla.claim_1('telephony/example', 1, 2, 10, NULL)".into(),
    ] {
        rows(&on, &sql).unwrap();
        for (table, _) in tables(&on) {
            assert_eq!(number(&on, &format!("SELECT count(*) FROM ventanilla.{table}")), 0, "{sql}: {table}");
        }
    }
}

#[test]
fn the_component_s_role_may_not_change_the_schema() {
    let base = empty();
    let on = base.connect(ROLE);
    for sql in [
        "ALTER TABLE ventanilla.events DISABLE ROW LEVEL SECURITY",
        "DROP POLICY of_the_tenant ON ventanilla.events",
        "CREATE TABLE ventanilla.mine (a text)",
        "TRUNCATE ventanilla.events",
        "DELETE FROM ventanilla.migrations",
    ] {
        let answer = rows(&on, sql);
        assert!(answer.as_ref().is_err_and(|error| error.0.starts_with("42501")), "{sql}: {answer:?}");
    }
}

/// An intake that has its numbers and has not been committed.
fn in_flight(base: &Base, key: &str) -> Kept {
    let on = base.connect(ROLE);
    let intake =
        store_sdk::intake::intake(envelope(TENANT, VOICE), &Disposition::Accepted, &[chat(key, key)], support::random)
            .unwrap();
    rows(&on, "BEGIN").unwrap();
    let parameters: Vec<Value> = vec![TENANT.into(), intake.document().into(), Value::Blob(intake.body)];
    now(on.execute("SELECT ventanilla.take_in_1($1, $2, $3)::text", parameters)).unwrap();
    on
}

fn keys(base: &Base, after: Option<String>) -> Vec<String> {
    let page = now(base.open().events(TENANT.into(), None, Page { after, limit: 500 })).unwrap();
    page.events.into_iter().map(|stored| stored.event.idempotency_key).collect()
}

/// Numbers are drawn before they are committed: a cursor must not pass one that is still to come.
#[test]
fn an_event_that_is_committed_late_is_on_no_page_s_far_side() {
    let base = empty();
    let store = base.open();
    record_for(&store, TENANT, VOICE, chat("first", "first"));
    let late = in_flight(&base, "late");
    let lost = in_flight(&base, "lost");
    record_all(&store, TENANT, VOICE, vec![chat("a", "a"), chat("b", "b")]);
    assert_eq!(keys(&base, None), ["first"], "what came later waits");
    let batch = now(store.feed_claim(TENANT.into(), "crm".into(), Start::Beginning, T0, T0 + 1, 500)).unwrap().unwrap();
    assert_eq!(batch.entries.len(), 1);
    // A transaction that writes something else holds up nobody.
    rows(&late, "COMMIT").unwrap();
    assert_eq!(keys(&base, None), ["first", "late"]);
    rows(&lost, "ROLLBACK").unwrap();
    assert_eq!(keys(&base, None), ["first", "late", "a", "b"]);
    let batch =
        now(store.feed_claim(TENANT.into(), "crm".into(), Start::Beginning, T0 + 1, T0 + 2, 500)).unwrap().unwrap();
    let fed: Vec<&str> = batch
        .entries
        .iter()
        .map(|entry| match &entry.fact {
            store_sdk::feed::Fact::Received(event) => event.event.idempotency_key.as_str(),
            store_sdk::feed::Fact::Changed(_) => "changed",
        })
        .collect();
    assert_eq!(fed, ["first", "late", "a", "b"]);
}

/// Somebody's report, or a backup.
#[test]
fn a_long_transaction_that_is_no_intake_holds_up_no_page() {
    let base = empty();
    let long = base.connect(ROLE);
    rows(&long, "BEGIN").unwrap();
    rows(&long, "SELECT set_config('ventanilla.tenant', 'madrid', TRUE)").unwrap();
    rows(
        &long,
        "INSERT INTO ventanilla.notes (tenant, case_id, id, author, text, at) VALUES ('madrid', 1, 'n', 'a', 't', 1)",
    )
    .unwrap();
    record_for(&base.open(), TENANT, VOICE, chat("a", "a"));
    assert_eq!(keys(&base, None), ["a"]);
}

/// Readers that page while writers write see every event, once, in one order.
#[test]
fn who_pages_while_others_write_misses_nothing() {
    const WRITERS: usize = 6;
    const EACH: usize = 40;
    let base = empty();
    let runs = testkit::store_suite::together(&base, WRITERS + 1, |index, store| {
        let mut seen = Vec::new();
        if index < WRITERS {
            for round in 0..EACH {
                record_for(&store, TENANT, VOICE, chat(&format!("{index}/{round}"), &format!("{index}/{}", round % 7)));
            }
        } else {
            let mut after = None;
            let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
            while seen.len() < WRITERS * EACH - 1 && std::time::Instant::now() < until {
                let page = now(store.events(TENANT.into(), None, Page { after: after.clone(), limit: 5 })).unwrap();
                // Without a next page the last one is read again: a cursor is behind a full page only.
                if page.next.is_some() {
                    seen.extend(page.events.into_iter().map(|stored| stored.id));
                    after = page.next;
                } else if page.events.len() + seen.len() == WRITERS * EACH {
                    seen.extend(page.events.into_iter().map(|stored| stored.id));
                }
            }
        }
        seen
    });
    let seen: Vec<String> = runs.into_iter().flatten().collect();
    let all: Vec<String> = all_events(&base.open(), TENANT).into_iter().map(|stored| stored.id).collect();
    assert_eq!(all.len(), WRITERS * EACH);
    assert_eq!(seen, all);
}
