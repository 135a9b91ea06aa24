"""A model with a collection that stays what its folder holds."""

import threading
from collections.abc import Callable
from pathlib import Path

from mermed_core.collections.collection import Collection
from mermed_core.collections.following import FollowedCollection
from mermed_core.inference.own_collection import with_collection
from mermed_core.inference.predictor import Predictor


class FollowingPredictor:
    """Answers with the collection as its folder is now: a case that was removed is in no answer. Thread-safe.

    Args:
        model: the model; its collection does not matter.
        folder: the collection.
        opens: opens it.

    Attributes:
        problem: why the collection cannot be used, "" where it can.
    """

    def __init__(self, model: Predictor, folder: Path, opens: Callable[[], Collection]) -> None:
        def fitting() -> Collection:
            collection = opens()
            with_collection(model, collection)  # raises where another model made it
            return collection

        self._model = model
        self._lock = threading.Lock()
        self._followed = FollowedCollection(folder, fitting)
        self._collection, self.problem = self._followed.current()
        self._predictor = with_collection(model, self._collection, missing=self.problem)

    def current(self) -> Predictor:
        """Returns the model with the collection; the same object as long as it is the same cases."""
        with self._lock:
            collection, problem = self._followed.current()
            if collection is not self._collection or problem != self.problem:
                self._predictor = with_collection(self._model, collection, missing=problem)
                self._collection, self.problem = collection, problem
            return self._predictor
