"""What the dialog asks for that starts a class: read into a request or into words about what is wrong. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.contextinfo import ContextState
from jobdeck_protocol.packageinfo import JAR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.contextinfo import ContextInfo

__all__ = ["ClassFields", "ClassMemory", "ClassRequest", "context_words", "read", "takes"]

_CLASS_LIMIT_LENGTH = 1000
_SCHEMES = ("http://", "https://")
_PLAIN = "plain"
_PYTHON, _JVM = "spark.jobserver.python.", "spark.jobserver.context."


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFields:
    """The dialog's fields as they stand, all text.

    Attributes:
        main_class: Full name of the class: ``package.module.Class``.
        context: Name of the context in which it runs; empty for one of its own.
        callback_url: What is told of the end; empty for nobody.
        config: What the class is given, in HOCON.
    """

    main_class: str = ""
    context: str = ""
    callback_url: str = ""
    config: str = ""


@dataclass(slots=True)
class ClassMemory:
    """What was typed in this session, so that it need not be typed again.

    Attributes:
        fields: What was started, by class.
        last: The class that was started last, by package.
        drafts: What was typed and not started, by package.
    """

    fields: dict[str, ClassFields] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)
    drafts: dict[str, ClassFields] = field(default_factory=dict)

    def keep(self, package: str, started: ClassFields) -> None:
        """This was started."""
        self.fields[started.main_class.strip()] = started
        self.last[package] = started.main_class.strip()
        self.drafts.pop(package, None)

    def leave(self, package: str, typed: ClassFields) -> None:
        """This was typed, and left; nothing at all is no draft."""
        if typed == ClassFields():
            self.drafts.pop(package, None)
        else:
            self.drafts[package] = typed

    def config_of(self, main_class: str) -> str:
        """What the class was given last; empty if it was not started."""
        kept = self.fields.get(main_class.strip())
        return "" if kept is None else kept.config

    def first(self, package: str) -> ClassFields:
        """What stands in the dialog at first: a draft, or what was started last out of this package."""
        draft = self.drafts.get(package)
        if draft is not None:
            return draft
        return self.fields.get(self.last.get(package, "")) or ClassFields()


@dataclass(frozen=True, slots=True)
class ClassRequest:
    """A request that can be sent: ``body`` is that of ``POST /v1/jobs``."""

    body: Mapping[str, Any]


def read(fields: ClassFields, package: str) -> ClassRequest | dict[str, str]:
    """The request; or what is wrong: the field's name and words for a person."""
    wrong: dict[str, str] = {}
    main_class, url = fields.main_class.strip(), fields.callback_url.strip()
    if not main_class:
        wrong["main_class"] = "which class?"
    elif any(each.isspace() for each in main_class):
        wrong["main_class"] = "has no blanks in its name"
    elif len(main_class) > _CLASS_LIMIT_LENGTH:
        wrong["main_class"] = f"is longer than {_CLASS_LIMIT_LENGTH:,} characters"
    if url and not url.lower().startswith(_SCHEMES):
        wrong["callback_url"] = "begins with http:// or https://"
    if wrong:
        return wrong
    body: dict[str, Any] = {"main_class": main_class, "packages": [package]}
    if fields.config.strip():
        body["config"] = fields.config
    if fields.context:
        body["context"] = fields.context
    if url:
        body["callback_url"] = url
    return ClassRequest(body)


# -- contexts --


def takes(context: ContextInfo, kind: str) -> bool:
    """Whether a context takes classes out of a package of this kind, as far as its record tells."""
    there = context.state in (ContextState.RUNNING, ContextState.RESTARTING)
    return there and _unfit(context, kind) is None


def context_words(context: ContextInfo | None, kind: str) -> str:
    """What the context is that was chosen, or why it does not take such a class; foreign. Empty for one not known."""
    if context is None:
        return ""
    wrong = _unfit(context, kind)
    if wrong is not None:
        return f"✗ {wrong}"
    place = f" on {context.master}" if context.master else ""
    waiting = f", {context.queued_count:,} waiting" if context.queued_count else ""
    return f"{context.kind}{place}, {context.running_count:,} of {context.slots_count:,} in use{waiting}"


def _unfit(context: ContextInfo, kind: str) -> str | None:
    if context.adhoc:
        return "it is of another job alone"
    factory = str(context.settings.get("context-factory", ""))
    if kind == JAR and (context.kind == _PLAIN or factory.startswith(_PYTHON)):
        return f"a jar needs a context on Spark: {context.name} runs Python alone"
    if kind != JAR and factory.startswith(_JVM):
        return f"{context.name} runs classes out of jars alone"
    return None
