//! The tests that every store passes.
//!
//! [`conformance_tests!`](crate::conformance_tests) makes a `#[test]` of each case. The same list names the
//! [capabilities](Capabilities) that a case needs; if the store lacks one, the case is skipped with a message.
#![allow(missing_docs, reason = "the name of a case says what it tests")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "that is how tests fail"
)]

pub mod blocks;
pub mod counting;
pub mod directories;
pub mod faults;
pub mod files;
pub mod guard;
mod hold;
pub mod model;
pub mod names;
pub mod partial;
pub mod publishing;
pub mod quota;
pub mod races;
pub mod staged;
pub mod staging_model;
pub mod steps;
pub mod streams;
mod world;

pub use hold::CountHold;

use crate::{Capabilities, HomeStore};
use std::path::PathBuf;
use std::sync::Arc;

/// A host with one or more stores, for one test.
pub trait ConformanceHost: Send + Sync {
    /// Opens the stores of this host, one for each node. Called again after everything that was opened before has been
    /// dropped, as after a restart of the server.
    fn open(&self) -> Vec<Arc<dyn HomeStore>>;

    /// Where the home of the user `ann` is made, if the store keeps homes in directories: an absolute path without links.
    fn root(&self) -> PathBuf {
        PathBuf::from("/homes/ann")
    }

    /// Holds the counts of homes that are opened from now on. Returns whether the store counts homes at all.
    fn hold_counts(&self) -> bool {
        false
    }

    /// Releases the held counts.
    fn release_counts(&self) {}
}

/// Makes a new host, without a home.
pub type NewHost<'a> = &'a (dyn Fn() -> Box<dyn ConformanceHost> + Sync);

/// Runs a case, unless the store lacks one of the capabilities that it needs.
pub fn run(name: &str, needs: &[&str], case: fn(NewHost<'_>), host: NewHost<'_>) {
    let capabilities = host().open().first().map(|store| store.capabilities()).unwrap();
    let lacks = needs.iter().find(|need| !has(capabilities, need));
    match lacks {
        Some(lacks) => println!("skipped: {name}: the store lacks {lacks}"),
        None => case(host),
    }
}

fn has(capabilities: Capabilities, name: &str) -> bool {
    match name {
        "in_place_write" => capabilities.in_place_write,
        "append" => capabilities.append,
        "hard_links" => capabilities.hard_links,
        "open_files_count" => capabilities.open_files_count,
        other => panic!("{other} is not a capability"),
    }
}

/// Makes a test of each case of the suite. `$host` is an expression of the type `fn() -> Box<dyn ConformanceHost>`: a path
/// of a function, or a closure that captures nothing.
#[macro_export]
macro_rules! conformance_tests {
    ($host:expr) => {
        $crate::conformance_tests! { @all $host;
            names {
                a_rename_targets_exactly_the_given_name [],
                files_and_symbolic_links_can_have_hard_links [hard_links],
                a_hard_link_can_replace_a_file [hard_links],
                a_canonical_path_contains_no_links [],
                a_missing_directory_is_reported [],
                links_are_resolved_as_in_a_chroot [],
                forty_links_are_followed [],
                a_trailing_slash_means_a_directory [],
                all_spellings_of_a_path_are_one_entry [],
                reserved_names_are_refused [],
                a_file_is_not_a_directory [],
                calls_that_need_a_missing_capability_are_refused [],
            }
            directories {
                making_an_existing_directory_again_changes_nothing [],
                missing_parents_are_made_on_request [],
                a_directory_is_listed [],
                a_walk_visits_everything_once [],
                a_tree_is_removed_with_its_contents [],
                a_directory_is_accessible_to_its_owner_until_it_is_finalized [],
                trees_of_any_depth_are_counted_and_removed [],
                a_path_is_inside_every_directory_above_it [],
            }
            files {
                a_handle_allows_only_its_access_mode [],
                only_regular_files_are_opened [],
                a_write_through_a_dangling_link_creates_its_target [],
                set_id_bits_are_dropped [],
                times_are_set_and_owners_are_not [],
                the_first_write_removes_the_stored_digest [in_place_write],
                each_change_makes_a_new_version [in_place_write],
                a_removed_file_can_be_read_to_its_end [],
            }
            staged {
                a_staged_file_appears_when_it_is_closed [],
                a_staged_file_that_is_dropped_leaves_nothing [],
                an_exclusive_file_must_still_be_new_when_it_is_published [],
                old_content_is_kept_where_it_is_not_overwritten [],
                old_content_that_changes_meanwhile_is_never_mixed_in [],
            }
            quota {
                overwritten_bytes_are_not_counted_again [in_place_write],
                appending_writes_at_the_end_and_stops_at_the_quota [append, in_place_write],
                truncation_frees_space_and_growth_takes_it [],
                a_write_far_beyond_the_quota_does_not_touch_the_file [],
                holes_count_in_full [in_place_write],
                writes_that_the_disk_refuses_are_not_counted [],
                the_number_of_entries_is_limited [],
                links_count_with_the_length_of_their_targets [],
                a_hard_link_takes_an_entry_and_no_bytes [hard_links],
                a_removed_file_counts_until_it_is_closed [in_place_write, open_files_count],
                a_replaced_file_counts_until_it_is_closed [in_place_write, open_files_count],
                a_home_over_its_quota_may_become_smaller [in_place_write],
                a_replacement_needs_space_for_the_difference_only [],
            }
            counting {
                an_uncounted_home_serves_reads_and_removals_and_stores_nothing [],
                partial_uploads_keep_their_space_while_a_home_is_counted [],
            }
            publishing {
                a_file_appears_with_its_whole_content [],
                an_exclusive_upload_replaces_nothing [],
                an_upload_that_differs_from_its_announcement_is_not_published [],
                a_failing_item_undoes_no_other [],
                the_later_of_two_items_with_one_target_wins [],
                an_upload_follows_its_renamed_directory [],
                nothing_is_published_in_a_removed_directory [],
                an_upload_needs_a_valid_target_and_space [],
                permissions_are_inherited_or_exact [],
                an_ended_channel_leaves_no_partial_change [],
            }
            partial {
                a_loop_of_cut_uploads_fills_no_more_than_the_quota [],
                a_newer_upload_takes_the_space_of_an_older_partial_upload [],
                all_spellings_of_a_target_find_its_partial_upload [],
                a_partial_upload_follows_its_renamed_directory [],
                a_complete_upload_that_was_not_published_is_resumed [],
                a_partial_upload_survives_a_restart [],
                renaming_a_file_ends_its_credit [],
                an_upload_of_unknown_size_takes_the_space_of_an_older_partial_upload [],
                a_different_source_deletes_the_partial_upload [],
                only_blocks_that_exist_are_resumed [],
                no_more_is_resumed_than_was_announced [],
                a_leased_partial_upload_does_not_expire [],
            }
            blocks {
                blocks_of_several_channels_make_up_a_file [],
                a_partial_upload_with_gaps_is_resumed_in_blocks_and_in_order [],
                an_upload_in_order_is_resumed_in_blocks [],
                without_a_whole_block_or_with_a_wrong_digest_nothing_is_kept [],
                a_block_upload_that_does_not_fit_is_refused [],
            }
            streams {
                an_interrupted_stream_keeps_its_space [],
                a_stream_has_one_channel_at_a_time [],
                only_the_client_that_sends_a_stream_resumes_it [],
                a_stream_survives_the_publishing_of_its_target [],
            }
            steps {
                a_removal_step_may_end_after_one_entry [],
                a_partial_upload_is_checked_one_chunk_at_a_time [],
                old_content_is_copied_in_steps [],
            }
            faults {
                a_publish_that_fails_before_its_commit_changes_nothing [],
                a_publish_whose_answer_is_lost_is_whole_or_absent [],
                a_name_change_that_fails_before_its_commit_changes_nothing [],
                a_name_change_whose_answer_is_lost_is_accounted_for [],
                an_upload_that_fails_leaves_no_reservation [],
                a_hanging_call_blocks_no_other_channel [],
                accounting_is_correct_although_calls_fail_at_random [],
            }
            model {
                accounting_matches_a_count_after_each_step_in_place [],
                accounting_matches_a_count_after_each_step_with_staged_files [],
            }
            staging_model {
                staged_bytes_are_counted_after_each_step [],
                staged_bytes_are_counted_beside_writes_in_place [],
            }
            guard {
                a_guard_decides_on_every_change_of_what_exists [],
                a_protected_directory_is_not_opened_to_be_filled_again [],
                nothing_is_exchanged_between_the_guard_and_the_change [],
            }
            races {
                eight_writers_fill_the_quota_to_the_byte [in_place_write],
                eight_appenders_to_one_file_lose_nothing [in_place_write, append],
                eight_uploads_to_one_target_leave_exactly_one [],
                concurrent_operations_end_with_correct_accounting [],
            }
        }
    };
    (@all $host:expr; $($module:ident { $($case:ident [$($need:ident),*],)* })*) => {
        $(mod $module {
            use super::*;
            $(
                #[test]
                fn $case() {
                    let case = $crate::conformance::$module::$case;
                    $crate::conformance::run(stringify!($case), &[$(stringify!($need)),*], case, &$host);
                }
            )*
        })*
    };
}
