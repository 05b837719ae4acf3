"""JSON that other readers take too: numbers are finite, in all that is written and read."""

import ast
import json
from pathlib import Path

import pytest

from search_space.strict_json import dump_json, parse_json

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_named_and_never_written(number: float) -> None:
    with pytest.raises(ValueError, match=rf"test\.1\.auc = {number}"):
        dump_json({"test": [0.5, {"auc": number}]})
    with pytest.raises(ValueError, match="value = "):
        dump_json(number)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_is_not_finite_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=f"{text} is no finite number"):
        parse_json(f'{{"auc": [{text}]}}')


def test_what_is_finite_comes_back_as_it_was() -> None:
    value = {"a": [1, 2.5, None, "NaN", {"b": True, "c": 1e-300}]}
    assert parse_json(dump_json(value)) == json.loads(dump_json(value, None)) == value


def test_no_module_writes_json_in_another_way() -> None:
    """`json.dump` writes NaN unless told otherwise; keys made of JSON in memory are no files."""
    found = []
    for path in [
        file for part in ("trials", "search_space", "benchmarks") for file in (ROOT / part).rglob("*.py")
    ]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.dump", "json.dumps"):
                strict = any(keyword.arg == "allow_nan" for keyword in node.keywords)
                found += [] if strict else [f"{path.relative_to(ROOT)}: {ast.unparse(node)}"]
    allowed = ("trials/data/assemble.py", "benchmarks/robustness", "benchmarks/speed/search.py")
    assert not [line for line in found if not line.startswith(allowed)], found
