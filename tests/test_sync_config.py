"""A setting that cannot work is refused by its name."""

import pytest

from sync.config import MqttConfig, RetentionConfig, SyncConfig


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
    ],
)
def test_a_wrong_retention_setting_is_named(settings: dict[str, int], key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}: "):
        RetentionConfig(**settings)


def test_the_defaults_work() -> None:
    assert (SyncConfig().server_url, MqttConfig().host, RetentionConfig().local_window_h) == ("", "", 24.0)
