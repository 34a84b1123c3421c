"""Which family a model belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath

from fimls.errors import ModelRefused
from fimls.template.family import Status, Template
from fimls.template.loading import find
from fimls.vocabulary import ModelInfo, Vocabulary

_NAME_KEYS = ("general.basename", "general.finetune")


def detect(
    info: ModelInfo,
    vocabulary: Vocabulary | None,
    templates: Mapping[str, Template],
    override: str = "",
) -> Template:
    """The template for a model: the one named by ``override``, or the one that knows it.

    Raises ``ModelRefused`` with the reason when the model was not trained to fill
    in the middle or nobody knows it, ``TemplateError`` for an unknown ``override``.
    """
    if override:
        return _usable(find(override, templates), info, named=True)
    names = [name for name in map(normalise, _names(info)) if name]
    ranked = sorted(templates.values(), key=lambda template: -template.detect.rank)
    for template in ranked:
        if _knows(template, names, info.architecture):
            _refuse_variant(template, names, info)
            return _usable(template, info, named=False)
    # A file without a telling name may have a telling architecture: starcoder2, refact.
    for template in ranked:
        trusted = template.status in {Status.VERIFIED, Status.DOCUMENTED}
        if trusted and _knows(template, [info.architecture], info.architecture):
            return template
    raise ModelRefused(_stranger(info, vocabulary, ranked))


def normalise(name: str) -> str:
    """``Qwen2.5-Coder_0.5B`` as patterns see it: ``qwen2.5 coder 0.5b``."""
    return re.sub(r"[\s_-]+", " ", name).strip().lower()


def holds(vocabulary: Vocabulary, markers: Iterable[str]) -> bool:
    """Whether each of ``markers`` is one control token of ``vocabulary``."""
    return all(vocabulary.marker(text) is not None for text in markers)


def _names(info: ModelInfo) -> Iterable[str]:
    yield info.name
    for key in _NAME_KEYS:
        yield info.metadata.get(key, "")
    yield PurePath(info.path).stem


def _knows(template: Template, names: Iterable[str], architecture: str) -> bool:
    detection = template.detect
    if detection.architectures and architecture and architecture not in detection.architectures:
        return False
    return any(detection.name.search(name) for name in names)


def _refuse_variant(template: Template, names: Iterable[str], info: ModelInfo) -> None:
    for refusal in template.detect.refuse:
        if any(refusal.name.search(name) for name in names):
            raise ModelRefused(f"{_called(info)} cannot fill in the middle: {refusal.reason}")


def _usable(template: Template, info: ModelInfo, *, named: bool) -> Template:
    if template.status is Status.REFUSED:
        how = "the template is set to" if named else "it was recognised as"
        raise ModelRefused(
            f"{_called(info)} cannot fill in the middle: {template.reason} ({how}: "
            f'{template.title}). "fimls models list" shows models that can'
        )
    if template.status is Status.UNVERIFIED and not named:
        raise ModelRefused(
            f"{_called(info)} is {template.title}, whose template is unverified: "
            f"{template.reason}. To use it all the same, set "
            f'completion.template = "{template.name}"'
        )
    return template


def _stranger(info: ModelInfo, vocabulary: Vocabulary | None, templates: Iterable[Template]) -> str:
    if vocabulary is None:
        return (
            f'the name "{_called(info)}" tells no family known to be trained to fill in the '
            'middle; set engines.NAME.template ("fimls templates list" shows the families)'
        )
    message = f"{_called(info)} is of no family known to be trained to fill in the middle"
    fitting = [
        template
        for template in templates
        if template.forms is not None
        and template.detect.vocabulary
        and holds(vocabulary, template.detect.vocabulary)
    ]
    if not fitting:
        return (
            f"{message}, and its vocabulary holds no markers of one; "
            '"fimls models list" shows models that can'
        )
    # Dozens of families share StarCoder's markers: those of the same architecture are nearest.
    kin = [template for template in fitting if info.architecture in template.detect.architectures]
    names = [template.name for template in kin or fitting]
    return (
        f"{message}; its vocabulary holds the markers of {' and '.join(names)}, but many chat "
        "models inherit these untrained. If you know better, set completion.template = "
        f'"{names[0]}"'
    )


def _called(info: ModelInfo) -> str:
    return info.name or PurePath(info.path).name or "this model"
