"""Between a job's args and the JSON in its row: one codec for each class of args.

Args are any dataclass, `msgspec.Struct`, attrs class or pydantic model with a class attribute
`kind`. Both ways are strict: what is inserted is read back before it goes out, so that a job that
no worker could decode is refused where the mistake was made.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast

import msgspec
import msgspec.inspect

from riverrun.model.errors import ConfigurationError, PayloadError, ValidationError
from riverrun.model.extension import ArgsExtensions, args_extensions
from riverrun.model.gojson import encode_args, encode_lines
from riverrun.model.insert import InsertOptions
from riverrun.model.names import check_kind, check_kind_fits

A = TypeVar("A")


class JobArgs(Protocol):
    """The args of a job: any dataclass, Struct, attrs class or pydantic model with a `kind`.

    It may also have `kind_aliases: ClassVar[tuple[str, ...]]`, older names under which such jobs
    are still worked, `insert_options: ClassVar[InsertOptions]`, its own defaults, and `hooks` and
    `plugins`, tuples of extensions for jobs of this kind alone.
    """

    kind: ClassVar[str]


class ArgsCodec(Generic[A]):
    """How args of one class are named, written and read. Get it by `codec_for`."""

    __slots__ = (
        "_decode_lines",
        "args_class",
        "decode_text",
        "encode_text",
        "extensions",
        "insert_options",
        "kind",
        "kind_aliases",
    )

    def __init__(
        self,
        args_class: type[A],
        *,
        kind: str,
        kind_aliases: tuple[str, ...] = (),
        insert_options: InsertOptions | None = None,
        extensions: ArgsExtensions | None = None,
    ) -> None:
        self.args_class = args_class
        self.kind = _checked_kind(kind, args_class)
        self.extensions = args_extensions(args_class) if extensions is None else extensions
        self.kind_aliases = kind_aliases
        self.insert_options = insert_options
        self.encode_text, self.decode_text, self._decode_lines = _functions(args_class)

    def encode(self, args: A) -> str:
        """The JSON to store; raises `PayloadError` if it could not be decoded again."""
        text = self.encode_text(args)
        self.decode(text)
        return text

    def encode_all(self, batch: Sequence[A]) -> Iterable[str]:
        """`encode` of each, all in one go where none of them needs a closer look."""
        texts = self._encode_lines(batch)
        return texts if len(texts) == len(batch) else map(self.encode, batch)

    def decode(self, text: str) -> A:
        """The args in `text`; raises `PayloadError` naming the field. Unknown fields are ignored."""
        try:
            return self.decode_text(text)
        except PayloadError:
            raise
        except Exception as error:  # classes check themselves, and raise what they like
            raise PayloadError(
                f"args of kind {self.kind!r} do not fit {self.args_class.__qualname__}: {error}"
            ) from error

    def check_kind(self) -> None:
        """Raise `ValidationError` if River's other clients would refuse the kind."""
        check_kind(self.kind)

    def _encode_lines(self, batch: Sequence[A]) -> list[str]:
        """A text each; another number where one may need a closer look, or be wrong.

        Raw JSON inside args may hold line breaks.
        """
        if self._decode_lines is None:
            return []
        lines = encode_lines(batch)
        if lines is None:
            return []
        try:
            self._decode_lines(lines)
        except Exception:  # noqa: BLE001 - classes check themselves, and raise what they like
            return []
        return lines.decode().removesuffix("\n").split("\n")

    def __repr__(self) -> str:
        return f"<ArgsCodec {self.kind!r} {self.args_class.__qualname__}>"


_codecs: dict[type, ArgsCodec[Any]] = {}


def codec_for(args_class: type[A]) -> ArgsCodec[A]:
    """The codec of `args_class`; raises `ConfigurationError` if it cannot be a class of args."""
    codec = _codecs.get(args_class)
    if codec is None:
        codec = register_codec(_declared(args_class))
    return codec


def register_codec(codec: ArgsCodec[A]) -> ArgsCodec[A]:
    """Make `codec` the one that `codec_for` gives for its class."""
    _codecs[codec.args_class] = codec
    return codec


def _declared(args_class: type[A]) -> ArgsCodec[A]:
    """The codec that the attributes of `args_class` describe."""
    if not isinstance(args_class, type):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"args must be of a class with a `kind`, not {args_class!r}")
    return ArgsCodec(
        args_class,
        kind=_declared_kind(args_class),
        kind_aliases=_declared_aliases(args_class),
        insert_options=_declared_options(args_class),
    )


def _declared_kind(args_class: type) -> str:
    kind = getattr(args_class, "kind", None)
    if isinstance(kind, str):
        return kind
    name = args_class.__qualname__
    if kind is None:
        raise ConfigurationError(
            f'{name} has no kind; give it a class attribute, such as kind: ClassVar[str] = "sort", '
            f"or, if a decorated function is meant, insert what its call(...) returns"
        )
    raise ConfigurationError(
        f"{name}.kind must be text that belongs to the class; declare it as kind: ClassVar[str], "
        f"or, if a decorated function is meant, insert what its call(...) returns"
    )


def _declared_aliases(args_class: type) -> tuple[str, ...]:
    aliases: object = getattr(args_class, "kind_aliases", ())
    if isinstance(aliases, tuple | list):
        members = tuple(cast("Iterable[str]", aliases))
        if all(isinstance(alias, str) and alias for alias in members):  # pyright: ignore[reportUnnecessaryIsInstance]
            return members
    raise ConfigurationError(
        f"{args_class.__qualname__}.kind_aliases must be a tuple of kinds, not {aliases!r}"
    )


def _declared_options(args_class: type) -> InsertOptions | None:
    options: object = getattr(args_class, "insert_options", None)
    if options is None or isinstance(options, InsertOptions):
        return options
    raise ConfigurationError(
        f"{args_class.__qualname__}.insert_options must be InsertOptions(...), not {options!r}"
    )


def _checked_kind(kind: str, args_class: type) -> str:
    try:
        return check_kind_fits(kind)
    except ValidationError as error:
        raise ConfigurationError(f"{args_class.__qualname__}: {error}") from error


def _functions(
    args_class: type[A],
) -> tuple[Callable[[A], str], Callable[[str], A], Callable[[bytes], list[A]] | None]:
    """Write and read the text of one; read many, where msgspec writes them as they should be."""
    if _is_pydantic(args_class):
        return (*_pydantic_functions(args_class), None)
    _check_supported(args_class)
    try:
        decoder = msgspec.json.Decoder(args_class)
        foreign = _foreign_type(msgspec.inspect.type_info(args_class), set())
    except (TypeError, NameError, ValueError) as error:
        raise ConfigurationError(
            f"{args_class.__qualname__} cannot be read from JSON: {error}"
        ) from error
    if foreign is not None:
        raise ConfigurationError(
            f"{args_class.__qualname__} cannot be read from JSON: it has a field of type {foreign}; "
            f"use plain types, dataclasses or Structs"
        )
    fields: tuple[Any, ...] | None = getattr(args_class, "__attrs_attrs__", None)
    if fields is not None:
        return _attrs_encoder(fields), decoder.decode, None
    return encode_args, decoder.decode, decoder.decode_lines


def _attrs_encoder(fields: tuple[Any, ...]) -> Callable[[object], str]:
    """Writes attrs objects in the order of their declaration, which msgspec does not keep."""
    names = [field.name for field in fields]

    def encode(args: object) -> str:
        return encode_args({name: getattr(args, name) for name in names}, sort=False)

    return encode


def _foreign_type(node: object, seen: set[int]) -> str | None:
    """The name of a type inside a description of types that JSON cannot stand for; mostly None."""
    if id(node) in seen:
        return None
    seen.add(id(node))
    if isinstance(node, msgspec.inspect.CustomType):
        return node.cls.__qualname__
    if isinstance(node, msgspec.Struct):
        parts: list[object] = [getattr(node, name) for name in node.__struct_fields__]
    else:
        parts = list(cast("tuple[object, ...]", node)) if isinstance(node, tuple) else []
    found = (_foreign_type(part, seen) for part in parts)
    return next((name for name in found if name is not None), None)


def _check_supported(args_class: type[Any]) -> None:
    if issubclass(args_class, msgspec.Struct):
        if args_class.__struct_config__.array_like:
            raise ConfigurationError(
                f"{args_class.__qualname__} is array_like; args must be JSON objects"
            )
        return
    name = args_class.__qualname__
    if not any(hasattr(args_class, mark) for mark in ("__dataclass_fields__", "__attrs_attrs__")):
        raise ConfigurationError(
            f"{name} cannot be args; make it a dataclass, a msgspec.Struct, an "
            f"attrs class or a pydantic model"
        )


def _is_pydantic(args_class: type) -> bool:
    """Whether this is a model, without importing pydantic where nobody else did."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(args_class, pydantic.BaseModel)


def _pydantic_functions(
    args_class: Any,
) -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    def encode(args: Any) -> str:
        try:
            fields = args.model_dump(mode="json", by_alias=True, round_trip=True, warnings="error")
        except Exception as error:
            raise PayloadError(f"{args_class.__qualname__}: {error}") from error
        return encode_args(fields, sort=False)

    return encode, args_class.model_validate_json
