"""`groundup build PACK`: every stage on a tiny base model, what the page says of it, and what a pack is refused for."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from tiny_encoder import save_encoder

from groundup.cli.serve import registry_of
from groundup.cli.serve_options import assistants_of, indexes_of_builds, without_indexes
from groundup.device import Compute
from groundup.errors import ConfigError, DataError
from groundup.files import read_json, verify_folder
from groundup.model.config import ModelConfig
from groundup.model.heads import LanguageModel, initialise
from groundup.packs.pack import PackRow, new_pack
from groundup.progress import Silent
from groundup.recipes.build_config import BuildConfig
from groundup.recipes.builds.build import LOG_FILE, build
from groundup.recipes.builds.pipeline import stages_of
from groundup.recipes.named_stages import IndexStage
from groundup.recipes.recipe import Recipe, load_recipe
from groundup.recipes.stage import StageContext
from groundup.recipes.stages import index as index_stage
from groundup.recipes.stages.answers import AnswerMethod, evenly_chosen, figures
from groundup.recipes.stages.chat import grounded
from groundup.retrieve.answer import Answer, ask
from groundup.retrieve.assistant import texts_of_build
from groundup.retrieve.assistant_actions import desk_of_build
from groundup.retrieve.index import Index
from groundup.retrieve.rankings import vectors_for
from groundup.runs import BuiltStage
from groundup.tokenizer.fast import train_tokenizer
from groundup.weights.card import ModelCard
from groundup.weights.catalog import DEFAULT_ENCODER
from groundup.weights.model_io import open_model, save_model
from groundup.weights.verify import verify_path

from .test_build import silent

CPU = Compute(torch.device("cpu"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pack and a tiny public model, with Qwen2.5's biases and 14 heads for 2 of keys."""
    root = tmp_path_factory.mktemp("packs")
    new_pack("firm", root / "firm")
    text = "All our work has a guarantee of 90 days. Wear is not covered. A bicycle is kept for 14 days. After that storage costs £2 a day."
    row = {
        "document": None,
        "text": text,
        "summary": "Work is guaranteed for 90 days; storage costs £2 a day after 14 days.",
    }
    (root / "firm/summaries.jsonl").write_text(
        json.dumps({**row, "key_facts": ["90 days", "£2"]}) + "\n"
    )
    texts = [
        file.read_text()
        for file in (root / "firm").rglob("*.*")
        if file.suffix in (".md", ".jsonl")
    ]
    tokenizer = train_tokenizer([*texts, "user assistant system source " * 9], 500)
    shape = ModelConfig(
        tokenizer.vocab_size, 1024, 28, 1, 14, 32, 2, family="qwen2", attention_bias=True
    )
    model = LanguageModel(shape)
    initialise(model, torch.Generator().manual_seed(0))
    save_model(model, root / "model", tokenizer, card=ModelCard("tiny", license="mit"))
    return root


def recipe_of(root: Path, *sets: str) -> Recipe:
    given = [
        "chat.tokens=500",
        "answers.answer_tokens=4",
        "evaluate.answer_tokens=4",
    ]
    return load_recipe(
        str(root / "firm"),
        BuildConfig(
            base=str(root / "model"),
            settings=[*given, "index.vectors=none", "intents.encoder=", *sets],
        ),
    )


@pytest.fixture(scope="module")
def built(root: Path) -> Path:
    """A whole build of the pack."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("groundup.train.steps.precision.MEASURED_S", 0.02)
        recipe = recipe_of(root)
        build(recipe, root / "out", stages_of(recipe), compute=CPU, progress=Silent())
    return root / "out"


def test_a_pack_is_built_without_a_model_of_ones_own(root: Path, built: Path) -> None:
    record = read_json(built / "build.json")
    kinds = {"base": "base", "index": "index", "intents": "classifier", "chat": "chat"}
    assert record["kinds"] == kinds | {
        "actions": "actions",
        "evaluate": "evaluate",
        "answers": "answers",
        "summaries": "summaries",
        "report": "report",
    }
    assert [entry["status"] for entry in record["stages"].values()] == ["done"] * 9
    assert record["stages"]["index"]["facts"]["documents"] == 4
    verify_folder(built / "index")
    [few] = record["stages"]["index"]["thin"]
    assert "questions are such that a document answers them, fewer than 20" in few
    again = build(
        recipe_of(root), built, stages_of(recipe_of(root)), compute=CPU, progress=Silent()
    )
    assert {name: stage.elapsed_s for name, stage in again.stages.items() if name != "report"} == {
        name: entry["elapsed_s"] for name, entry in record["stages"].items() if name != "report"
    }, "nothing is done twice"


def test_actions_are_checked_and_what_was_done_outlives_a_build(root: Path, tmp_path: Path) -> None:
    pack, out = Path(shutil.copytree(root / "firm", tmp_path / "firm")), tmp_path / "out"

    def build_actions() -> BuiltStage:
        recipe = load_recipe(str(pack))
        only = [stage for stage in stages_of(recipe) if stage.kind == "actions"]
        return build(recipe, out, only, compute=CPU, progress=Silent(), fresh=True).stages[
            "actions"
        ]

    assert build_actions().facts == {"actions": ["Hire a bicycle", "Cancel a hire"]}
    desk = desk_of_build(out)
    assert desk is not None
    done = desk.turn("a", ["Cancel a hire"])
    assert done is not None and done.asked is not None
    file = pack / "actions.toml"
    file.write_text(file.read_text().replace('title = "Cancel a hire"', 'title = "End a hire"'))
    assert build_actions().facts["actions"][1] == "End a hire"
    again = desk_of_build(out)
    assert again is not None and again.pending("a", ["Cancel a hire"]) is not None
    file.write_text(file.read_text().replace(":hire", ":rental"))
    with pytest.raises((ConfigError, DataError), match="rental"):
        build_actions()


@pytest.mark.slow
def test_no_file_of_a_built_pack_is_gone_or_damaged_in_silence(built: Path, tmp_path: Path) -> None:
    """`test_build.py` has a quick one of small stages."""
    folder = Path(
        shutil.copytree(
            built,
            tmp_path / "out",
            ignore=shutil.ignore_patterns("*-shm", "*-wal", LOG_FILE),  # nothing depends on a log
        )
    )
    assert verify_path(folder).unlisted == 0
    assert silent(folder, 3) == []


def test_each_way_to_answer_is_measured_on_the_same_questions(built: Path) -> None:
    found = read_json(built / "answers/results.json")
    assert found["questions"] == {"answerable": 7, "unanswerable": 2} and found["of"] == 9
    arms = {arm["name"]: arm for arm in found["arms"]}
    assert list(arms) == [
        "quotations",
        "base",
        "base with documents",
        "fine-tuned",
        "fine-tuned with documents",
    ]
    quotes = [
        item for item in found["items"] if item["answer"] and item["answers"]["quotations"]["text"]
    ]
    assert quotes, "the documents have the answers"
    right = sum(item["document"] in item["answers"]["quotations"]["cited"] for item in quotes)
    assert arms["quotations"]["cited"]["value"] == right / len(quotes) > 0.5
    assert arms["quotations"]["contains"]["value"] > 0 and "refused" in arms["base"]
    assert all(arm["contains"]["n"] == 7 and 0 <= arm["f1"]["value"] <= 1 for arm in found["arms"])


def test_summaries_are_held_against_the_first_three_sentences(built: Path) -> None:
    found = read_json(built / "summaries/results.json")
    first, base, _ = found["arms"]
    assert [arm["name"] for arm in found["arms"]] == ["first three sentences", "base", "fine-tuned"]
    assert first["facts"]["value"] == 0.5, "of the two facts one stands in them"
    assert 0.3 < first["rouge_l"]["value"] < 1 and base["facts"]["change"]["value"] == 0
    assert found["items"][0]["answers"]["first three sentences"].endswith(
        "A bicycle is kept for 14 days."
    )


def test_the_page_has_the_chapters_of_a_pack_and_no_others(built: Path) -> None:
    page = (built / "report.html").read_text()
    for said in (
        "Answers from documents",
        "quotations",
        "Questions that no document answers",
        "Key facts in the summaries",
        "A classifier against simple baselines",
    ):
        assert said in page, said
    assert (
        "Not in this build" not in page
        and 'id="pretrain"' not in page
        and 'id="export"' not in page
    )


def test_a_build_of_a_pack_is_served_with_its_documents_its_chat_model_and_its_classifier(
    built: Path,
) -> None:
    assert indexes_of_builds([str(built)]) == [f"out={built / 'index'}"]
    given = [str(built), str(built / "index"), f"docs={built / 'index'}"]
    assert without_indexes(given) == (given[:1], given[1:])
    assistants = assistants_of([str(built)], indexes_of_builds([str(built)]))
    registry = registry_of([str(built)], None, Silent(), assistants=assistants)
    assert {each.name: registry.info(each).use for each in registry.aliases()} == {
        "out:latest": "assistant",
        "out:chat": "chat",
        "out:original": "base",
        "out-intents:latest": "classifier",
    }
    assert texts_of_build(built).contact.startswith("call 01632 960 145")
    assert open_model(built, CPU, prefer="classifier").labels == ("hire", "none of these", "repair")


def index_alone(root: Path, out: Path, encoder: str, monkeypatch: pytest.MonkeyPatch) -> BuiltStage:
    """The record of an index stage with an encoder; all instructions are asked."""
    monkeypatch.setattr("groundup.retrieve.calibration.MIN_QUESTIONS", 3)
    recipe = recipe_of(root, f"index.vectors={encoder}")
    [stage] = [each for each in stages_of(recipe) if each.name == "index"]
    return build(recipe, out, [stage], compute=CPU, progress=Silent()).stages["index"]


def test_the_documents_of_a_pack_are_searched_by_vectors_too(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        load_recipe(str(root / "firm")).of_kind(IndexStage)["index"].vectors
        == "all-minilm-l6-v2-ask"
    )
    found = index_alone(
        root, tmp_path / "out", str(save_encoder(tmp_path / "encoder")), monkeypatch
    )
    assert "searched by words and vectors" in found.line and not found.thin
    assert set(found.facts["least_evidence"]) == {"words", "both"}
    verify_folder(tmp_path / "out/index")
    with Index(tmp_path / "out/index") as index:
        vectors = vectors_for("both", index.folder, "cpu", Silent())
        assert vectors is not None
        passages = [each.id for each in index.all_passages()]
        assert list(vectors.store.rows(passages)) == passages
        *_, answer = ask(
            index, "What does a city bicycle cost?", rank_by=vectors.mixture(), vectors=vectors
        )
    assert isinstance(answer, Answer) and len(answer.sources) == 5


def test_without_its_encoder_the_documents_are_searched_by_words_and_this_is_said(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = index_alone(root, tmp_path / "out", "no-such-encoder", monkeypatch)
    [note] = found.thin
    assert "searched by words alone" in note and "no-such-encoder" in note and "redo index" in note
    assert set(found.facts["least_evidence"]) == {"words"}
    monkeypatch.setenv("GROUNDUP_CACHE", str(tmp_path / "cache"))
    [note] = index_alone(root, tmp_path / "default", "", monkeypatch).thin
    assert "is not on this machine" in note and "set index.vectors to all-minilm-l6-v2-ask" in note


@pytest.mark.parametrize(
    ("wanted", "made", "has_bf16", "is_pulled", "second", "said"),
    [
        ("auto", DEFAULT_ENCODER, True, True, "all-mpnet-base-v2", ""),
        ("auto", DEFAULT_ENCODER, True, False, "none", "pull all-mpnet-base-v2, then redo"),
        ("auto", DEFAULT_ENCODER, False, True, "none", ""),
        ("auto", "", True, True, "none", ""),
        ("all-mpnet-base-v2", DEFAULT_ENCODER, False, False, "all-mpnet-base-v2", ""),
        ("all-mpnet-base-v2", "", True, True, "none", "reads nothing"),
        ("", DEFAULT_ENCODER, True, True, "none", ""),
    ],
)  # fmt: skip
def test_a_pack_has_a_second_reader_where_its_encoder_is_here_and_fast(
    monkeypatch: pytest.MonkeyPatch,
    wanted: str,
    made: str,
    has_bf16: bool,
    is_pulled: bool,
    second: str,
    said: str,
) -> None:
    monkeypatch.setattr(index_stage, "is_here", lambda name: is_pulled)
    context = cast(
        StageContext, SimpleNamespace(compute=SimpleNamespace(has_bf16=has_bf16), name="index")
    )
    found, note = index_stage.second_encoder(wanted, made, context)
    assert found == second and (said in note if said else not note)


def test_documents_in_another_language_than_the_encoder_knows_are_warned_of(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = Path(shutil.copytree(root / "firm", tmp_path / "firm"))
    german = "Wir reparieren alle Räder, und bitte bringen Sie das Rad am Vormittag zu uns, damit wir es noch am gleichen Tag prüfen können."
    (pack / "documents/de.md").write_text(f"# Werkstatt\n\n{german}\n")
    monkeypatch.setattr("groundup.retrieve.calibration.MIN_QUESTIONS", 3)
    recipe = load_recipe(str(pack), BuildConfig(settings=["index.vectors=none"]))
    [stage] = [each for each in stages_of(recipe) if each.name == "index"]
    results = build(recipe, tmp_path / "out", [stage], compute=CPU, progress=Silent())
    found = results.stages["index"]
    [note] = found.thin
    assert note.startswith("1 of ") and "another language than en (de)" in note


def test_an_instruction_is_learned_with_the_passage_of_its_document(built: Path) -> None:
    row = PackRow(
        "x:1",
        {"instruction": "What does it cost?", "input": "", "output": "£38", "document": "hire.md"},
    )
    with Index(built / "index") as index:
        system, asked, answer = grounded(row, index).messages  # type: ignore[union-attr]
        unknown = grounded(PackRow("x:2", {**row.values, "document": None}), index)
    assert "city bicycle costs £16" in asked.content and asked.content.endswith(
        "Question: What does it cost?"
    )
    assert asked.content.count("<source>") == 1 == unknown.instruction.count("<source>")
    assert (system.role, answer.content) == ("system", "£38")


def test_a_part_of_the_questions_has_both_kinds() -> None:
    rows = [
        PackRow(f"q:{n}", {"question": str(n), "answer": None if n % 5 == 0 else "x"})
        for n in range(50)
    ]
    chosen = evenly_chosen(rows, 10)
    assert (
        sum(row["answer"] is None for row in chosen) == 2
        and len({row.place for row in chosen}) == 10
    )


@pytest.mark.parametrize(
    ("part", "row", "reason"),
    [
        (
            "messages",
            {"text": "Good morning", "label": "greeting"},
            "the intent 'greeting' has 1 messages",
        ),
        (
            "questions",
            {"question": "Whose?", "answer": "5 pm", "document": "x.md"},
            "there is no documents/x.md",
        ),
    ],
)
def test_a_pack_that_can_not_be_built_is_one_sentence(
    root: Path, tmp_path: Path, part: str, row: dict[str, str], reason: str
) -> None:
    pack = Path(shutil.copytree(root / "firm", tmp_path / "firm"))
    with (pack / f"{part}.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=f"can't be built: .*{reason}") as caught:
        load_recipe(str(pack))
    assert "groundup pack check" in caught.value.fix


def test_a_text_that_contradicts_the_facts_is_no_reason_not_to_build(
    root: Path, tmp_path: Path
) -> None:
    pack = Path(shutil.copytree(root / "firm", tmp_path / "firm"))
    (pack / "documents/new.md").write_text("# New\n\nIt costs £99.\n")
    assert load_recipe(str(pack)).pack == str(pack)


def test_a_folder_of_texts_is_no_pack(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A text")
    recipe = load_recipe(str(tmp_path))
    assert not recipe.pack and recipe.data.sources


def test_a_pack_has_no_texts_to_teach(root: Path) -> None:
    with pytest.raises(ConfigError, match="no texts to teach"):
        load_recipe(str(root / "firm"), BuildConfig(teach=True))


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["answers.chat=char"], "answers.chat: there is no chat stage 'char'"),
        (["chat.index=intents"], "chat.index: there is no index stage 'intents'"),
    ],
)
def test_a_stage_that_names_another_one_that_is_not_there_is_refused(
    root: Path, sets: Sequence[str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        recipe_of(root, *sets)


def test_figures_of_answers_are_counted_over_the_questions_that_they_are_about() -> None:
    rows = [
        PackRow("q:1", {"question": "When?", "answer": "4 pm", "document": "a.md"}),
        PackRow("q:2", {"question": "How much?", "answer": "£2", "document": "b.md"}),
        PackRow("q:3", {"question": "Who?", "answer": None, "document": None}),
    ]
    base = AnswerMethod("base", ["At 4 pm.", "£2", "Ada"], [[], [], []])
    tuned = AnswerMethod(
        "fine-tuned with documents", ["4 pm", "", ""], [["b.md"], [], []], left_out=1, written=2
    )
    found = figures([base, tuned], rows)
    assert found["questions"] == {"answerable": 2, "unanswerable": 1}
    first, second = found["arms"]
    assert [arm["contains"]["value"] for arm in (first, second)] == [1.0, 0.5]
    assert [arm["exact"]["value"] for arm in (first, second)] == [0.5, 0.5]
    assert [arm["refused"]["value"] for arm in (first, second)] == [0.0, 1.0]
    assert (second["silent"]["value"], second["cited"]["value"], second["left_out"]) == (
        0.5,
        0.0,
        1,
    )
    assert (
        first["f1"]["value"] == pytest.approx((0.8 + 1) / 2)
        and "cited" not in first
        and "left_out" not in first
    )
    assert second["contains"]["change"]["value"] == -0.5
    with pytest.raises(DataError, match="None of the questions"):
        figures([base], rows[2:])
