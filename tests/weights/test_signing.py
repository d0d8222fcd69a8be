"""`groundup sign` and `groundup verify --key`: each link by OpenSSF Model Signing, and their order."""

import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from groundup.cli.main import run
from groundup.files import atomic_folder, write_text
from groundup.runs import BuildResults, BuiltStage, provenance
from groundup.weights.signing import CHAIN_FILE, SIGNATURE_FILE, verify_chain

STAGES = ("data", "tokenizer", "pretrain")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key and its public part."""
    pytest.importorskip("model_signing")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder, key = tmp_path_factory.mktemp("keys"), ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "key.pem").write_bytes(private)
    (folder / "pub.pem").write_bytes(public)
    return folder / "key.pem", folder / "pub.pem"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A folder like that of a build of three stages."""
    folder = tmp_path / "build"
    folder.mkdir()
    stages = {}
    for name in STAGES:
        with atomic_folder(folder / name) as made:
            write_text(made / "file.txt", name)
        stages[name] = BuiltStage("key", {}, status="done", planned_s=1.0)
    kinds = {name: name for name in STAGES}
    BuildResults(
        **vars(provenance()), recipe="own", description="", seed=1, budget_s=1.0, kinds=kinds,
        stages=stages,
    ).write(folder)  # fmt: skip
    return folder


@pytest.fixture
def signed(build: Path, keys: tuple[Path, Path]) -> Path:
    assert run(["sign", str(build), "--key", str(keys[0])]) == 0
    return build


def verify(folder: Path, key: Path, *more: object) -> int:
    return run(["verify", str(folder), "--key", str(key), *map(str, more)])


def test_every_stage_is_a_link_that_names_the_one_before(
    signed: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(signed, keys[1]) == 0
    assert "data -> tokenizer -> pretrain -> build" in capsys.readouterr().out
    links = verify_chain(signed, keys[1])
    assert [link.number for link in links] == [1, 2, 3, 4]
    for before, link in pairwise(links):
        assert (link.before, link.before_sha256) == (before.name, before.signature_sha256)


def test_the_tool_of_the_format_agrees(signed: Path, keys: tuple[Path, Path]) -> None:
    def upstream(folder: Path) -> int:
        given = ("--signature", folder / SIGNATURE_FILE, "--public_key", keys[1])
        command = [sys.executable, "-m", "model_signing", "verify", "key", folder, *given]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert upstream(signed) == 0
    (signed / "pretrain" / "file.txt").write_text("altered!")
    assert upstream(signed / "pretrain") != 0


def altered_byte(build: Path) -> None:
    (build / "build.json").write_bytes((build / "build.json").read_bytes() + b" ")


def added_file(build: Path) -> None:
    (build / "tokenizer" / "added.txt").write_text("x")


def exchanged_link(build: Path) -> None:
    for name in (CHAIN_FILE, SIGNATURE_FILE):
        shutil.copy(build / "data" / name, build / "tokenizer" / name)


def exchanged_folders(build: Path) -> None:
    shutil.move(build / "data", build / "aside")
    shutil.move(build / "tokenizer", build / "data")
    shutil.move(build / "aside", build / "tokenizer")


def removed_signature(build: Path) -> None:
    (build / "tokenizer" / SIGNATURE_FILE).unlink()


def removed_link(build: Path) -> None:
    shutil.rmtree(build / "tokenizer")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (altered_byte, "build.json"),
        (added_file, "Extra files found in model 'tokenizer': added.txt"),
        (exchanged_link, "chain.json: before: begins a chain, but is not its first link"),
        (exchanged_folders, "chain.json: before: names another signature of data"),
        (removed_signature, "model.sig: signature: is missing"),
        (removed_link, "chain.json: before: names another signature of tokenizer"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_byte_an_order_or_a_link_that_was_changed_is_named(
    change: object,
    named: str,
    signed: Path,
    keys: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert callable(change)
    change(signed)
    assert verify(signed, keys[1]) == 2
    assert named in capsys.readouterr().err.replace("\n       ", " ")


def test_an_export_goes_on_from_a_run(
    signed: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    export = signed.parent / "export"
    with atomic_folder(export) as made:
        write_text(made / "file.txt", "export")
    assert run(["sign", str(export), "--key", str(keys[0]), "--after", str(signed)]) == 0
    capsys.readouterr()
    assert verify(export, keys[1]) == 0 and "It goes on from build" in capsys.readouterr().out
    assert verify(export, keys[1], "--after", signed) == 0
    assert run(["sign", str(signed), "--key", str(keys[0])]) == 0  # other signatures of the same
    assert verify(export, keys[1], "--after", signed) == 2
    assert "names another signature of build" in capsys.readouterr().err


def test_another_key_and_no_key_are_one_sentence(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(signed, tmp_path / "none.pem") == 2
    assert "openssl ecparam" in capsys.readouterr().err
    assert verify(signed, keys[0]) == 2
    assert "is not a key for this" in capsys.readouterr().err
    other = tmp_path / "other.pem"
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    other.write_bytes(public.public_bytes(serialization.Encoding.PEM, form))
    assert verify(signed, other) == 2
    assert "is not what was signed with this key" in capsys.readouterr().err


def test_a_wrong_key_or_folder_before_is_named_before_hashes_are_checked(
    build: Path, keys: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    other = tmp_path / "rsa.pem"
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key = rsa.generate_private_key(65537, 2048)
    other.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    (build / "data" / "file.txt").write_text("changed")
    assert run(["sign", str(build), "--key", str(other)]) == 2
    assert "rsa.pem is not an elliptic-curve key." in capsys.readouterr().err
    assert verify(build, tmp_path / "none.pem") == 2
    assert "There is no key" in capsys.readouterr().err
    for verb, given in (("sign", keys[0]), ("verify", keys[1])):
        words = [verb, str(build), "--key", str(given), "--after", str(tmp_path / "none")]
        assert run(words) == 2 and "none does not exist." in capsys.readouterr().err
    assert run(["sign", str(build), "--key", str(keys[0])]) == 2
    assert "file.txt" in capsys.readouterr().err


def test_nothing_goes_on_from_itself(
    signed: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for before in (signed, signed / "tokenizer"):
        words = ["sign", str(signed), "--key", str(keys[0]), "--after", str(before)]
        assert run(words) == 2 and "it is signed now" in capsys.readouterr().err
    assert verify(signed, keys[1]) == 0  # the signatures before are as they were


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "model.sig"), ("null", "model.sig"), ("{}", "a part is missing or of another type")],
)
def test_a_damaged_signature_is_one_sentence(
    signed: Path,
    keys: tuple[Path, Path],
    content: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (signed / "data" / SIGNATURE_FILE).write_text(content)
    (signed / "tokenizer" / CHAIN_FILE).unlink()
    assert verify(signed / "data", keys[1]) == 2
    error = capsys.readouterr().err
    assert said in error and "subscriptable" not in error and "char 0" not in error
