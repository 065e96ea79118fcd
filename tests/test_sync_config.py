"""A setting that cannot work is refused by its name."""

import pytest

from sync.config import FirstToGo, MqttConfig, RetentionConfig, SyncConfig


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"server_url": "http://plain.test"}, "server_url"),
        ({"interval_s": 0}, "interval_s"),
        ({"batch_reads": 0}, "batch_reads"),
        ({"batch_bytes": 16 * 1024 * 1024}, "batch_bytes"),
        ({"backoff_first_s": 10, "backoff_max_s": 5}, "backoff_first_s"),
        ({"io_timeout_s": float("inf")}, "io_timeout_s"),
        ({"io_timeout_s": float("nan")}, "io_timeout_s"),
    ],
)
def test_a_wrong_sync_setting_is_named(settings: dict[str, float], key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}: "):
        SyncConfig(**settings)  # type: ignore[arg-type]  # of several types


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"port": 0}, "port"), ({"port": 70_000}, "port"), ({"backoff_max_s": 1}, "backoff_first_s")],
)
def test_a_wrong_mqtt_setting_is_named(settings: dict[str, int], key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}: "):
        MqttConfig(**settings)  # type: ignore[arg-type]  # of several types


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"local_window_h": -1.0}, "local_window_h"),
        ({"image_reserve_bytes": 10, "stop_reserve_bytes": 20}, "stop_reserve_bytes"),
        ({"stop_reserve_bytes": 0}, "stop_reserve_bytes"),
        ({"local_window_h": 9000.0}, "local_window_h"),
        ({"local_window_h": float("nan")}, "local_window_h"),
        ({"non_hit_window_min": -1.0}, "non_hit_window_min"),
        ({"non_hit_window_min": 61.0, "local_window_h": 1.0}, "non_hit_window_min"),
        ({"when_full": (FirstToGo.HIT_IMAGES, FirstToGo.HIT_IMAGES)}, "when_full"),
    ],
)
def test_a_wrong_retention_setting_is_named(settings: dict[str, int], key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}: "):
        RetentionConfig(**settings)  # type: ignore[arg-type]  # of several types


def test_the_unit_does_without_one_thing_after_the_other_as_its_disk_fills() -> None:
    retention = RetentionConfig(image_reserve_bytes=400, stop_reserve_bytes=100)
    first, second, third = retention.when_full
    without = [(free, retention.done_without(free)) for free in (400, 399, 299, 199, 0)]
    assert without == [
        (400, frozenset()),
        (399, {first}),
        (299, {first, second}),
        (199, {first, second, third}),
        (0, {first, second, third}),
    ]
    assert RetentionConfig(when_full=()).done_without(0) == frozenset()


def test_reads_without_a_hit_have_the_window_of_all_unless_the_profile_says_otherwise() -> None:
    for retention, hit_s, other_s in (
        (RetentionConfig(), 86_400, 86_400),
        (RetentionConfig(non_hit_window_min=3), 86_400, 180),
        (RetentionConfig(local_window_h=0), 0, 0),
    ):
        assert (retention.window_s(hit=True), retention.window_s(hit=False)) == (hit_s, other_s)


def test_the_defaults_work() -> None:
    assert (SyncConfig().server_url, MqttConfig().host, RetentionConfig().local_window_h) == ("", "", 24.0)
