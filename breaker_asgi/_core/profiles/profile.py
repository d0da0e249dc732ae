"""A profile: which errors of one dependency are its answers, the caller's own, or failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from breaker_asgi._core import validation
from breaker_asgi._core.judgement import Judgement
from breaker_asgi._core.outcome import Outcome
from breaker_asgi._core.predicates import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


Rule: TypeAlias = "Outcome | Callable[[Any], Outcome | None]"
"""An outcome, or a function of the exception that returns one, or None to leave it open."""


def named(packages: str, rule: Rule, kinds: str) -> dict[str, Rule]:
    """Return one rule for several classes, in several packages; both are separated by spaces."""
    return {f"{package}:{kind}": rule for package in packages.split() for kind in kinds.split()}


class Profile:
    """Knowledge of the errors of one dependency, by the classes of its SDKs.

        bank = Profile("bank", {"bank_sdk:Declined": SUCCESS, "bank_sdk:BankError": by_its_code})

    `rules` has a rule for each class, which is named by its package and itself, so that the SDK
    need not be installed. It is for the derived classes too: of several rules the one of the most
    derived class decides, and the next one where that returns None. `by_status` judges the status
    of a response that a guarded client gets, where no exception is raised for it. A function that
    raises is logged once, and counts as None.

    Raises `BreakerConfigError` for a rule that is none.
    """

    def __init__(
        self,
        name: str,
        rules: Mapping[str, Rule],
        *,
        by_status: Callable[[int], Outcome] | None = None,
    ) -> None:
        self.name = name
        self._setting = f"a rule of the profile {name}"
        self._by_status = by_status
        self._rules: dict[str, list[tuple[str, Rule]]] = {}
        for key, rule in rules.items():
            package, _, kind = key.partition(":")
            if not (package and kind):
                remedy = 'Write "bank_sdk:BankError"'
                raise validation.not_allowed(
                    "a rule of Profile", key, "a package and a class of it", remedy
                )
            if not callable(rule) and not isinstance(rule, Outcome):
                remedy = "Write Outcome.SUCCESS, or a function of the exception"
                raise validation.not_allowed(
                    f"the rule for {key}", rule, "an Outcome, or a function", remedy
                )
            self._rules.setdefault(kind, []).append((package, rule))
        self._of_class: WeakKeyDictionary[type, tuple[Rule, ...]] = WeakKeyDictionary()
        self._judgement = Judgement((), (), None, self)

    @property
    def packages(self) -> set[str]:
        """The packages that have rules."""
        return {package for rules in self._rules.values() for package, _ in rules}

    def outcome_of(self, exception: BaseException) -> Outcome:
        """Return the outcome of a call that raised `exception`, under a breaker of this profile."""
        return self._judgement.outcome_of(exception)

    def outcome_of_status(self, status: int) -> Outcome | None:
        """Return the outcome of a response by its status; None without `by_status`."""
        return None if self._by_status is None else self._by_status(status)

    def judge(self, exception: BaseException) -> Outcome | None:
        """Return the outcome by the rules; None for an exception that has none."""
        for rule in self.rules_of(type(exception)):
            outcome = ask(rule, self._setting, None, exception) if callable(rule) else rule
            if outcome is not None:
                return outcome
        return None

    def rules_of(self, kind: type) -> tuple[Rule, ...]:
        """Return the rules for a class of exceptions, the one of the most derived class first."""
        rules = self._of_class.get(kind)
        if rules is None:
            rules = tuple(
                rule
                for base in kind.__mro__
                for package, rule in self._rules.get(base.__qualname__, ())
                if f"{base.__module__}.".startswith(f"{package}.")
            )
            self._of_class[kind] = rules
        return rules

    def __repr__(self) -> str:
        return f"<Profile {self.name!r}>"
