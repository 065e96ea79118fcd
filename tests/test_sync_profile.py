"""What a department may set on its units, and what not."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.config import FirstToGo, RetentionConfig
from sync.errors import WireFormatError
from sync.networks import Lists, NetworkRule, Reads
from sync.profile import Profile, decode_profile, retention_of, together

NEW_HAMPSHIRE = b"""\
version = 1

[retention]
non_hit_window_min = 3
transfer_non_hits = false
when_full = ["non_hit_images"]

[hotlist]
cooldown_s = 60

[page]
idle_lock_min = 15

[[sync.networks]]
name = "cellular"
interfaces = ["wwan*"]
reads = "hits"
lists = "urgent"
max_bytes_s = 20000
"""


def test_profile_says_how_reads_are_kept_and_what_travels() -> None:
    profile = decode_profile(NEW_HAMPSHIRE)
    retention = retention_of(profile, RetentionConfig(local_window_h=12))
    assert (retention.local_window_h, retention.non_hit_window_min) == (12, 3)
    assert (retention.transfer_non_hits, retention.when_full) == (False, (FirstToGo.NON_HIT_IMAGES,))
    rules = profile.values["sync", "networks"]
    assert isinstance(rules, tuple) and isinstance(rule := rules[0], NetworkRule)
    assert (rule.reads, rule.lists, rule.max_bytes_s) == (Reads.HITS, Lists.URGENT, 20_000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version = 2",
        'version = "1"',
        "version = true",
        "version = 1\nretention = 3",
        '[sync]\nserver_url = "https://elsewhere"',
        '[unit]\nstate_dir = "/tmp"',
        '[unit]\nkeys_dir = "/tmp"',
        '[mqtt]\nhost = "elsewhere"',
        '[page]\nhost = "0.0.0.0"',
        "[page]\nidle_lock_min = 0",
        "[page]\nidle_lock_min = 31",
        "[retention]\nlocal_window_h = 169",
        "[retention]\nlocal_window_h = -1",
        "[retention]\nlocal_window_h = nan",
        "[retention]\nlocal_window_h = true",
        "[retention]\nlocal_window_h = 1\nnon_hit_window_min = 61",
        "[retention]\ntransfer_non_hits = 0",
        '[retention]\nwhen_full = ["reads"]',
        '[retention]\nwhen_full = ["hit_images", "hit_images"]',
        "[hotlist]\nhit_probability = 0.1\npossible_probability = 0.2",
        '[[sync.networks]]\nname = "x"\ninterfaces = "wl*"',
        '[[sync.networks]]\nname = "x"\ninterfaces = ["wl*"]\nserver = "y"',
        '[[sync.networks]]\nname = "x"\ninterfaces = ["wl*"]\nreads = "none"',
        "[sync]\nnetworks = []",
    ],
)
def test_profile_that_sets_what_it_may_not_is_refused_whole(text: str) -> None:
    data = text if "version" in text or not text else f"version = 1\n{text}"
    with pytest.raises(WireFormatError, match="profile"):
        decode_profile(data.encode())


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f"version = 1\n{text}".encode()))
def test_no_bytes_are_more_than_refused(data: bytes) -> None:
    with suppress(WireFormatError):
        assert isinstance(decode_profile(data), Profile)


def test_two_profiles_that_say_the_same_key_are_refused() -> None:
    one, other = (decode_profile(b"version = 1\n[page]\nidle_lock_min = %d" % n) for n in (5, 6))
    with pytest.raises(WireFormatError, match="stands in a and in b"):
        together({"b": other, "a": one})
    third = decode_profile(b"version = 1\n[retention]\nlocal_window_h = 2")
    assert len(together({"a": one, "c": third}).values) == 2


def test_shorter_window_of_the_department_cuts_what_the_units_own_file_says() -> None:
    profile = decode_profile(b"version = 1\n[retention]\nlocal_window_h = 1")
    assert retention_of(profile, RetentionConfig(non_hit_window_min=90)).non_hit_window_min == 60
