"""What a simulator must be able to produce, line by line of the carried table, and the tests that have seen it."""

import importlib

from tests.simulator.till import table

SIMULATOR, CLIENT = "tests.simulator.test_faults", "tests.kra.test_against_simulator_faults"
TROUBLE, MATRIX = "tests.kra.test_against_simulator_trouble", "tests.kra.test_fault_matrix"

SEEN_BY = {
    "every code above on demand, per endpoint and per branch, once or for a period": [
        (SIMULATOR, "test_every_result_code_can_be_had_on_any_flavour"),
        (SIMULATOR, "test_a_fault_strikes_only_its_operation_branch_and_number_of_times"),
        (SIMULATOR, "test_a_fault_ends_at_its_virtual_time"),
        (CLIENT, "test_every_result_code_ends_as_its_class_says"),
        (CLIENT, "test_a_fault_of_one_branch_is_none_of_another"),
        (MATRIX, "test_each_operation_over_each_way_with_and_without_each_fault"),
    ],
    "time-out after recording, time-out before recording, dropped connection after recording (answer lost)": [
        (SIMULATOR, "test_a_connection_ends_without_an_answer"),
        (CLIENT, "test_each_fault_against_a_sale"),
        (CLIENT, "test_a_recorded_sale_whose_answer_was_lost_is_found_with_its_receipt"),
    ],
    "duplicate as 994 (OSCU) and as 899 (VSCU), and a repeat answered as drift ('expected n+1')": [
        (SIMULATOR, "test_a_repeat_can_be_answered_as_drift_or_with_another_duplicate_code"),
        (CLIENT, "test_a_number_sent_again_is_answered_in_the_manner_of_the_host"),
        (CLIENT, "test_a_repeat_may_be_answered_as_drift_or_with_another_code"),
    ],
    "a request recorded N seconds late, after a look-up already said 001; a look-up that lags behind the recording; "
    "a closed connection never cancels what was received": [
        (SIMULATOR, "test_a_request_recorded_late_is_found_by_no_look_up_before_its_time"),
        (SIMULATOR, "test_a_look_up_can_lag_behind_the_recording"),
        (SIMULATOR, "test_a_caller_that_hangs_up_cancels_nothing"),
        (CLIENT, "test_a_sale_that_is_recorded_late_is_not_found_before_and_is_found_after"),
        (CLIENT, "test_a_look_up_may_lag_behind_what_is_recorded"),
        (CLIENT, "test_a_caller_that_gives_up_does_not_cancel_what_kra_received"),
    ],
    "HTML 502/503 page, gateway 401, HTTP 200 wrapping a 400, empty 200": [
        (SIMULATOR, "test_an_answer_that_is_no_answer"),
        (CLIENT, "test_each_fault_against_a_sale"),
        (CLIENT, "test_each_fault_against_a_look_up"),
    ],
    "902 without key, 905 for an unapproved serial, corrupt-device answer that grows with each initialise call": [
        (SIMULATOR, "test_a_device_is_damaged_a_little_more_by_each_initialization"),
        (TROUBLE, "test_a_second_activation_gives_902_and_no_key"),
        (TROUBLE, "test_a_serial_of_the_other_kind_is_told_by_903_or_905"),
        (TROUBLE, "test_a_damaged_device_refuses_everything_and_more_with_each_activation"),
    ],
    "sequence drift with expected number, masked item-code drift, stock balance mismatch in both wordings": [
        (TROUBLE, "test_a_number_ahead_of_kras_is_drift_and_names_the_number"),
        (TROUBLE, "test_an_item_code_out_of_turn_is_answered_with_the_tail_of_the_next_only"),
        (TROUBLE, "test_a_balance_that_differs_is_drift_with_both_quantities_in_both_wordings"),
    ],
    "990 after N look-ups a minute": [
        (SIMULATOR, "test_look_ups_can_be_limited_by_the_minute"),
        (CLIENT, "test_too_many_look_ups_are_told_by_990_and_pass_with_the_minute"),
    ],
    "VSCU refusing numbers once its simulated clock is more than 24 h past the last KRA contact": [
        (TROUBLE, "test_a_vscu_signs_for_a_day_without_kra_then_stops_and_forwards_all_when_it_is_back"),
    ],
}


def test_every_line_of_the_table_is_seen_by_a_test() -> None:
    assert list(SEEN_BY) == table("errors")["simulator_must_be_able_to_produce"]


def test_the_tests_named_exist() -> None:
    named = [name for names in SEEN_BY.values() for name in names]
    missing = [name for module, name in named if not hasattr(importlib.import_module(module), name)]
    assert not missing
