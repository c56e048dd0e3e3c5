"""Introduces bundles to the pipeline: which are taken for a slide, and how a worker loads them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.card import Card, join_cards
from models.engine import EngineName
from models.shelf import list_bundles, read_card
from pipeline.at_work import batches_at_work
from pipeline.config import SlideConfig
from pipeline.errors import CannotFeed, ConfigError, WorkerDiffers
from pipeline.stage import Network


@dataclass(frozen=True, slots=True)
class BundleLoader:
    """Loads one bundle, or several that follow each other, in the process that calls it."""

    bundles: tuple[str, ...]
    device: str
    precision: str
    blend: float = 0.0
    views: int = 1
    engines: tuple[EngineName, ...] = ()
    """One for each bundle; without, torch computes all."""
    hashes: tuple[str, ...] = ()
    """Of the weights: a process that lives on must not keep those that a folder held before."""

    def __call__(self) -> Any:
        """The predictor."""
        from models.predict import load_cascade, load_predictor

        for bundle, wanted in zip(self.bundles, self.hashes, strict=bool(self.hashes)):
            found = read_card(bundle).weights_hash(self.blend)
            if found != wanted:
                msg = f"{bundle}: other weights here ({found[:12]}) than where the run was started ({wanted[:12]})"
                raise WorkerDiffers(
                    msg, "Install the same bundles on every worker and run the command again; it goes on."
                )
        if len(self.bundles) == 1:
            (bundle,) = self.bundles
            (engine,) = self.engines or ("torch",)
            return load_predictor(bundle, self.device, self.precision, self.blend, self.views, batches_at_work, engine)
        return load_cascade(self.bundles, self.device, self.precision, self.blend, batches_at_work, self.engines)


@dataclass(frozen=True, slots=True)
class ChosenNetworks:
    """The bundles that a slide is worked on with, by task; and as the pipeline sees them."""

    sr: tuple[Card, ...]
    nuclei: Card | None
    classifiers: tuple[Card, ...]
    loaders: dict[str, BundleLoader]

    @property
    def cards(self) -> tuple[Card, ...]:
        """All of them, each once."""
        every = [*self.sr, *([self.nuclei] if self.nuclei else []), *self.classifiers]
        return tuple({card.sha256: card for card in every}.values())

    @property
    def engines(self) -> dict[str, EngineName]:
        """What computes each network, by the name on its card."""
        return {
            read_card(bundle).name: engine
            for loader in self.loaders.values()
            for bundle, engine in zip(loader.bundles, loader.engines, strict=True)
        }

    @property
    def sr_network(self) -> Network | None:
        """Super-resolution as one network, however many follow each other."""
        return self._network(join_cards(self.sr), "sr") if self.sr else None

    @property
    def nuclei_network(self) -> Network | None:
        """Segmentation of nuclei."""
        return self._network(self.nuclei, "nuclei") if self.nuclei else None

    @property
    def classifier_networks(self) -> tuple[Network, ...]:
        """Patch classifiers."""
        return tuple(self._network(card, card.name) for card in self.classifiers)

    def _network(self, card: Card, role: str) -> Network:
        return Network(
            name=card.name,
            load=self.loaders[role],
            mpp=card.mpp,
            halo_px=card.halo_px,
            stride_px=card.stride_px,
            scale=card.scale or 1,
            field_px=card.field_px or 0,
            classes=card.classes or (),
            postprocessing=card.postprocessing,
        )


def torch_for_all(_: str) -> EngineName:
    """For who asks which networks there are, and computes with none."""
    return "torch"


def choose_networks(
    config: SlideConfig, factor: int, engine_of: Callable[[str], EngineName] = torch_for_all
) -> ChosenNetworks:
    """Read the cards of the bundles that a slide needs, where it is `factor` times coarser than the target.

    `engine_of` says which engine computes a bundle (`flows.devices.engines`).
    """
    loaders: dict[str, BundleLoader] = {}

    def take(role: str, task: str, *bundles: str) -> tuple[Card, ...]:
        cards = tuple(card_for(bundle, task) for bundle in bundles)
        blend = config.sr_blend if task == "superresolution" else 0.0
        views = config.nuclei_views if task == "nuclei" else 1
        hashes = tuple(card.weights_hash(blend) for card in cards)
        chosen = {bundle: engine_of(bundle) for bundle in dict.fromkeys(bundles)}
        engines = tuple(chosen[bundle] for bundle in bundles)
        loaders[role] = BundleLoader(bundles, config.device, config.precision, blend, views, engines, hashes)
        return cards

    sr = _sr_bundles(config.sr, factor)
    plain = [bundle for bundle in sr if config.sr_blend and card_for(bundle, "superresolution").gan is None]
    if plain:
        msg = f"{plain[0]}: has no weights that were trained against an adversary, to mix in {config.sr_blend:g} of"
        raise ConfigError(msg, "Take --sr-blend 0, or a bundle that has such weights.")
    return ChosenNetworks(
        sr=take("sr", "superresolution", *sr) if sr else (),
        nuclei=take("nuclei", "nuclei", config.nuclei)[0] if config.nuclei != "none" else None,
        classifiers=tuple(
            take(card_for(bundle, "classification").name, "classification", bundle)[0] for bundle in config.classifiers
        ),
        loaders=loaders,
    )


def card_for(bundle: str, task: str) -> Card:
    """The card of a bundle that is for this task. Raises BundleError where there is none, ConfigError for another's."""
    card = read_card(bundle)
    if card.task != task:
        msg = f"{bundle}: a network for {card.task}, where one for {task} is wanted"
        raise ConfigError(msg, "`histoloom models` lists the bundles and their tasks.")
    return card


def _sr_bundles(sr: str, factor: int) -> tuple[str, ...]:
    """The bundles whose scales multiply to `factor`, largest steps first; a named bundle alone, as often as needed.

    What learned from another bundle, to be quicker than it, is taken where it is named.
    """
    if sr == "none" or (sr == "auto" and factor == 1):
        return ()
    if sr != "auto":
        scale = card_for(sr, "superresolution").scale or 1
        wanted = max(factor, scale)
        steps = round(math.log(wanted, scale))
        if scale**steps != wanted:
            msg = f"{sr}: enlarges x{scale}, which cannot make the x{factor} that this slide needs"
            raise CannotFeed(msg, "Leave the choice to histoloom (--sr auto), or change --target-mpp.")
        return (sr,) * steps
    ours = [card for card in list_bundles() if card.task == "superresolution" and not card.training.get("teacher")]
    shipped = {card.scale or 1: card.name for card in ours}
    chosen = []
    for scale in sorted(shipped, reverse=True):
        while factor % scale == 0 and factor > 1:
            chosen.append(shipped[scale])
            factor //= scale
    if factor > 1:
        msg = f"no shipped network makes what is missing: x{factor}"
        raise CannotFeed(msg, "Name a bundle of your own with --sr, or go without (--sr none).")
    return tuple(chosen)
