"""One slide's results, whole or growing, opened to be looked at piece by piece."""

from __future__ import annotations

import json
from typing import IO, Any

from pipeline.errors import StoreError
from pipeline.geometry import Frame
from pipeline.record import Record
from pipeline.store import SlideStore
from pipeline.view_cache import Once
from pipeline.view_files import BucketFiles, Files, LocalFiles, OutsideFolder, Stamp, read_small
from pipeline.view_layers import ViewLayer, list_layers
from pipeline.view_nuclei import NucleiView
from pipeline.view_patches import PatchesView
from pipeline.view_tiles import TileMaker


class SlideView:
    """What a viewer asks of one slide. Safe to share between threads.

    `layers` and the tables are read once: whoever keeps a view of a slide that is being worked on opens it anew from
    time to time.
    """

    def __init__(self, files: Files, folder: str, name: str) -> None:
        """`folder` is the slide's, below `files`: `<name>`, or `.partial/<name>` of a run that is going on.

        Raises
        ------
        StoreError
            where there is no image to look at yet
        """
        self.files, self.folder, self.name = files, folder, name
        self.whole = not folder.startswith(".partial/")
        self.record = Record(self._json("run.json") or self._json("begun.json") or {})
        self.store_path = f"{folder}/{name}.ome.zarr"
        self._store = self._open_store()
        listed = (layer for layer in list_layers(self._store) if self._lies_inside(layer.group))
        self.layers: dict[str, ViewLayer] = {layer.id: layer for layer in listed}
        if "image" not in self.layers:
            msg = f"{name}: there is no image to look at yet"
            raise StoreError(msg, "Wait until the run has begun to read the slide, or run it again.")
        finest = self.layers["image"].frames[0]
        self.level0: Frame = self.record.frame("resolution", "level0") or finest
        bucket = isinstance(files, BucketFiles)
        stamp = files.stamp(f"{folder}/run.json") if bucket else None
        self.tiles = TileMaker(self._store, files, self.store_path, stamp.tag if stamp else None)
        self._nuclei, self._patches = Once(self._open_nuclei), Once(self._open_patches)

    def _open_store(self) -> SlideStore:
        """The store, where none of its groups leads elsewhere."""
        if not isinstance(self.files, LocalFiles):
            from pipeline.store_remote import RemoteStore

            return RemoteStore(self.files, self.store_path)
        for path in ("zarr.json", ".zattrs"):
            self.files.stamp(f"{self.store_path}/{path}")
        return SlideStore(self.files.root / self.store_path)

    def _lies_inside(self, group: str) -> bool:
        """Whether no link leads from the store to a group elsewhere; links of levels are met by their tiles."""
        try:
            self.files.stamp("/".join(filter(None, (self.store_path, group, "zarr.json"))))
        except OutsideFolder:
            return False
        return True

    def _stamp(self, name: str) -> Stamp | None:
        """What is known of a file of the slide; a link that leads elsewhere is none."""
        try:
            return self.files.stamp(f"{self.folder}/{name}")
        except OutsideFolder:
            return None

    def _json(self, name: str) -> dict[str, Any] | None:
        content = read_small(self.files, f"{self.folder}/{name}")
        try:
            found = json.loads(content) if content is not None else None
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def nuclei(self) -> NucleiView | None:
        """The nuclei, where the table is there."""
        return self._nuclei()

    @property
    def patches(self) -> PatchesView | None:
        """The classified patches, where the table is there."""
        return self._patches()

    def _open_nuclei(self) -> NucleiView | None:
        stamp = self._stamp("nuclei.parquet")
        if stamp is None:
            return None
        return NucleiView(lambda: self._table("nuclei.parquet", stamp), f"{self.folder}/nuclei.parquet\n{stamp.tag}")

    def _open_patches(self) -> PatchesView | None:
        stamp = self._stamp("patches.parquet")
        return PatchesView(self._table("patches.parquet", stamp)) if stamp else None

    def _table(self, name: str, stamp: Stamp) -> IO[bytes]:
        """A table as it was when the slide was opened: rows of another would be told as those of this one."""
        opened = self.files.open(f"{self.folder}/{name}")
        if opened is not None and opened[1] == stamp:
            return opened[0]
        if opened is not None:
            opened[0].close()
        msg = f"{self.folder}/{name}: was taken away or written anew"
        raise StoreError(msg, "Load the page again.")

    @property
    def results(self) -> list[str]:
        """Files beside the store that are there, of those that a person takes away."""
        names = ("nuclei.parquet", "nuclei.geojson.gz", "patches.parquet", "run.json")
        return [name for name in names if self._stamp(name)]

    def has(self, name: str) -> bool:
        """Whether a file lies in the slide's folder."""
        return self._stamp(name) is not None
