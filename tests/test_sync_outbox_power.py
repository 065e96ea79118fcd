"""What the outbox said is on the disk is there after a power cut at any moment."""

from tests.outbox_power import cut_outbox, worked


def test_no_power_cut_damages_the_outbox_or_loses_what_it_said_is_stored() -> None:
    outcome = cut_outbox(worked(120), 400)
    assert (outcome.cuts, outcome.corrupt, outcome.lost, outcome.twice) == (400, 0, 0, 0)


def test_harness_finds_what_a_lower_setting_loses() -> None:
    assert cut_outbox(worked(60, "NORMAL"), 100).lost > 10
    broken = cut_outbox(worked(60, "OFF"), 100)
    assert broken.corrupt + broken.lost > 10
