"""The model card says what the hub wants to know, and nothing in a name can break out of it."""

from pathlib import Path

import yaml

from groundup.weights.card import ModelCard, read_license, read_title

NASTY = 'a: "b"\nlicense: gpl\n--- | [x](y)'


def front_matter(text: str) -> dict[str, object]:
    parts = text.split("---\n")
    value: dict[str, object] = yaml.safe_load(parts[1])
    return value


def test_the_front_matter_is_yaml_that_the_hub_reads(tmp_path: Path) -> None:
    card = ModelCard(
        "my-model",
        data=(("Shakespeare", "public domain"), ("SMS", "CC BY 4.0")),
        base="HuggingFaceTB/SmolLM2-135M-Instruct",
        license="apache-2.0",
        figures={"accuracy": "98 %"},
        labels=("ham", "spam"),
    )
    (tmp_path / "README.md").write_text(card.markdown())
    assert front_matter(card.markdown()) == {
        "library_name": "transformers",
        "tags": ["groundup"],
        "pipeline_tag": "text-classification",
        "license": "apache-2.0",
        "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
    }
    for words in (
        "| Shakespeare | public domain |",
        "| accuracy | 98 % |",
        "ham, spam",
        "## Limits",
    ):
        assert words in card.markdown()
    assert (read_license(tmp_path), read_title(tmp_path)) == ("apache-2.0", "my-model")


def test_names_stay_names() -> None:
    text = ModelCard(
        "x", data=((NASTY, NASTY),), base=NASTY, license=NASTY, figures={NASTY: NASTY}
    ).markdown()
    values = front_matter(text)
    assert values["base_model"] == values["license"] == NASTY
    assert sum(line.startswith("| a: ") for line in text.splitlines()) == 2


def test_a_folder_without_card_has_no_licence(tmp_path: Path) -> None:
    assert (read_license(tmp_path), read_title(tmp_path)) == ("", "")
    (tmp_path / "README.md").write_bytes(b"\xff\xfe no front matter")
    assert read_license(tmp_path) == ""
