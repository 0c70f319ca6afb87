"""What the annotation of an option can say besides its type."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from tyro.constructors import PrimitiveConstructorSpec

Options = TypeVar("Options")


@dataclass(frozen=True)
class OneOf:
    """A choice between alternatives that have options of their own: `field: Annotated[Base, OneOf(KINDS)]`.

    The flag with the field's name chooses a kind, and only the options of that kind are there.
    """

    kinds: Mapping[str, type]  # what the flag takes -> the dataclass with the options

    def name_of(self, kind: type) -> str:
        """What the flag takes for a kind."""
        return next(name for name, its in self.kinds.items() if its is kind)


def named_values(kind: type[Options]) -> Any:
    """For a dataclass of numbers that is one flag: `--lr means=1e-4 sh0=2e-3`; what is not named keeps its default.

    Use it as `field: Annotated[Kind, named_values(Kind)]`.
    """
    names = {field.name: field.default for field in dataclasses.fields(kind)}  # type: ignore[arg-type]

    def parse(texts: list[str]) -> Options:
        values = {}
        for text in texts:
            name, sign, number = text.partition("=")
            if not sign or name.replace("-", "_") not in names:
                raise ValueError(f"{text} is not NAME=VALUE with one of the names {', '.join(names)}")
            values[name.replace("-", "_")] = float(number)
        return kind(**values)

    def show(value: Any) -> list[str]:
        return [f"{name}={number:g}" for name, number in dataclasses.asdict(value).items() if number != names[name]]

    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="NAME=VALUE",
        instance_from_str=parse,
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=show,
    )


def metadata(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type of an annotation, and all that it says besides."""
    extras: tuple[Any, ...] = ()
    while typing.get_origin(annotation) is typing.Annotated:
        annotation, *more = typing.get_args(annotation)
        extras = (*more, *extras)
    return annotation, extras
