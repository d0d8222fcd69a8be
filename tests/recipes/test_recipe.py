"""Recipes: read, checked, overridden, and answered with the nearest name."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from groundup.config import budget_s, read_toml
from groundup.data.preparation.config import DataConfig
from groundup.errors import ConfigError, ModelError
from groundup.recipes.build_config import BuildConfig
from groundup.recipes.builds.build import digest
from groundup.recipes.builds.pipeline import plan_build, stages_of
from groundup.recipes.named_stages import named_stage
from groundup.recipes.recipe import check, load_recipe, write_recipe
from groundup.recipes.stage import stage_seconds
from groundup.recipes.stages import chat
from groundup.recipes.stages.data import STAGE as DATA
from groundup.recipes.stages.pretrain import STAGE as PRETRAIN


def test_every_field_can_be_overridden() -> None:
    recipe = load_recipe(
        "quickstart",
        BuildConfig(
            settings=["pretrain.learning_rate=0.001", "seed=3", "export.quantizations=['q8_0']"]
        ),
    )
    assert (recipe.pretrain.learning_rate, recipe.seed, recipe.export.quantizations) == (
        0.001,
        3,
        ("q8_0",),
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("pretrain.learning_rat=1", ["pretrain.learning_rat", "'learning_rate'"]),
        ("pretrian.steps=1", ["pretrian", "'pretrain'"]),
        ("pretrain.steps=0", ["pretrain.steps", "greater than or equal to 1"]),
        ("spam.train=many", ["spam.train", "integer"]),
        ("budget=soon", ["soon", "90s, 3m"]),
        ("budget=2s", ["too short", "30s"]),
        ("pretrain.steps", ["has no '='"]),
        ("data.test_share=0.6", ["data.test_share", "less than or equal to 0.5"]),
        ("data.charset=latin-99", ["'latin-99' is unknown", "cp1251"]),
        ("spam.charset=hex", ["'hex' is unknown"]),
        ("spam.kind=clasifier", ["spam.kind", "'clasifier' is no kind", "classifier, chat"]),
        ("sentiment.train=20", ["Unknown field 'sentiment'", "says its kind", '"classifier"']),
        ("named.x.kind=chat", ["Unknown field 'named'"]),
        ("named={}", ["Unknown field 'named'"]),
    ],
)
def test_wrong_field_is_answered_in_one_sentence(change: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe("quickstart", BuildConfig(settings=[change]))
    for word in words:
        assert word in str(caught.value)


def test_shares_that_leave_too_little_to_train_on_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"together at most 0\.8"):
        load_recipe(
            "quickstart", BuildConfig(settings=["data.validation_share=0.5", "data.test_share=0.4"])
        )


def test_the_data_table_says_how_texts_are_read_and_split() -> None:
    sets = [
        "data.charset=CP1251",
        "data.keep_dropped=true",
        "data.test_share=0.1",
        "data.validation_share=0.2",
    ]
    config = load_recipe("quickstart", BuildConfig(settings=sets)).data.config
    assert (config.charset, config.keep_dropped) == ("cp1251", True)
    assert config.fractions == {"validation": 0.2, "test": 0.1}
    assert load_recipe("quickstart").data.config == DataConfig()


@pytest.mark.parametrize(
    "change",
    [
        *(
            "data.charset=cp1251",
            "data.keep_dropped=true",
            "data.test_share=0",
            "data.text=body",
        ),
        *("spam.charset=cp1251", "spam.label=stars", "chat.charset=cp1251"),
        "spam.source.name=sms",
    ],
)
def test_a_changed_field_is_in_the_key_of_its_stage(change: str) -> None:
    stage = change.partition(".")[0]
    changed, plain = (
        load_recipe("quickstart", BuildConfig(settings=[change])),
        load_recipe("quickstart"),
    )
    assert digest(changed.table(stage).key()) != digest(plain.table(stage).key())


def test_a_mixture_redoes_pretraining_and_nothing_before_it(tmp_path: Path) -> None:
    table = "[[data.sources]]\nspec = '{}'\nname = '{}'\nweight = {}\n"
    rest = "[spam]\nkind = 'classifier'\nsource = {spec = 's.csv'}\n"
    plain, weighted = tmp_path / "plain.toml", tmp_path / "weighted.toml"
    for file, weight in ((plain, 1), (weighted, 3)):
        file.write_text(
            "name = 'x'\n"
            + table.format("a", "letters", weight)
            + table.format("b", "books", 1)
            + rest
        )
    one, other = load_recipe(str(plain)), load_recipe(str(weighted))
    assert one.data.key() == other.data.key() and one.tokenizer.key() == other.tokenizer.key()
    assert PRETRAIN.outside(one) == {} and set(PRETRAIN.outside(other)) == {
        "weight of letters",
        "weight of books",
    }
    assert one.mixture.as_they_come and other.mixture.weights == {"letters": 3, "books": 1}
    for change in ("pretrain.mixture=temperature=2", "pretrain.max_epochs_per_source=4"):
        assert (
            load_recipe(str(plain), BuildConfig(settings=[change])).pretrain.key()
            != one.pretrain.key()
        )
    assert load_recipe(
        str(weighted), BuildConfig(settings=["pretrain.mixture=proportional"])
    ).mixture.as_they_come
    with pytest.raises(ConfigError, match="no source 'leters'"):
        load_recipe(str(plain), BuildConfig(settings=["pretrain.mixture=leters=1,books=2"]))


def test_changed_evaluation_items_redo_the_data(tmp_path: Path) -> None:
    recipe, items, texts = tmp_path / "plain.toml", tmp_path / "items.txt", tmp_path / "texts.txt"
    recipe.write_text(
        f"name = 'x'\n[[data.sources]]\nspec = '{texts}'\n[data.process]\ndecontaminate = ['{items}']\n"
    )
    keys = []
    for text in ("The first item.", "The second item."):
        texts.write_text("A text.")
        items.write_text(text)
        keys.append(DATA.outside(load_recipe(str(recipe))))
    assert keys[0] != keys[1] and keys[0][str(texts)] == keys[1][str(texts)]


def test_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="quickstart"):
        load_recipe("quikstart")


def test_a_folder_of_texts_makes_a_model_of_these_texts_alone(tmp_path: Path) -> None:
    recipe = load_recipe(str(tmp_path))
    assert [source.spec for source in recipe.data.sources] == [str(tmp_path)] and not recipe.named
    stages = {stage.name: stage for stage in stages_of(recipe)}
    assert list(stages) == ["data", "tokenizer", "pretrain", "evaluate", "export", "report"]
    assert stages["pretrain"].share > 0.75 and sum(
        stage.share for stage in stages.values()
    ) == pytest.approx(1)
    plan = plan_build(recipe)
    assert plan.base_parameters is None and plan.download_bytes == 0 and plan.disk_bytes < 50e6
    assert plan.stages[3].what == "bits per byte of test text, and samples"


def test_with_adds_the_stages_of_quickstart_to_a_folder(tmp_path: Path) -> None:
    recipe = load_recipe(str(tmp_path), BuildConfig(added=("spam", "chat")))
    assert recipe.named == load_recipe("quickstart").named and list(recipe.named) == [
        "spam",
        "chat",
    ]
    assert list(load_recipe(str(tmp_path), BuildConfig(added=("chat",))).named) == ["chat"]
    assert list(load_recipe(str(tmp_path), BuildConfig(teach=True)).named) == ["chat"], (
        "taught before it learns to chat"
    )
    assert load_recipe("quickstart", BuildConfig(added=("spam",))) == load_recipe("quickstart"), (
        "which has it"
    )
    shorter = load_recipe(str(tmp_path), BuildConfig(settings=["chat.tokens=9"], added=("chat",)))
    assert shorter.table("chat").tokens == 9  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="`added` spm: there is no such stage") as caught:
        load_recipe(str(tmp_path), BuildConfig(added=("spm",)))
    assert "'spam'" in caught.value.fix
    with pytest.raises(ConfigError, match="Unknown field 'spam'") as caught:
        load_recipe(str(tmp_path), BuildConfig(settings=["spam.train=9"]))
    assert caught.value.fix.startswith("`added` spam adds that stage.")


def test_a_recipe_has_any_number_of_classifiers_and_chat_models_by_name() -> None:
    sets = [
        "mood.kind=classifier",
        "mood.source.spec=moods.csv",
        "writer.kind=chat",
        "writer.source=letters.jsonl",
    ]
    recipe = load_recipe("quickstart", BuildConfig(settings=sets))
    stages = stages_of(recipe)
    names = [
        "data",
        "tokenizer",
        "pretrain",
        "base",
        "spam",
        "mood",
        "chat",
        "writer",
        "evaluate",
        "export",
        "report",
    ]
    assert [stage.name for stage in stages] == names
    assert sum(stage.share for stage in stages) == pytest.approx(1)
    needs = {stage.name: stage.needs for stage in stages}
    assert needs["mood"] == ("pretrain", "base") and needs["evaluate"] == (
        "data",
        "pretrain",
        "base",
        "chat",
        "writer",
    )
    assert check(tomllib.loads(write_recipe(recipe))) == recipe
    assert {row.stage: row.what for row in plan_build(recipe).stages}["writer"].endswith(
        "LoRA of rank 8"
    )


def test_of_a_long_budget_training_has_what_the_other_stages_cannot_use(tmp_path: Path) -> None:
    def seconds(budget: str, **given: Any) -> dict[str, float]:
        config = BuildConfig(budget=budget, **given)
        plan = plan_build(load_recipe(str(tmp_path), config))
        assert sum(row.planned_s for row in plan.stages) == pytest.approx(plan.budget_s)
        return {row.stage: row.planned_s for row in plan.stages}

    short, long = (seconds(budget, added=("spam", "chat")) for budget in ("10m", "8h"))
    assert short["chat"] / short["pretrain"] == pytest.approx(chat.SHARE / PRETRAIN.share)
    assert (long["chat"], long["evaluate"], long["export"]) == (600, 160, 120)
    assert long["pretrain"] > 3 / 4 * 8 * 3600
    larger = seconds("8h", added=("spam", "chat"), base="qwen2.5-coder-0.5b")
    assert larger["chat"] > 3 * long["chat"]
    assert seconds("8h")["pretrain"] > 0.8 * 8 * 3600


def test_what_reading_leaves_of_a_long_build_is_for_pretraining(tmp_path: Path) -> None:
    config = BuildConfig(budget="2h", added=("chat",))
    stages = stages_of(load_recipe(str(tmp_path), config))
    later = stages[[stage.name for stage in stages].index("pretrain") + 1 :]
    given = stage_seconds(stages[2:], 7_200 - 31.0)  # data and tokenizer took 31 s
    assert given["pretrain"] == pytest.approx(7_200 - 31 - sum(stage.most_s for stage in later))
    assert given["chat"] == 600 and 0.8 * 7_200 < given["pretrain"] < 0.9 * 7_200
    short = stage_seconds(stages[3:], 100.0)  # pretraining took nearly all
    assert sum(short.values()) == pytest.approx(100)


def test_the_public_model_is_named_by_base(tmp_path: Path) -> None:
    plan = plan_build(load_recipe("bank", BuildConfig(base="qwen2.5-coder-0.5b")))
    assert plan.base_parameters == 494_032_768 and plan.download_bytes > 470e6
    assert plan.memory_bytes > plan_build(load_recipe("bank")).memory_bytes + 1e9
    folder = BuildConfig(base=str(tmp_path), added=("chat",))
    assert load_recipe("quickstart", folder).base.model == str(tmp_path)
    with pytest.raises(ModelError, match="There is no model 'qwen2.5-codr-0.5b'") as caught:
        load_recipe("bank", BuildConfig(base="qwen2.5-codr-0.5b"))
    assert "Did you mean 'qwen2.5-coder-0.5b'" in caught.value.fix
    with pytest.raises(ConfigError, match="makes no model of a public one"):
        load_recipe(str(tmp_path), BuildConfig(base="gpt2"))


def test_a_recipe_of_before_is_told_to_name_the_kind_of_its_classifier(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        "name = 'x'\n[data]\nsources = [{spec = 'a'}]\n[spam.source]\nspec = 's.csv'\n"
    )
    with pytest.raises(ConfigError, match="Unknown field 'spam'") as caught:
        load_recipe(str(tmp_path / "mine.toml"))
    assert 'spam.kind = one of "index", "actions", "classifier", "chat"' in caught.value.fix


def test_a_recipe_without_texts_and_stages_is_refused_and_one_without_texts_has_no_model_of_its_own(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.toml").write_text("name = 'x'\n")
    with pytest.raises(ConfigError, match=r"data\.sources is empty"):
        load_recipe(str(tmp_path / "mine.toml"))
    stages = stages_of(load_recipe("quickstart", BuildConfig(settings=["data.sources=[]"])))
    assert [stage.name for stage in stages] == [
        "base",
        "spam",
        "chat",
        "evaluate",
        "export",
        "report",
    ]


def test_a_recipe_without_a_model_to_export_has_no_export(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        "name = 'x'\n[spam]\nkind = 'classifier'\n[spam.source]\nspec = 's.csv'\n"
    )
    stages = stages_of(load_recipe(str(tmp_path / "mine.toml")))
    assert [stage.name for stage in stages] == ["base", "spam", "evaluate", "report"]


@pytest.mark.parametrize("name", ["../elsewhere", "/elsewhere", "..", ""])
def test_a_name_that_leads_out_of_the_folder_of_builds_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="can't be a folder's name"):
        load_recipe("quickstart", BuildConfig(settings=[f"name={name!r}"]))


def test_written_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = load_recipe("quickstart", BuildConfig(settings=["pretrain.steps=12"]))
    (tmp_path / "recipe.toml").write_text(write_recipe(recipe))
    assert check(read_toml(tmp_path / "recipe.toml")) == recipe


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("3m", 180), ("1h30m", 5400), ("600", 600), ("1.5h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert budget_s(text) == seconds


@pytest.mark.parametrize("name", ["own", "report.html", "a b", "-x"])
def test_a_name_that_is_anothers_or_no_folder_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="can't name a stage"):
        named_stage(name, {"kind": "chat"})
