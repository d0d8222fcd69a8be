"""Tests of what only Linux has, skipped where the suite plays Windows: `pytest -p linux_only`, with this folder on PYTHONPATH.

Each is a test with all its parameters. `tests/test_other_systems.py` holds that each is there.
"""

from collections.abc import Iterator

import pytest

SKIPPED = {
    "quotation marks are Windows' there": (
        "tests/cli/test_doctor.py::test_a_missing_extra_is_named_with_its_install_command",
        "tests/cli/test_watch_verb.py::test_a_missing_library_is_named_with_its_extra",
        "tests/data/test_formats.py::test_without_the_extra_its_formats_are_skipped_with_the_install_command",
        "tests/data/test_remote.py::test_without_its_package_an_address_answers_with_the_install_command",
        "tests/data/test_runners.py::test_a_runner_that_is_none_and_a_missing_extra_are_said",
        "tests/finetune/test_stacked.py::test_without_scikit_learn_it_ends_before_any_work",
        "tests/ground/test_installers.py::test_an_extra_is_added_by_what_made_the_environment",
        "tests/integrations/test_langchain_chat.py::test_without_the_extra_the_install_command_is_named",
        "tests/lab/test_lab_page.py::test_a_missing_library_is_told_before_the_model_is_opened",
        "tests/train/test_train_callbacks.py::test_a_logger_that_is_unknown_or_not_installed_is_one_sentence",
        "tests/weights/test_verify_export.py::test_convert_says_why_its_file_was_not_checked",
    ),
    "the system lists no locks": (
        "tests/data/test_download.py::test_what_is_read_is_not_removed_from_the_cache",
        "tests/data/test_packing.py::test_the_plan_of_a_long_text_is_made_in_sections_and_kept",
        "tests/ground/test_cache.py::test_what_another_process_holds_stays",
        "tests/ground/test_cache.py::test_prepared_data_and_features_of_runs_are_listed_where_runs_are_named",
        "tests/ground/test_cache.py::test_the_verb_lists_and_removes",
        "tests/report/test_report_live_runs.py::test_who_holds_the_lock_is_at_work_and_the_lock_is_not_touched",
    ),
    "there is no readline: a line that was begun stays in the pseudo-terminal, and Ctrl-D sends it": (
        "tests/cli/test_talking_verbs.py::test_in_a_terminal_ctrl_c_stops_the_answer_and_ctrl_d_leaves",
    ),
    "locks are not those of fcntl": (
        "tests/ground/test_files.py::test_a_disk_without_locks_is_refused_in_words",
    ),
    "rights, owners and groups of files are not read": (
        "tests/ground/test_files.py::test_what_others_can_write_or_own_or_link_to_is_known",
        "tests/ground/test_files.py::test_a_group_is_ones_own_only_without_other_members",
        "tests/http/test_http_keys.py::test_a_file_that_others_may_read_or_write_is_refused",
        "tests/kernels/test_compiled_step.py::test_a_shared_cache_keeps_no_code_and_this_is_said_once",
        "tests/kernels/test_compiled_step.py::test_code_that_another_user_could_have_written_is_not_run",
        "tests/lab/test_live_parts.py::test_what_others_can_write_is_made_again",
        "tests/packs/test_feedback.py::test_it_is_no_folder_and_no_link_that_another_puts_there",
    ),
    "there is no /proc": (
        "tests/cli/test_mistakes.py::test_mistakes_are_answered_as_they_were_read_and_approved",
        "tests/ground/test_files.py::test_a_path_where_no_one_can_make_a_folder_is_a_disk_error",
        "tests/recipes/test_build.py::test_the_memory_of_a_stage_is_returned_before_the_next",
        "tests/serve/clients/test_serve_together.py::test_a_port_in_use_names_its_holder",
        "tests/serve/test_serve_process.py::test_a_port_that_is_taken_is_named_with_its_holder",
    ),
    "memory of a child process is measured, not limited": (
        "tests/ground/test_limited_process.py::test_memory_is_limited_by_the_system_or_measured",
        "tests/tokenizer/test_template.py::test_a_failing_template_is_told_in_its_own_words",
    ),
    "the compiled step is not used, and no weights are packed for it": (
        "tests/cli/test_talking_verbs.py::test_generate_says_how_fast_it_was_and_what_decoded_and_draft_tokens_change_nothing",
        "tests/cli/test_talking_verbs.py::test_generate_says_why_torch_decodes",
        "tests/engine/test_batch_int8.py::test_in_4_bits_long_prompts_stay_with_torch",
        "tests/engine/test_batch_int8.py::test_in_int8_32_answers_together_are_each_alone_to_the_last_bit",
        "tests/engine/test_default_precision.py::test_a_folder_of_packed_weights_alone_is_written_with_as_it_is",
        "tests/engine/test_default_precision.py::test_answers_are_written_in_int8_where_bf16_numba_and_a_folder_that_keeps_packed_weights_are",
        "tests/engine/test_default_precision.py::test_generate_says_its_default_once_and_float32_has_the_models_own_weights",
        "tests/engine/test_default_precision.py::test_in_python_texts_are_written_in_int8_and_scores_vectors_and_files_are_exact",
        "tests/engine/test_default_precision.py::test_langchains_models_write_in_int8_by_default_and_its_vectors_are_exact",
        "tests/engine/test_default_precision.py::test_serve_says_in_one_line_that_answers_are_in_int8_and_holds_adapters_and_reproducible_ones_in_float32",
        "tests/engine/test_default_precision.py::test_where_the_step_can_not_be_compiled_answers_are_written_in_float32_and_the_reason_is_said",
        "tests/engine/test_precision.py::test_in_int8_single_tokens_go_through_the_compiled_step_alone_and_in_a_batch",
        "tests/engine/test_precision.py::test_without_numba_or_with_a_wrong_product_torch_decodes_and_the_reason_is_said",
        "tests/engine/test_step_engine.py::test_a_server_opens_ahead_what_its_first_request_asks_for",
        "tests/engine/test_step_engine.py::test_a_server_refuses_at_its_start_whose_keys_and_values_can_not_be_in_int8",
        "tests/engine/test_step_engine.py::test_a_server_without_an_index_imports_no_torch_and_nothing_that_answers_from_documents",
        "tests/engine/test_step_engine.py::test_keys_and_values_in_int8_take_half_the_memory",
        "tests/engine/test_step_engine.py::test_logits_of_a_step_stay_as_they_are_in_the_next_on_the_same_pages",
        "tests/engine/test_step_engine.py::test_many_answers_at_once_are_the_same_as_alone",
        "tests/engine/test_step_engine.py::test_the_answers_are_those_of_the_model_that_torch_opens",
        "tests/engine/test_step_engine.py::test_verbs_that_write_do_not_import_torch",
        "tests/engine/test_step_engine.py::test_what_is_damaged_or_of_another_model_is_left_to_who_says_so",
        "tests/engine/test_step_engine.py::test_what_is_no_answer_opens_the_model_with_torch_once",
        "tests/engine/test_step_engine.py::test_where_keys_and_values_can_not_be_in_int8_it_is_said_why",
        "tests/kernels/test_compiled_step.py::test_a_damaged_file_of_code_is_compiled_again",
        "tests/kernels/test_compiled_step.py::test_a_model_opened_in_float32_or_bf16_writes_what_torch_does",
        "tests/kernels/test_compiled_step.py::test_a_numba_that_can_not_be_loaded_leaves_the_model_to_torch",
        "tests/kernels/test_compiled_step.py::test_a_step_that_fails_at_its_first_use_leaves_the_answer_to_torch",
        "tests/kernels/test_compiled_step.py::test_of_two_that_want_a_function_at_once_one_compiles",
        "tests/kernels/test_compiled_step.py::test_where_the_code_is_kept_numba_is_not_needed",
        "tests/weights/test_packed.py::test_a_folder_in_another_layout_is_refused_in_one_sentence_and_made_again_beside_a_model",
        "tests/weights/test_packed.py::test_a_folder_that_cannot_be_written_or_is_not_ours_is_left_as_it_is",
        "tests/weights/test_packed.py::test_a_packed_model_is_the_one_quantised_in_memory",
        "tests/weights/test_packed.py::test_a_write_that_was_interrupted_leaves_nothing_that_is_read",
        "tests/weights/test_packed.py::test_packed_weights_are_hashed_where_they_may_have_changed_and_once_a_day",
        "tests/weights/test_packed.py::test_packed_weights_that_another_user_could_have_written_are_not_used",
        "tests/weights/test_packed.py::test_packed_weights_that_do_not_agree_are_said_and_made_again",
        "tests/weights/test_packed.py::test_processes_that_open_a_model_at_once_all_answer_and_leave_one_set_of_weights",
        "tests/weights/test_packed.py::test_the_models_own_weights_are_not_read_again",
        "tests/weights/test_packed.py::test_weights_that_changed_later_are_hashed_and_others_are_refused",
    ),
    "the test keeps open what is to be replaced": (
        "tests/train/test_train_verb.py::test_texts_become_a_model_folder_and_the_same_command_does_nothing",
        "tests/weights/test_catalog.py::test_a_damaged_model_of_the_cache_is_fetched_again_when_it_is_opened",
        "tests/weights/test_hf_families.py::TestGemmaNorms::test_files_of_32_bits_come_back_to_one_rounding",
        "tests/weights/test_tuned_model.py::test_it_is_made_from_the_other_one_and_again_where_the_adapter_is_new",
    ),
}


def names() -> Iterator[tuple[str, str]]:
    """Yield each name and why it is skipped."""
    for reason, listed in SKIPPED.items():
        for name in listed:
            yield name, reason


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reasons = dict(names())
    for item in items:
        reason = reasons.get(item.nodeid.partition("[")[0])
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"Windows: {reason}"))
