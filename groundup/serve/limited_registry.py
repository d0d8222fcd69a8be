"""LimitedRegistry: a model registry as the clients of one key see it."""

import contextlib
from collections.abc import Collection

from groundup.errors import ConfigError, did_you_mean
from groundup.http.keys import ALL
from groundup.serve.model_registry import LATEST, AliasChanges, ModelAlias, ModelRegistry
from groundup.serve.requests import RequestError


class LimitedRegistry(ModelRegistry):
    """Some models and assistants of a registry, whose tables it shares. Others are unknown to it,
    and no name can be made or deleted.
    """

    def __init__(
        self, whole: ModelRegistry, models: Collection[str], assistants: Collection[str]
    ) -> None:
        """Names as clients write them, or "*" for all of a kind.

        Raises ConfigError for a name that is not served.
        """
        vars(self).update(vars(whole))
        self._names = {
            False: _full_names(whole, models, of_assistants=False),
            True: _full_names(whole, assistants, of_assistants=True),
        }

    def shows(self, alias: ModelAlias) -> bool:
        """Whether its clients may use a model."""
        names = self._names[bool(alias.assistant)]
        return ALL in names or alias.name in names

    def copy(self, source: str, destination: str) -> None:
        """Raises RequestError (403)."""
        raise _not_the_operator()

    def create(self, name: str, source: str, changes: AliasChanges) -> None:
        """Raises RequestError (403)."""
        raise _not_the_operator()

    def delete(self, name: str) -> None:
        """Raises RequestError (403)."""
        raise _not_the_operator()


def _not_the_operator() -> RequestError:
    return RequestError("names are made and deleted with the operator's key", status=403)


def _full_names(
    whole: ModelRegistry, names: Collection[str], *, of_assistants: bool
) -> frozenset[str]:
    """Return the names with their tags. Raises ConfigError for one that is not served, or is of the
    other kind.
    """
    known = [each.name for each in whole.aliases() if bool(each.assistant) == of_assistants]
    full: set[str] = set()
    for name in names:
        found = name
        if name != ALL:
            with contextlib.suppress(RequestError):
                found = whole.find(name).name
            if found not in known:
                kind = "assistant" if of_assistants else "model"
                raise ConfigError(
                    f"A key is for the {kind} {name!r}, which is not served.",
                    fix=did_you_mean(name, [each.removesuffix(f":{LATEST}") for each in known]),
                )
        full.add(found)
    return frozenset(full)
