"""One line declares an option: its name in the environment, its keyword, its type and its default."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask_guard.config.kinds import duration_s, secret_text
from flask_guard.config.options import iterate_options, option
from flask_guard.config.secrets import Secret


@dataclass(frozen=True, slots=True)
class Sample:
    leeway_s: float = option("SAMPLE_LEEWAY", duration_s, "0s", "Tolerance.")
    key: Secret | None = option("SAMPLE_KEY", secret_text, None, "A key.", secret=True, effective=False)
    plain: int = field(default=1)


def test_option_knows_its_names_and_its_text() -> None:
    (leeway_field, leeway), (key_field, key) = iterate_options(Sample)

    assert (leeway_field, leeway.name, leeway.argument) == ("leeway_s", "GUARD_SAMPLE_LEEWAY", "sample_leeway")
    assert (leeway.default, leeway.meaning, leeway.secret, leeway.effective) == ("0s", "Tolerance.", False, True)
    assert (key_field, key.name, key.secret, key.effective) == ("key", "GUARD_SAMPLE_KEY", True, False)


def test_secret_option_is_left_out_of_the_repr() -> None:
    assert repr(Sample(leeway_s=1.0, key=None, plain=2)) == "Sample(leeway_s=1.0, plain=2)"
