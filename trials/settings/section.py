"""What the sections of the settings have in common: frozen, typed values, each with its description."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

LARGEST_SEED = 2**32 - 1  # NumPy's
LARGEST_SIDE = 4096  # pixels of an image; a model file holds no larger one
BOOLEAN = "boolean_for_a_number"  # a kind of error


class Section(BaseModel):
    """Values that never change once they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_boolean_is_a_number(cls, values: object) -> object:
        """Refuse what pydantic would take for 1 or 0."""
        for name, value in values.items() if isinstance(values, dict) else ():
            kinds = _kinds(cls.model_fields[name].annotation) if name in cls.model_fields else {Any}
            parts = value if isinstance(value, list | tuple) else [value]
            if not {bool, Any} & kinds and any(isinstance(part, bool) for part in parts):
                context = {"name": name, "input": value, "kind": "text" if str in kinds else "a number"}
                raise PydanticCustomError(BOOLEAN, "expected {kind} for {name}, found a boolean", context)
        return values


def _kinds(annotation: Any) -> set[Any]:
    """Return the types that an annotation is made of; of a literal's values theirs."""
    arguments = get_args(annotation)
    if not arguments:
        return {annotation if isinstance(annotation, type) or annotation is Any else type(annotation)}
    return set().union(*map(_kinds, arguments))


def setting(default: Any, description: str, **limits: Any) -> Any:
    """Declare a setting; `...` stands for a default that the sections below it give."""
    return Field(default=default, description=description, **limits)


def different_names(value: object, expected: str) -> list[str]:
    """Return the names in a list, or between commas."""
    names = [name for name in value.split(",") if name] if isinstance(value, str) else value
    names = [str(name).strip() for name in names] if isinstance(names, list | tuple) else [""]
    if not all(names) or len(set(names)) < len(names):
        raise ValueError(f"expected {expected}")
    return names
