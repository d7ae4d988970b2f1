//! What holds on both databases. Each case is one function that is given an
//! empty ledger; the macro runs it on each.

mod aggregates;
mod answers;
mod appending;
mod conflicts;
mod consumers;
mod histories;
mod leases;
mod names;
mod partitions;
mod snapshots;
mod tails;
mod timers;
mod units;

macro_rules! contract {
    ($($module:ident: $($case:ident),+;)+) => {
        contract!(@on sqlite Sqlite; $($module: $($case),+;)+);
        contract!(@on postgres Postgres; $($module: $($case),+;)+);
    };
    (@on $name:ident $backend:ident; $($module:ident: $($case:ident),+;)+) => {
        mod $name {
            use mallbots_eventstore::connect::Backend;
            use mallbots_testing::ledgers::TestLedger;

            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let test = TestLedger::open(Backend::$backend).await.unwrap();
                    super::$module::$case(test).await;
                }
            )+)+
        }
    };
}

contract! {
    partitions:
        the_last_message_of_each_partition_is_known_at_any_position,
        the_least_checkpoint_is_that_of_whoever_is_furthest_behind;
    appending:
        an_append_returns_where_it_stands,
        what_is_written_is_what_is_read,
        events_come_before_what_else_is_said,
        an_append_without_messages_returns_the_head,
        positions_are_gapless_under_32_tasks,
        d41_several_events_in_one_append_keep_their_own_values,
        a_message_is_said_once_under_its_id,
        whatever_an_append_touches_all_of_it_counts,
        time_does_not_go_back,
        a_caller_that_goes_away_leaves_all_or_nothing,
        a_payload_that_is_not_json_is_refused_alone,
        what_is_queued_is_written_before_the_ledger_closes,
        a_closed_ledger_says_so;
    conflicts:
        an_append_behind_the_stream_writes_nothing,
        an_append_ahead_of_the_stream_writes_nothing,
        one_stream_in_conflict_keeps_the_others_back,
        a_version_can_be_asserted_without_writing,
        in_a_batch_the_second_append_sees_the_first,
        a_failing_neighbour_in_the_batch_fails_alone,
        d42_eight_parallel_counts_all_succeed,
        d46_of_eight_parallel_payments_one_succeeds,
        a_race_of_32_tasks_fills_a_tally_exactly;
    answers:
        the_same_key_gets_the_same_answer,
        the_same_key_for_something_else_is_refused,
        keys_of_different_callers_do_not_meet,
        a_race_for_one_key_is_done_once,
        an_answer_is_kept_even_if_nothing_was_written,
        an_answer_outlives_the_process,
        a_refusal_is_not_an_answer,
        old_answers_can_be_forgotten;
    consumers:
        a_message_is_handled_once_by_each_consumer,
        in_a_batch_a_message_is_handled_once,
        checkpoints_move_forward_only,
        the_inbox_is_pruned_behind_all_checkpoints,
        a_range_has_its_own_checkpoints_and_inbox,
        what_a_checkpoint_has_passed_is_handled,
        a_message_is_parked_once,
        parked_messages_are_listed_in_order,
        a_parked_message_can_be_mended_and_dropped,
        settling_a_dead_letter_happens_once,
        a_setting_is_set_once;
    names:
        a_name_has_one_holder,
        whoever_holds_a_name_may_take_it_again,
        a_name_given_up_is_free,
        only_the_holder_gives_a_name_up,
        a_name_changes_hands_within_one_append,
        in_a_batch_a_name_has_one_holder,
        a_race_for_a_name_has_one_winner,
        a_taken_sku_is_told_in_words;
    timers:
        timers_are_due_in_order,
        setting_a_timer_again_moves_it,
        a_cleared_timer_is_never_due,
        a_timer_fires_once,
        a_timer_that_was_moved_does_not_fire_as_it_was,
        a_timer_can_be_fired_and_set_anew_at_once,
        setting_a_timer_is_told,
        a_timer_knows_who_set_it;
    aggregates:
        an_aggregate_nobody_knows_is_its_default,
        d44_looking_at_an_unknown_aggregate_leaves_no_trace,
        an_aggregate_is_as_its_events_say,
        a_state_in_memory_is_as_good_as_one_from_the_database,
        an_append_by_hand_is_seen_at_once,
        d43_a_hole_in_a_stream_is_an_error,
        d43_an_event_that_cannot_be_read_is_an_error,
        old_shapes_of_events_are_brought_up_to_date,
        d48_a_loaded_state_is_the_callers_own,
        a_long_history_is_read_whole;
    snapshots:
        a_snapshot_spares_the_events_before_it,
        a_snapshot_of_another_schema_is_ignored_and_replaced,
        a_snapshot_that_cannot_be_read_is_ignored_and_replaced,
        d47_the_interval_of_snapshots_can_be_chosen;
    histories:
        a_stream_can_be_read_as_it_was,
        an_aggregate_can_be_replayed_as_it_was,
        causes_lead_to_what_followed,
        messages_are_found_by_their_ids,
        everything_about_one_thing_is_found_together,
        d43_a_hole_in_the_ledger_is_an_error;
    leases:
        a_lease_has_one_holder,
        a_lease_is_prolonged_under_its_fence,
        an_expired_lease_can_be_taken_and_has_a_new_fence,
        a_lease_that_is_given_back_is_free,
        a_race_for_a_lease_has_one_winner,
        members_see_each_other_until_they_leave;
    units:
        a_unit_sees_what_it_has_decided,
        a_unit_is_written_whole_or_not_at_all,
        an_empty_unit_writes_nothing,
        a_unit_decides_again_when_it_loses_a_race,
        a_unit_that_always_loses_gives_up,
        creating_the_same_again_adds_nothing,
        creating_something_else_under_an_id_is_refused,
        a_discarded_unit_keeps_only_what_follows,
        the_version_of_what_decided_nothing_is_asserted_too,
        units_over_the_same_aggregates_all_get_through,
        work_may_borrow_from_its_caller;
    tails:
        a_tail_returns_everything_in_order,
        a_tail_waits_for_what_comes,
        a_tail_that_is_dropped_while_waiting_has_lost_nothing,
        a_tail_returns_no_more_than_was_asked,
        ten_tails_each_see_everything,
        a_tail_never_skips_while_32_tasks_append,
        a_tail_behind_the_memory_reads_from_the_database,
        some_partitions_can_be_read_by_themselves,
        the_head_is_there_after_opening;
}
