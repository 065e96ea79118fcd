"""One TOML file: what is unknown, missing or wrong stops the start with a line that says what to do."""

from pathlib import Path

import pytest

from edge.config import load_config, parse_config
from edge.errors import ConfigInvalidError
from edge.overrides import apply_overrides

LEAST = """
[unit]
id = "unit-07"
state_dir = "state"
keys_dir = "/etc/alpr-edge/keys"

[[cameras]]
name = "front"
source = "v4l2:/dev/video0"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_relative_folders_are_beside_the_file(tmp_path: Path) -> None:
    unit = load_config(written(tmp_path, LEAST)).unit
    assert unit.state_dir == tmp_path / "state"
    assert unit.keys_dir == Path("/etc/alpr-edge/keys")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LEAST + "[recogniser]\nthreads = 1\n", "recogniser: unknown key; did you mean recognizer"),
        (LEAST + "[recognizer]\nthread = 1\n", "did you mean recognizer.threads"),
        (LEAST + "colour = 'red'\n", "cameras.0.colour: unknown key"),
        (LEAST + "[retention]\nlocal_window_h = 'day'\n", "retention.local_window_h"),
        (LEAST + "[retention]\nlocal_window_h = -1\n", "must not be negative"),
        (LEAST + "[sync]\nserver_url = 'http://dept'\n", "https://"),
        (LEAST.replace('id = "unit-07"\n', ""), "unit.id"),
        (LEAST + LEAST.partition("[[")[1] + LEAST.partition("[[")[2], "two have the same name"),
        ("[unit", "is not TOML"),
    ],
)
def test_wrong_file_is_refused_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigInvalidError) as caught:
        load_config(written(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 78


def test_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalidError, match=r"none\.toml: cannot be read"):
        load_config(tmp_path / "none.toml")


def test_override_takes_the_place_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, LEAST + "[alerts]\nspeech = true\n")
    config = load_config(path, ["alerts.speech=false", "sync.server_url=https://dept:8443"])
    assert (config.alerts.speech, config.sync.server_url) == (False, "https://dept:8443")


def test_override_of_an_unknown_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalidError, match="unknown key"):
        load_config(written(tmp_path, LEAST), ["alerts.loud=true"])


@pytest.mark.parametrize("override", ["alerts.speech", "speech=true", "=1", "a.b.c=1", "cameras.name=x"])
def test_malformed_override_is_refused(override: str) -> None:
    with pytest.raises(ConfigInvalidError, match="--set"):
        apply_overrides({"cameras": []}, [override])


def test_overrides_leave_the_parsed_file_as_it_was() -> None:
    data = {"alerts": {"speech": True}}
    apply_overrides(data, ["alerts.speech=false"])
    assert data == {"alerts": {"speech": True}}


def test_camera_list_may_not_be_a_table() -> None:
    with pytest.raises(ConfigInvalidError, match="cameras"):
        parse_config(
            {"unit": {"id": "u", "state_dir": "s", "keys_dir": "k"}, "cameras": {"name": "x"}}, "here"
        )
