"""Several sources in one command: addresses, or a .toml with names, licences and hashes."""

from pathlib import Path

import pytest

from groundup.data.preparation.pipeline import prepare
from groundup.data.reading.source_files import Source
from groundup.data.reading.sources import read_sources
from groundup.errors import ConfigError
from groundup.files import read_json_object
from groundup.progress import Silent

LIST = """
[[data.sources]]
spec = "letters"
name = "mine"
licence = "CC0-1.0"

[[data.sources]]
spec = "https://localhost/b.txt"
sha256 = "{hash}"
"""


def written(tmp_path: Path, text: str) -> str:
    (tmp_path / "list.toml").write_text(text)
    return str(tmp_path / "list.toml")


def test_addresses_and_lists_are_sources_in_their_order(tmp_path: Path) -> None:
    found = read_sources(
        ["a.txt", written(tmp_path, LIST.format(hash="0" * 64))], follow_links=True
    )
    assert [each.title for each in found] == ["a.txt", "mine", "https://localhost/b.txt"]
    assert [each.licence for each in found] == ["not stated", "CC0-1.0", "not stated"]
    assert found[2].pin == "0" * 64 and all(each.follow_links for each in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[data]\n", "names no sources"),
        ("data = 1\n", "names no sources"),
        ("[data]\nsources = ['a.txt']\n", "names no sources"),
        ("seed = 1\n[[data.sources]]\nspec = 'a'\n", "has more than sources: seed"),
        (
            "[data]\nstrict = true\n[[data.sources]]\nspec = 'a'\n",
            r"has more than sources: data\.strict",
        ),
        ("[[data.sources]]\nspec = 'a'\nnmae = 'b'\n", r"Unknown field 'data\.sources\.0\.nmae'"),
        ("[[data.sources]]\nname = 'b'\n", r"data\.sources\.0\.spec: "),
        (
            "[[data.sources]]\nspec = 'a'\nweight = -2\n",
            "the weight of a must be 0 or more, and finite",
        ),
        (
            "[[data.sources]]\nspec = 'a'\nname = 'x'\n[[data.sources]]\nspec = 'b'\nname = 'x'\n",
            "have the name 'x'",
        ),
        (
            "[[data.sources]]\nspec = 'a'\n[[data.sources]]\nspec = 'b'\nname = 'a'\n",
            "have the name 'a'",
        ),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_sources([written(tmp_path, text)])


def test_name_weight_and_licence_of_each_source_are_in_the_data_card(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(
            "\n\n".join(f"{name} paragraph {part}" for part in range(50))
        )
    sources = [
        Source(str(tmp_path / "a.txt"), name="first", licence="CC0-1.0"),
        Source(str(tmp_path / "b.txt")),
    ]
    card = prepare(sources, tmp_path / "data", progress=Silent())
    found = read_json_object(tmp_path / "data" / "data.json")["sources"]
    assert [(each["source"]["name"], each["source"]["weight"]) for each in found] == [
        ("first", 1.0),
        ("", 1.0),
    ]
    assert found[0]["source"]["licence"] == "CC0-1.0"
    assert [each.summary().partition(":")[0] for each in card.sources] == [
        "first",
        str(tmp_path / "b.txt"),
    ]
