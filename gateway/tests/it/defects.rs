//! The reference program's known defects, each impossible here: a regression
//! test named after it, or the reason why it cannot exist.
//!
//! Tests are in this module unless a crate is named. Of several tests with the
//! number of a defect, one is named.
//!
//! | # | the defect | held by |
//! |---|---|---|
//! | D1 | starting to shop is answered with success and does nothing | `d01_initiating_shopping_makes_the_list_available` |
//! | D2 | a list stays pending, so it is never assigned or completed | `d02_a_list_can_be_assigned_and_completed` |
//! | D3 | paying an invoice never completes the order | `d03_paying_the_invoice_completes_the_order` |
//! | D4 | nobody learns of approvals and rejections | `d04_search_and_customers_learn_of_approvals_and_rejections` |
//! | D5 | each price change kills the process | `d05_price_changes_leave_the_process_alone` |
//! | D6 | searching kills the process | `d06_searching_orders_answers` |
//! | D7 | a database that is down kills the process | `d07_a_database_that_goes_away_ends_nothing` |
//! | D8 | search and notifications share a consumer, each gets half | `d08_every_order_reaches_search_and_its_customer` |
//! | D9 | a canceled order is approved by its saga | `d09_a_canceled_order_is_never_approved` |
//! | D10 | canceling leaves list, payment and saga behind | messaging `d10_an_accepted_order_is_undone` |
//! | D11 | payments do not hear of canceled orders | messaging `d11_payments_hear_that_an_order_was_canceled` |
//! | D12 | a customer's number cannot be changed | `d12_messages_go_to_the_number_a_customer_changed_to` |
//! | D13 | notifications send nothing | `d13_customers_are_really_told` |
//! | D14 | events are marked as published before they are | messaging `d14_what_is_said_while_nobody_listens_is_heard_later` |
//! | D15 | the post stops for good at its first error | messaging `d15_the_post_goes_on_when_the_database_comes_back` |
//! | D16 | messages overtake each other, and go out twice | messaging `d16_messages_of_a_key_are_handled_in_order` |
//! | D17 | inbox and outbox are never pruned | `d17_what_was_handled_is_not_kept_for_ever` |
//! | D18 | five failures in ten milliseconds, then silence | messaging `d18_what_is_away_is_waited_for_without_end` |
//! | D19 | what cannot be decoded goes round for ever | messaging `d19_what_cannot_be_decoded_is_parked_at_once` |
//! | D20 | a slow handler runs beside its own second try | messaging `d20_one_message_of_a_key_is_at_work_at_a_time` |
//! | D21 | a subscription that failed is kept as if it had not | nothing is subscribed to; a part that ends takes the process down: `startup::tests::a_task_that_ends_early_takes_the_process_down` |
//! | D22 | nothing keeps the events of an aggregate in order | messaging `d22_a_message_that_is_tried_again_is_not_overtaken` |
//! | D23 | a failure after the inbox entry loses the message | messaging `d23_a_failure_leaves_nothing_in_the_inbox` |
//! | D24 | what is read twice fails for ever | `d24_what_is_said_twice_is_taken_in_once` |
//! | D25 | prices travel as differences, and are applied twice | `d25_prices_travel_as_they_are_not_as_differences` |
//! | D26 | a late message brings a removed product back | `d26_a_removed_product_does_not_come_back` |
//! | D27 | a new consumer repeats all effects of history | messaging `d27_reading_history_again_has_no_effect` |
//! | D28 | events have no version and cannot change shape | eventstore `old_shapes_of_events_are_brought_up_to_date`, domain `golden::what_is_written_is_what_history_holds` |
//! | D29 | counters rise for what never happened | there are no such counters: what happened is counted in the read models, from what was committed |
//! | D30 | a saga advances without having said anything | messaging `d30_what_a_saga_did_and_what_it_says_next_stand_together` |
//! | D31 | no timeouts, no retries, nobody sees a stuck saga | messaging `d31_a_step_nobody_answers_is_asked_for_again_and_gets_stuck` |
//! | D32 | a compensation that fails is forgotten | messaging `d32_an_undoing_that_fails_waits_for_an_operator` |
//! | D33 | an old reply advances the wrong step | messaging `d33_what_was_said_long_ago_changes_nothing` |
//! | D34 | a saga walks past its end | domain `saga::tests::a_refusal_at_any_step_rejects_the_order_last`, `a_saga_nobody_refuses_approves_the_order_last` |
//! | D35 | a confirmed payment is not given back | messaging `d35_an_order_that_cannot_be_approved_gives_the_payment_back` |
//! | D36 | an outage rejects orders | messaging `d36_a_context_that_is_away_rejects_no_order` |
//! | D37 | an error of the database hangs the saga | messaging `d37_what_the_database_does_not_take_is_parked_in_the_end` |
//! | D38 | half of a refused command is written | eventstore `a_discarded_unit_keeps_only_what_follows` |
//! | D39 | an unknown command succeeds, and a refusal does not say why | messaging `d39_a_command_nobody_knows_is_parked`, `d39_a_refusal_says_why` |
//! | D40 | an order has as many sagas as messages | messaging `d40_an_order_created_twice_has_one_saga` |
//! | D41 | two events in one append fail | eventstore `d41_several_events_in_one_append_keep_their_own_values` |
//! | D42 | whoever loses a race gets an error with SQL in it | `d42_of_eight_parallel_additions_all_count` |
//! | D43 | a history that broke off is taken for the whole | eventstore `d43_a_hole_in_a_stream_is_an_error` |
//! | D44 | unknown ids make phantoms | eventstore `d44_looking_at_an_unknown_aggregate_leaves_no_trace`, domain (each aggregate), `refusals::ids_that_name_nothing_are_refused_by_every_mutation` |
//! | D45 | what exists is created again, what is gone changes | domain `d45_a_removed_product_stays_as_it_was` |
//! | D46 | an invoice is paid twice at once | `d46_of_eight_parallel_payments_of_an_invoice_one_succeeds` |
//! | D47 | a snapshot at every third event, whatever it costs | eventstore `d47_the_interval_of_snapshots_can_be_chosen` |
//! | D48 | events hold on to the live aggregate | eventstore `d48_a_loaded_state_is_the_callers_own` |
//! | D49 | tables nobody uses | `d49_no_table_is_dead` |
//! | D50 | taking two of three takes all | domain `d50_removing_two_of_three_leaves_one` |
//! | D51 | nothing, or any number, can be bought | domain `d51_a_quantity_is_from_1_to_999` |
//! | D52 | what went off sale cannot be taken out | domain `d52_a_delisted_product_can_be_taken_out` |
//! | D53 | old prices are charged, lines change places | domain `d53_changed_prices_stop_the_checkout` |
//! | D54 | clients set the prices of their orders | `d54_nobody_sets_the_prices_of_an_order` |
//! | D55 | any payment covers any order, any number of times | domain `d55_a_payment_pays_one_order_only`, `scenarios::compensation` |
//! | D56 | an order goes from any state to any other | domain `d56_the_states_of_an_order` |
//! | D57 | refusals are swallowed | domain `d57_an_order_that_is_not_ready_is_not_completed` |
//! | D58 | a completed order does not know its invoice | domain `d58_a_completed_order_knows_its_invoice` |
//! | D59 | a canceled invoice cannot be read, a paid one changes | domain `d59_a_canceled_invoice_can_be_read_back` |
//! | D60 | an invoice knows no payment, nothing is captured | domain `d60_an_invoice_knows_its_order_customer_and_payment` |
//! | D61 | repeated lines get lost | domain `d61_lines_of_one_product_add_up` |
//! | D62 | any bot takes any list | domain `d62_only_an_idle_bot_takes_a_list` |
//! | D63 | stores sell that do not participate | domain `d63_nothing_is_added_of_a_store_that_does_not_participate` |
//! | D64 | products of no store, blank names, one SKU for all | domain `d64_a_blank_name_is_no_name`, `refusals::a_taken_sku_is_a_conflict` |
//! | D65 | money in floats | domain `d65_money_is_whole_minor_units` |
//! | D66 | prices change by nothing, or below zero | domain `d66_a_price_change_changes_the_price_in_its_direction` |
//! | D67 | anybody may do anything from anywhere | `d67_without_keys_only_this_machine_is_served` |
//! | D68 | steps within a flow are open to everybody | `d68_steps_within_a_flow_cannot_be_taken_from_outside` |
//! | D69 | what is not there is an internal error with SQL in it | `d69_what_is_not_there_is_not_found` |
//! | D70 | what is sent again happens again | `d70_a_request_that_is_sent_again_creates_nothing_twice` |
//! | D71 | lists without pages, things that cannot be read | `d71_everything_can_be_read_and_long_lists_are_paged` |
//! | D72 | names spelt one way here and another there | `d72_names_are_spelt_one_way` |
//! | D73 | calls to others within a transaction | nobody is called: a decision reads the ledger, and names travel in events |
//! | D74 | panels ask for metrics that do not exist | there are no panels |
//! | D75 | the compose files do not fit together | there are none: one binary |
//! | D76 | alive whatever happens, never unready, cut off in the middle | `d76_readiness_says_whether_it_can_serve`, `process::a_request_in_hand_is_finished_first` |
//! | D77 | a context asks itself instead of another | nobody is asked: names travel in events |
//! | D78 | a product fetched late lacks its store | nothing is fetched late: an order carries its products and stores |
//! | D79 | search knows neither dates nor totals | `d79_orders_are_found_by_everything_they_hold` |
//! | D80 | tests that do not compile | all are compiled by `./test`, with warnings as errors |
//! | D81 | features without scenarios, a saga without a test | `scenarios::checkout`, `kiosk`, `processing`, `compensation`; messaging `accepting`, `canceling` |
//! | D82 | the load generator spins, panics and hides errors | `busywork` `d82_busywork_does_without_a_catalog_and_passes_nothing_over` |
//! | D83 | an idle saga waits a second and a half for polls | `d83_an_idle_saga_waits_for_no_poll` |
//! | D84 | migrations alone do not make a database, and the documents name things differently | `d84_migrations_alone_make_a_database`, `schema::the_committed_schema_is_the_printed_one` |
//! | D85 | a container shares a map without its lock | there is no container: what is needed is handed over when the mall opens |

mod door;
mod flow;
mod records;
mod running;
