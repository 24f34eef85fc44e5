"""Args of every supported class are written and read strictly."""

import itertools
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, cast

import attrs
import msgspec
import pydantic
import pytest

from riverrun.model.codec import ArgsCodec, JobArgs, codec_for, register_codec
from riverrun.model.errors import ConfigurationError, PayloadError
from riverrun.model.insert import InsertOptions


@dataclass(frozen=True, slots=True)
class DataclassArgs:
    kind: ClassVar[str] = "a_dataclass"
    kind_aliases: ClassVar[tuple[str, ...]] = ("older",)
    insert_options: ClassVar[InsertOptions] = InsertOptions(queue="mail")
    n: int
    ratio: float = 0.5
    names: list[str] = field(default_factory=list[str])


class StructArgs(msgspec.Struct):
    kind: ClassVar[str] = "a_struct"
    n: Annotated[int, msgspec.Meta(ge=0)]
    ratio: float = 0.5
    names: list[str] = []


@attrs.define
class AttrsArgs:
    kind: ClassVar[str] = "an_attrs_class"
    n: int
    ratio: float = 0.5
    names: list[str] = attrs.field(factory=list[str])


class PydanticArgs(pydantic.BaseModel):
    kind: ClassVar[str] = "a_model"
    n: int
    ratio: float = 0.5
    names: list[str] = []


class RawArgs(msgspec.Struct):
    kind: ClassVar[str] = "raw"
    value: msgspec.Raw


CLASSES: list[type[Any]] = [DataclassArgs, StructArgs, AttrsArgs, PydanticArgs]
every_class = pytest.mark.parametrize("args_class", CLASSES)


@every_class
def test_args_are_written_as_go_writes_them_and_read_back(args_class: type[Any]) -> None:
    codec = codec_for(args_class)
    args = args_class(n=1, ratio=1.0, names=["<é>"])
    text = codec.encode(args)
    assert text == r'{"n":1,"ratio":1,"names":["\u003cé\u003e"]}'
    assert codec.decode(text) == args


@every_class
@pytest.mark.parametrize(
    "odd", [{}, {"ratio": 1.0}, {"ratio": 1e16}, {"names": ["<é>"]}, {"names": ["\n"]}]
)
def test_many_args_are_written_as_each_of_them_is(
    args_class: type[Any], odd: dict[str, Any]
) -> None:
    codec = codec_for(args_class)
    batch = [args_class(n=1), args_class(n=2, **odd), args_class(n=3)]
    assert list(codec.encode_all(batch)) == [codec.encode(args) for args in batch]


@pytest.mark.parametrize("raw", [b'{"a":\n1}', b'"a"', b"1.0", b"null"])
def test_raw_json_in_many_args_is_kept(raw: bytes) -> None:
    codec = codec_for(RawArgs)
    batch = [RawArgs(msgspec.Raw(raw)), RawArgs(msgspec.Raw(b"2"))]
    assert list(codec.encode_all(batch)) == [codec.encode(args) for args in batch]


@pytest.mark.parametrize("raw", [b'1}\n{"value":2', b"{"])
def test_raw_text_that_is_no_json_is_refused_among_many(raw: bytes) -> None:
    with pytest.raises(PayloadError, match="RawArgs"):
        list(codec_for(RawArgs).encode_all([RawArgs(msgspec.Raw(raw))]))


@every_class
def test_missing_fields_take_their_defaults_and_unknown_ones_are_ignored(
    args_class: type[Any],
) -> None:
    assert codec_for(args_class).decode('{"n":1,"new":{}}') == args_class(n=1)


@every_class
@pytest.mark.parametrize("text", ["[]", "null", '"x"', "{}", '{"n":"x"}', '{"n":1.5}', "{"])
def test_what_does_not_fit_is_an_error_of_that_job(args_class: type[Any], text: str) -> None:
    with pytest.raises(PayloadError, match=f"kind '{args_class.kind}'"):
        codec_for(args_class).decode(text)


@every_class
def test_the_error_names_the_field(args_class: type[Any]) -> None:
    with pytest.raises(PayloadError, match="names"):
        codec_for(args_class).decode('{"n":1,"names":[1]}')


@every_class
@pytest.mark.parametrize("ratio", [math.nan, math.inf])
def test_numbers_that_json_does_not_have_are_refused(args_class: type[Any], ratio: float) -> None:
    with pytest.raises(PayloadError, match=r"\$\.ratio"):
        codec_for(args_class).encode(args_class(n=1, ratio=ratio))


@every_class
def test_nul_is_refused_with_its_path(args_class: type[Any]) -> None:
    with pytest.raises(PayloadError, match=r"\$\.names\[1\]: the character NUL"):
        codec_for(args_class).encode(args_class(n=1, names=["a", "b\0"]))


@pytest.mark.parametrize(
    "args",
    [
        DataclassArgs(n="x"),  # type: ignore[arg-type]
        StructArgs(n=-1),
        AttrsArgs(n=None),  # type: ignore[arg-type]
        PydanticArgs.model_construct(n="x"),
    ],
)
def test_args_that_no_worker_could_read_are_refused_when_inserted(args: Any) -> None:
    with pytest.raises(PayloadError, match=type(args).__name__):
        codec_for(cast("type[Any]", type(args))).encode(args)


def test_a_class_says_its_kind_aliases_and_options() -> None:
    codec = codec_for(DataclassArgs)
    assert (codec.kind, codec.kind_aliases) == ("a_dataclass", ("older",))
    assert codec.insert_options == InsertOptions(queue="mail")
    assert codec_for(StructArgs).insert_options is None


def test_there_is_one_codec_for_each_class() -> None:
    assert codec_for(DataclassArgs) is codec_for(DataclassArgs)
    assert repr(codec_for(DataclassArgs)) == "<ArgsCodec 'a_dataclass' DataclassArgs>"


def test_a_class_with_a_kind_is_job_args() -> None:
    args: list[JobArgs] = [DataclassArgs(n=1), StructArgs(n=1), AttrsArgs(n=1), PydanticArgs(n=1)]
    assert [each.kind for each in args] == [each.kind for each in CLASSES]


def test_a_class_without_a_kind_may_be_given_one() -> None:
    class Plain(msgspec.Struct):
        kind: str

    codec = register_codec(ArgsCodec(Plain, kind="plain"))
    assert codec_for(Plain) is codec
    assert codec.encode(Plain(kind="x")) == '{"kind":"x"}'


def test_a_class_that_checks_itself_is_heard() -> None:
    @dataclass
    class Even:
        kind: ClassVar[str] = "even"
        n: int

        def __post_init__(self) -> None:
            if self.n % 2:
                raise LookupError("odd")

    with pytest.raises(PayloadError, match=r"kind 'even' do not fit .*Even: odd"):
        codec_for(Even).decode('{"n":1}')


def class_with(**attributes: Any) -> type[Any]:
    return dataclass(type("Odd", (), {"n": 1, "__annotations__": {"n": int}, **attributes}))


@pytest.mark.parametrize(
    ("args_class", "reason"),
    [
        (class_with(), "Odd has no kind"),
        (class_with(kind=7), "Odd.kind must be text"),
        (class_with(kind=""), "job kind cannot be empty"),
        (class_with(kind="ok", kind_aliases="older"), "kind_aliases must be a tuple"),
        (class_with(kind="ok", kind_aliases=(1,)), "kind_aliases must be a tuple"),
        (class_with(kind="ok", insert_options={}), "insert_options must be InsertOptions"),
        (class_with(kind="ok", __annotations__={"n": object.__class__}), "field of type type"),
        (class_with(kind="ok", __annotations__={"n": "Gone"}), "cannot be read from JSON"),
        (type("Odd", (), {"kind": "ok"}), "cannot be args; make it a dataclass"),
        (type("Odd", (dict,), {"kind": "ok"}), "cannot be args; make it a dataclass"),
        ("odd", "must be of a class"),
    ],
    ids=itertools.count(1),
)
def test_classes_that_cannot_be_args_are_refused_with_the_reason(
    args_class: Any, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        codec_for(args_class)


def test_a_kind_that_is_an_ordinary_field_is_refused() -> None:
    class Field(msgspec.Struct):
        kind: str

    with pytest.raises(ConfigurationError, match="declare it as kind: ClassVar"):
        codec_for(Field)


def test_a_struct_that_is_an_array_in_json_is_refused() -> None:
    class Row(msgspec.Struct, array_like=True):
        kind: ClassVar[str] = "row"
        n: int

    with pytest.raises(ConfigurationError, match="Row is array_like"):
        codec_for(Row)


def test_nested_classes_and_trees_are_fine() -> None:
    codec = codec_for(Tree)
    tree = Tree(at=None, children={"b": Tree(at=None, children={}), "a": None})
    text = '{"at":null,"children":{"a":null,"b":{"at":null,"children":{}}}}'
    assert codec.encode(tree) == text
    assert codec.decode(text) == tree


@dataclass
class Tree:
    kind: ClassVar[str] = "tree"
    at: datetime | None
    children: dict[str, "Tree | None"]
