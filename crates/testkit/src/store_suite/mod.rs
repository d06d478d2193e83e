//! What every provider of `ventanilla:store` must do, written once.
//!
//! ```ignore
//! testkit::store_suite!(make_world);
//! ```
//!
//! in a provider's tests gives one `#[test]` per case; `make_world: fn() -> impl World` makes an empty database. [`World::open`] is
//! called for every "process" that uses it, also from several threads at once, so the provider's own migrations are raced too.

pub mod built;
mod calls;
mod desk;
mod feed;
mod intake;
mod ledger;
mod privacy;
mod search;
mod sending;
mod threading;

pub mod make;

pub use calls::*;
pub use desk::*;
pub use feed::*;
pub use intake::*;
pub use ledger::*;
pub use privacy::*;
pub use search::*;
pub use sending::*;
pub use threading::*;

use store_sdk::Store;

/// An empty database and the means to open it.
pub trait World: Sync {
    /// The provider.
    type Store: Store;

    /// A new process (or component instance) on the same database.
    fn open(&self) -> Self::Store;
}

/// Runs a future on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(done) => return done,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

/// Runs something in many threads at once, each with its own opening of the world, and gives their results.
pub fn together<W: World, T: Send>(world: &W, threads: usize, work: impl Fn(usize, W::Store) -> T + Sync) -> Vec<T> {
    let start = std::sync::Barrier::new(threads);
    let (start, work) = (&start, &work);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|index| {
                scope.spawn(move || {
                    start.wait();
                    work(index, world.open())
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("a thread of the suite has panicked")).collect()
    })
}

/// Gives a provider every test of the suite.
#[macro_export]
macro_rules! store_suite {
    ($make:path) => {
        $crate::store_suite!(@tests $make:
            // intake
            a_new_store_is_ready_and_empty
            an_event_comes_back_as_it_was_recorded
            a_redelivery_gives_the_first_receipt_and_changes_nothing
            a_key_is_unique_per_connector_and_tenant_only
            the_same_key_twice_in_one_delivery_is_stored_once
            a_hundred_concurrent_deliveries_of_one_event_store_it_once
            a_hundred_new_processes_may_start_at_once
            events_keep_the_order_in_which_they_were_recorded
            pages_meet_without_a_gap
            a_megabyte_of_text_survives
            strange_text_survives_byte_for_byte
            keys_that_differ_behind_a_nul_differ
            an_empty_idempotency_key_or_thread_key_is_invalid_and_stores_nothing
            one_invalid_event_keeps_the_others_out
            tenants_do_not_see_each_other
            an_envelope_comes_back_byte_for_byte
            a_journalled_envelope_is_completed_by_its_record
            an_envelope_of_another_tenant_cannot_be_completed
            what_was_accepted_stays_accepted
            a_quarantined_envelope_is_replayed_without_a_second_case
            a_nonce_with_the_same_request_is_a_redelivery
            a_nonce_with_another_request_is_a_replay
            the_ledger_counts_what_is_stored
            profiles_are_kept
            // calls
            a_call_is_one_case_whichever_event_comes_first
            two_events_of_one_call_at_the_same_moment_open_one_case
            a_call_whose_case_is_closed_still_goes_there
            a_withheld_number_has_no_contact_and_no_call_back
            an_abandoned_call_is_missed_once
            a_call_in_which_somebody_answered_is_not_missed
            a_call_that_left_a_recording_is_not_missed
            a_recording_that_comes_late_withdraws_the_call_back
            keys_pressed_do_not_save_a_call_from_being_missed
            hearing_the_state_of_a_case_is_no_missed_call
            a_missed_call_of_the_connector_is_not_missed_again
            a_task_is_made_once
            a_call_back_goes_to_the_number_the_caller_gave
            the_caller_s_last_choice_of_department_counts_until_staff_choose
            // threading
            a_conversation_is_one_case_until_it_is_closed
            a_conversation_is_the_connector_s_own
            existing_never_opens_a_case
            a_detached_event_has_no_case
            a_reply_of_a_participant_joins_its_case
            a_stranger_with_the_same_message_id_gets_a_case_of_his_own
            an_empty_message_id_matches_nothing
            another_tenant_s_message_id_matches_nothing
            our_own_token_joins_its_case
            a_token_of_no_case_opens_a_new_one
            a_bounce_finds_its_case_without_taking_part_in_it
            a_reply_opens_a_resolved_case_again
            what_is_added_to_a_public_case_joins_it_and_changes_nothing_of_it
            who_adds_to_a_public_case_takes_no_part_in_it
            only_a_public_case_of_the_tenant_is_added_to
            // desk
            a_reference_is_ten_digits_with_a_check_digit
            a_wrong_check_digit_is_refused_and_an_unknown_reference_is_absent
            asking_about_a_case_gives_its_state
            cases_are_listed_by_status_and_channel
            search_pages_newest_first
            a_change_is_written_with_its_history
            notes_and_tasks_are_kept
            changes_of_an_unknown_case_are_invalid
            joined_contacts_are_one_until_they_are_separated
            an_address_is_one_person_s_whatever_the_case_of_its_letters
            contacts_of_other_tenants_are_not_joined
            a_joined_contact_s_mail_joins_the_case
            only_public_cases_are_public
            // search
            a_search_finds_the_beginnings_of_words
            words_of_a_search_may_be_in_several_events_of_a_case
            a_telephone_number_is_found_by_its_end
            an_abandoned_call_is_found_by_its_number
            a_hostile_text_loses_no_intake
            // sending
            a_reply_goes_out_by_the_channel_of_the_last_message
            a_leased_item_is_nobody_else_s
            an_item_that_failed_once_comes_again_when_it_is_due
            a_busy_tenant_does_not_starve_another
            nobody_can_be_answered_without_a_sender
            a_reply_to_what_we_sent_joins_its_case
            staff_see_what_became_of_a_reply
            a_message_of_several_calls_goes_on_where_it_stopped
            what_is_queued_is_told_by_connector
            who_writes_is_acknowledged_once_per_thread_and_day
            what_must_not_be_acknowledged_is_not
            a_request_to_follow_is_answered_without_a_word
            // feed
            the_feed_has_events_and_changes_in_the_order_in_which_they_happened
            a_new_destination_begins_now_or_at_the_beginning
            what_is_not_settled_is_given_out_again
            two_workers_never_have_the_same_destination_at_once
            nothing_that_is_written_meanwhile_is_skipped
            a_failed_destination_comes_again_when_it_is_due
            a_destination_that_is_down_holds_up_no_other
            a_stopped_or_paused_destination_is_resumed_where_it_was
            a_restart_in_between_loses_and_repeats_nothing_that_was_settled
            what_the_store_itself_finds_is_in_the_feed
            large_entries_come_in_smaller_batches
            // ledger
            what_is_stored_is_sealed_in_one_chain_per_tenant
            two_that_seal_at_once_make_one_chain
            nothing_that_is_written_meanwhile_is_left_without_a_seal
            an_account_has_every_delivery_once
            an_account_of_a_period_has_the_seals_of_its_envelopes
            a_single_use_value_that_comes_again_is_a_repeat
            what_was_journalled_has_its_duplicates_counted_and_a_replay_has_none
            received_envelopes_are_found_by_their_time
            a_chain_is_examined_part_by_part
            a_limit_of_nothing_and_bounds_that_do_not_ascend_are_invalid
            // privacy
            what_is_erased_is_gone_from_every_answer
            nothing_comes_back_after_an_erasure
            a_case_on_hold_is_kept
            retention_takes_each_kind_in_its_time
            retention_sees_what_comes_late_and_what_has_no_case
            a_shared_envelope_goes_with_the_last_of_its_cases
            several_that_retain_at_once_do_it_once
            an_erasure_under_way_loses_no_intake
            the_feed_tells_of_an_erasure
            what_was_being_sent_when_it_was_erased_is_not_sent_again
            whose_name_is_due_before_the_reply_left_gets_none
            a_removed_tenant_leaves_its_audit_and_nothing_else
            the_audit_is_read_newest_first_in_pages
        );
    };
    (@tests $make:path: $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::store_suite::$name(&$make());
            }
        )*
    };
}
