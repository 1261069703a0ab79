"""Method options: from defaults, a preset, a dict or ``key=value`` words to one frozen record."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cytonym.errors import OptionError, suggest

Share = Annotated[float, Field(ge=0, le=1)]
"""An option between 0 and 1."""

File = Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())]
"""A file whose name holds wherever a model is read from."""

Settings = Mapping[str, Any] | Iterable[str] | None


class Options(BaseModel):
    """Base of every method's options: immutable, no unknown keys, values checked."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    def but(self, **changes: Any) -> Self:
        """The same options with some values changed (and checked)."""
        return self.__class__.model_validate({**self.model_dump(), **changes})


Some = TypeVar("Some", bound=Options)


def as_dict(settings: Settings) -> dict[str, Any]:
    """Settings as a dict; words are ``key=value`` as typed after ``--set``."""
    if settings is None:
        return {}
    if isinstance(settings, Mapping):
        return dict(settings)
    settings = [settings] if isinstance(settings, str) else settings
    words = {}
    for word in settings:
        key, equals, value = word.partition("=")
        if not equals:
            raise OptionError(f"{word!r} is no setting; write key=value, for example dim=128")
        words[key.strip()] = _value(value.strip())
    return words


MOST_SEEDS = 1000
"""Seeds that can be asked for at once."""


def as_seeds(text: str) -> list[int]:
    """Seeds of ``0``, ``0-4`` or ``0,2,3``, each once; at most :data:`MOST_SEEDS`."""
    parts = [re.fullmatch(r"(\d{1,12})(?:-(\d{1,12}))?", part) for part in text.split(",")]
    spans = [range(int(one[1]), int(one[2] or one[1]) + 1) for one in parts if one]
    if len(spans) < len(parts) or not all(spans):
        raise OptionError(f"{text!r} names no seeds\n    → write 0, 0-4 or 0,2,3")
    if (many := sum(span.stop - span.start for span in spans)) > MOST_SEEDS:
        raise OptionError(
            f"{text!r} names {many:,} seeds\n    → at most {MOST_SEEDS:,} can be asked for"
        )
    return [*dict.fromkeys(seed for span in spans for seed in span)]


def _value(text: str) -> Any:
    """``none`` is None, a comma makes a tuple; pydantic turns the rest into numbers and flags."""
    if text.lower() == "none":
        return None
    return tuple(part for part in text.split(",") if part) if "," in text else text


def parse(
    kind: type[Some], settings: Settings, *, presets: Mapping[str, Mapping[str, Any]]
) -> Some:
    """Options of ``kind`` from ``settings``; ``preset=NAME`` is applied first.

    Raises
    ------
    OptionError
        An unknown key (with the nearest known one) or a value that does not fit, all at once.
    """
    given = as_dict(settings)
    preset = given.pop("preset", None)
    base: Mapping[str, Any] = {}
    if preset is not None:
        if preset not in presets:
            known = suggest(str(preset), [*presets]) if presets else "This method has none."
            raise OptionError(f"No preset {preset!r}. {known}")
        base = presets[preset]
    try:
        return kind.model_validate({**base, **_tuples(kind, given)})
    except ValidationError as error:
        raise OptionError(_explain(kind, error)) from None


def _tuples(kind: type[Options], given: Mapping[str, Any]) -> dict[str, Any]:
    """One word where the option is a tuple is a tuple of one."""
    fields = kind.model_fields
    return {
        key: (value,)
        if isinstance(value, str) and key in fields and get_origin(fields[key].annotation) is tuple
        else value
        for key, value in given.items()
    }


def _explain(kind: type[Options], error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        if not fault["loc"]:
            words = fault["msg"].removeprefix("Value error, ")
            lines.append(f"The options do not go together: {words}.")
            continue
        key = str(fault["loc"][0])
        if fault["type"] == "extra_forbidden":
            lines.append(f"No option {key!r}. {suggest(key, [*kind.model_fields])}")
        else:
            lines.append(f"Option {key!r} cannot be {fault['input']!r}: {fault['msg']}.")
    return "\n".join(lines)
