"""Texts with markup: their words, headings and code, without the markup."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.cli.main import run
from groundup.data.reading.markup_text import MARKUP_READERS, plain_text
from groundup.data.reading.options import SourceOptions
from groundup.data.reading.source_files import Source
from groundup.data.reading.source_report import SourceReport
from groundup.data.reading.sources import read_source
from groundup.retrieve.passages import split

Texts = Callable[..., Path]
CODE = "```\n# no heading\nlamp --off\n```"
RST = """.. _lamp:

========
The lamp
========

Cleaning
--------

Clean the *lamp* with ``water``, see `the page <http://x.org>`_ and :func:`~lamp.dim`.
.. a comment
   of two lines

.. note:: Switch it off first.

.. code-block:: bash
   :linenos:

   # no heading
   lamp --off

.. function:: dim(share)
   :module: lamp

   Dim the lamp to a share.

   More of it.

.. toctree::
   :maxdepth: 2

   other
"""
ADOC = """= The lamp
:toc: left

== Cleaning [[clean]]

Clean the *lamp* with `water`, see link:http://x.org[the page] and <<clean,dim>>.

// a comment
NOTE: Switch it off first.

[source,bash]
----
# no heading
lamp --off
----

dim(share)::
  Dim the lamp to a share.

More of it.
"""
TEX = r"""\documentclass{article}
\usepackage{x} % comment
\title{The lamp}
\begin{document}
\section{Cleaning}\label{sec:c}
Clean the \emph{lamp} with \texttt{water}, see \href{http://x.org}{the page} and dim~\cite{x}.
% a comment

Note: Switch it off first.
\begin{verbatim}
# no heading
lamp --off
\end{verbatim}
\begin{itemize}
\item[dim(share)] Dim the lamp to a share.
\end{itemize}
More of it. Caf\'e, stra\ss e, 5\,\% of $x_1$ --- ``now''.
\end{document}
"""
ORG = """#+TITLE: The lamp
* TODO [#A] Cleaning :home:work:
:PROPERTIES:
:ID: 5
:END:
Clean the *lamp* with =water=, see [[http://x.org][the page]] and ~dim~.
# a comment

Note: Switch it off first.
#+BEGIN_SRC sh
# no heading
lamp --off
#+END_SRC
- dim(share) :: Dim the lamp to a share.
More of it.
"""
TEXTS = {".rst": RST, ".adoc": ADOC, ".asciidoc": ADOC, ".tex": TEX, ".org": ORG}


@pytest.mark.parametrize("suffix", MARKUP_READERS)
def test_words_headings_and_code_are_left_and_markup_is_not(suffix: str) -> None:
    text = plain_text(TEXTS[suffix], suffix, headings=True)
    assert "Clean the lamp with water, see the page and dim." in text
    assert "# The lamp\n" in text and "## Cleaning\n" in text and CODE in text
    assert "Note: Switch it off first." in text or "NOTE: Switch it off first." in text
    assert "dim(share): Dim the lamp to a share." in text and "More of it." in text
    for gone in (
        "comment",
        "PROPERTIES",
        "toctree",
        "maxdepth",
        "linenos",
        "usepackage",
        "x.org",
        "toc:",
        "::",
        "\\",
    ):
        assert gone not in text, gone


@pytest.mark.parametrize("suffix", MARKUP_READERS)
def test_a_training_text_has_no_marks(suffix: str) -> None:
    text = plain_text(TEXTS[suffix], suffix, headings=False)
    assert "```" not in text and "#" not in text.replace("# no heading", "")
    assert "\nCleaning\n" in text


@pytest.mark.parametrize("suffix", MARKUP_READERS)
def test_passages_have_the_headings_as_their_titles(suffix: str) -> None:
    text = plain_text(TEXTS[suffix], suffix, headings=True)
    (title,) = {each.title for each in split(text) if "Clean the" in text[each.start : each.end]}
    assert title in ("The lamp > Cleaning", "The lamp")
    assert not any("no heading" in each.title for each in split(text))


def test_latex_keeps_letters_formulas_and_signs() -> None:
    assert "Café, straße, 5% of $x_1$ — “now”." in plain_text(TEX, ".tex", headings=False)


def test_they_are_texts_of_every_command(
    texts: Texts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = texts(a_rst=RST, b_adoc=ADOC, c_tex=TEX, d_org=ORG)
    report = SourceReport()
    found = list(read_source(Source(str(root)), SourceOptions(), report))
    assert [each.name for each in found] == [
        "a.rst",
        "b.adoc",
        "c.tex",
        "d.org",
    ] and not report.skipped
    assert run(["index", str(root), "--out", str(tmp_path / "index")]) == 0
    capsys.readouterr()
    assert run(["ask", str(tmp_path / "index"), "What does dim(share) do?"]) == 0
    assert "dim(share): Dim the lamp to a share." in " ".join(capsys.readouterr().out.split())


PIECES = [
    *(
        "*",
        "**",
        "`",
        "``",
        "::",
        "\n",
        "\n\n",
        "  ",
        ".. ",
        "note::",
        "|",
        "=",
        "====\n",
        "----\n",
        "[",
        "]",
        "[[",
        "<<",
    ),
    *(
        ">>",
        "{",
        "}",
        "\\",
        "\\begin{verbatim}\n",
        "\\end{verbatim}",
        "\\section{",
        "$",
        "%",
        "a",
        "b c",
        ":A:\n",
        "é",
    ),
    "#+BEGIN_SRC\n",
]
LONG = [
    *(
        "*a ",
        "`a ",
        "[[",
        "<<",
        "\\[",
        "\\a[",
        "link:",
        ":a",
        " ",
        "((( ",
        "\\begin{verbatim}\n",
        "\\section{",
        "_",
    ),
    *(".. x::\n ", "$", "::"),
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=30).map("".join),
    st.sampled_from(list(MARKUP_READERS)),
)
def test_any_text_is_read(text: str, suffix: str) -> None:
    for headings in (True, False):
        assert isinstance(plain_text(text, suffix, headings=headings), str)


@pytest.mark.parametrize("suffix", MARKUP_READERS)
@pytest.mark.parametrize("piece", LONG)
def test_time_grows_with_the_length_of_a_text(piece: str, suffix: str) -> None:
    started = time.process_time()
    plain_text(piece * (30_000 // len(piece)), suffix, headings=True)
    assert time.process_time() - started < 4  # quadratic ones take ten and more
