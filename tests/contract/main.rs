//! The contract of `Reader` and `Store`, one case per sentence, run for every engine.
//!
//! An engine joins by one line at the end of this file. A case takes an [`Engine`], opens the stores it needs and asserts; what an
//! engine's capabilities deny, the case checks to be refused. `sentences.rs` holds the cases to the sentences.

mod engines;
mod given;
mod limits;
mod reads;
mod sentences;
mod snapshots;
mod writes;

use engines::Engine;

macro_rules! contract {
    ($engine:ident) => {
        mod $engine {
            contract! { @cases $engine,
                reads: [
                    get_answers_what_the_last_write_left,
                    reads_of_one_namespace_see_a_batch_whole_or_not_at_all,
                    an_entry_is_gone_at_its_time_for_every_read,
                    names_are_listed_in_byte_order_both_ways,
                    a_range_is_by_prefix_and_never_by_pattern,
                    a_cursor_neither_repeats_nor_skips,
                    a_page_is_full_where_expired_entries_were_left_out,
                    a_namespace_exists_while_it_holds_a_live_key,
                    usage_is_exact_and_reading_never_writes,
                ]
                writes: [
                    a_batch_is_carried_out_whole_or_not_at_all,
                    conditions_are_judged_on_the_state_before_the_batch,
                    a_failed_condition_tells_the_actual_revision,
                    a_batch_names_each_key_at_most_once,
                    each_change_takes_its_own_revision_in_order,
                    set_writes_whatever_stood_there_and_keeps_the_age,
                    set_clears_an_expiry_unless_it_gives_one,
                    a_write_on_an_expired_key_is_a_first_write,
                    deleting_nothing_changes_nothing,
                    add_creates_with_the_summand_and_keeps_an_expiry,
                    add_leaves_what_it_cannot_add_to,
                    ensure_writes_unless_the_key_is_live,
                    touch_changes_the_expiry_and_keeps_the_value,
                    delete_namespace_removes_every_key,
                    copy_namespace_copies_one_cut,
                    copying_onto_a_live_key_is_a_conflict,
                    a_revision_is_higher_than_any_before,
                    sweeping_never_takes_a_fresh_value,
                    sweeping_is_bounded_and_counted,
                    several_namespaces_are_one_instant_or_refused,
                    clear_removes_entries_and_keeps_snapshots,
                    a_closed_store_refuses_everything,
                ]
                limits: [
                    an_integer_is_stored_in_its_shortest_form,
                    what_is_above_a_limit_is_refused,
                ]
                snapshots: [
                    a_snapshot_is_a_consistent_cut_without_what_is_due,
                    ids_rise_over_restores,
                    a_parent_is_the_snapshot_taken_before,
                    expiry_does_not_run_inside_a_snapshot,
                    restore_brings_back_every_entry_and_nothing_else,
                    an_entry_restored_after_its_time_is_gone,
                    the_history_is_bounded_and_ordered,
                    a_dropped_snapshot_is_not_found,
                    a_snapshot_of_another_engine_is_unsupported,
                    a_view_is_a_cut_outside_the_history,
                    a_diff_tells_what_happened_from_base_to_later,
                ]
            }
        }
    };
    (@cases $engine:ident, $($file:ident: [$($case:ident),* $(,)?])*) => {
        $($(
            #[test]
            fn $case() {
                crate::$file::$case(&crate::Engine::$engine());
            }
        )*)*
    };
}

contract!(memory);
#[cfg(feature = "redis")]
contract!(redis);
#[cfg(feature = "redis")]
contract!(redis_cluster);
#[cfg(feature = "sqlite")]
contract!(sqlite);
