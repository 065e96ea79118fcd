"""What may be a password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import SettingsInvalidError
from server.passwords import MIN_PASSWORD, one_time_password, require_password

EASY = (
    "passwordpassword",
    "Password123456!",
    "P@ssw0rd!P@ssw0rd!",
    "aaaaaaaaaaaa",
    "abcabcabcabc",
    "123456789012",
    "098765432109",
    "qwertyuiop12345",
    "zxcvbnmasdfgh",
    "Reyes-2026-Reyes",
    "ExamplePolice2026",
    "letmein-letmein",
    "welcome to Example Police",
    "summer2026summer",
)
GOOD = (
    "an invented password",
    "seven green lamps over water",
    "correct horse battery staple",
    "Tr4ctor-Moss-Quill",
    "749201836571",
)


@pytest.mark.parametrize("password", EASY)
def test_what_everybody_would_try_first_is_no_password(password: str) -> None:
    with pytest.raises(SettingsInvalidError, match="easily guessed"):
        require_password(password, "reyes", "Example Police")


@pytest.mark.parametrize("password", GOOD)
def test_words_that_have_nothing_to_do_with_each_other_are_one(password: str) -> None:
    require_password(password, "reyes", "Example Police")


@pytest.mark.parametrize("password", ["", "short", "x" * 257])
def test_too_short_and_too_long_are_none(password: str) -> None:
    with pytest.raises(SettingsInvalidError, match="12 to 256"):
        require_password(password)


@given(st.text(max_size=300), st.text(max_size=64))
def test_no_text_breaks_the_rules_nor_comes_back(password: str, name: str) -> None:
    try:
        require_password(password, name)
    except SettingsInvalidError as error:
        assert len(password) < MIN_PASSWORD or password not in str(error)


def test_one_time_passwords_are_passwords_and_never_the_same() -> None:
    made = [one_time_password() for _ in range(200)]
    assert len(set(made)) == 200
    for password in made:
        require_password(password, "reyes", "Example Police")
