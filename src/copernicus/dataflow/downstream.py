"""What may be concerned when outputs change: who reads them over connections and evaluations, and who hears of it."""

from __future__ import annotations

from collections.abc import Iterable

from copernicus.dataflow.network import ROOT, Instance, Network, Place
from copernicus.dataflow.status import why_held
from copernicus.dataflow.views import readers_of


class Downstream:
    """What is downstream of some instances: `evaluated` instances that may work, and `controllers` that will hear of it.

    A controller ends the way: what it makes of its inputs is not guessed.
    """

    def __init__(self, network: Network, sources: Iterable[Instance]) -> None:
        self._network = network
        self.evaluated: dict[int, None] = {}
        self.controllers: dict[int, None] = {}
        self._seen: set[Place] = set()
        self._stack = list(sources)
        while self._stack:
            instance = self._stack.pop()
            for one in network.ancestors(instance):
                self._hear(network.instances[one.parent])
            self._follow(instance)

    def _hear(self, instance: Instance) -> None:
        is_controller = instance.id != ROOT and instance.function.kind == "controller"
        if is_controller and not instance.error and not why_held(self._network, instance):
            self.controllers[instance.id] = None

    def _follow(self, maker: Instance) -> None:
        network = self._network
        places = [Place(maker.id, "out", (field.name,)) for field in maker.function.outputs]
        while places:
            place = places.pop()
            if place in self._seen:
                continue
            self._seen.add(place)
            instance = network.instances[place.instance]
            if place.side == "out" and instance.id != ROOT:
                self._hear(network.instances[instance.parent])
            elif place.side == "in":
                self._hear(instance)
                if instance.is_evaluated and instance.id not in self.evaluated and not why_held(network, instance):
                    self.evaluated[instance.id] = None
                    self._stack.append(instance)
            places.extend(readers_of(network, place))
