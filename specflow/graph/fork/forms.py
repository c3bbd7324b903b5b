"""The forms in which a chat model is handed about: bound, retried, with fallbacks, configurable."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable, RunnableSequence, RunnableWithFallbacks
from langchain_core.runnables.base import RunnableBindingBase

from specflow.graph.compat import ConfigurableModel
from specflow.graph.fork.adopting import Adopters


def adopting(adopters: Adopters, model: Any) -> Any:
    """The same runnable around an adopting copy of each chat model in it; what is unknown stays as it is."""
    if isinstance(model, BaseChatModel):
        return adopters.copy_of(model)
    if isinstance(model, RunnableBindingBase):
        return _with(model, bound=adopting(adopters, model.bound))
    if isinstance(model, RunnableWithFallbacks):
        others = [adopting(adopters, other) for other in model.fallbacks]
        return _with(model, runnable=adopting(adopters, model.runnable), fallbacks=others)
    if isinstance(model, RunnableSequence):
        first, *middle, last = (adopting(adopters, step) for step in model.steps)
        return _with(model, first=first, middle=middle, last=last)
    if isinstance(model, ConfigurableModel) and not isinstance(model, _Configurable):
        return _configurable(adopters, model)
    return model


def models_in(model: Any) -> list[BaseChatModel]:
    """The chat models in such a form, as far as it shows them."""
    if isinstance(model, BaseChatModel):
        return [model]
    if isinstance(model, RunnableBindingBase):
        return models_in(model.bound)
    if isinstance(model, RunnableWithFallbacks):
        return [found for one in (model.runnable, *model.fallbacks) for found in models_in(one)]
    if isinstance(model, RunnableSequence):
        return [found for step in model.steps for found in models_in(step)]
    return []


class _Configurable(ConfigurableModel):
    """Makes its model when it is called; what it makes adopts."""

    def _model(self, config: Any = None) -> Runnable[Any, Any]:
        made: Runnable[Any, Any] = adopting(self.__dict__["__specflow_adopters__"], super()._model(config))
        return made

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if not callable(found) or name.startswith("_"):
            return found

        def made(*args: Any, **kwargs: Any) -> Any:
            return adopting(self.__dict__["__specflow_adopters__"], found(*args, **kwargs))

        return made


def _configurable(adopters: Adopters, model: ConfigurableModel) -> ConfigurableModel:
    # Not copy.copy: it asks for methods that the model would then make a provider's client for.
    made = _Configurable.__new__(_Configurable)
    made.__dict__.update(model.__dict__, __specflow_adopters__=adopters)
    return made


def _with(model: Any, **parts: Any) -> Any:
    """A copy with these parts exchanged; the very object where they are what they were."""
    if all(getattr(model, name) is part for name, part in parts.items()):
        return model
    copied = model.model_copy()
    for name, part in parts.items():
        # Not validated: a validator would make a new object of the class it knows.
        copied.__dict__[name] = part
    return copied
