"""Open a group with ome-zarr-py; print the place of its finest level as JSON."""

import json
import sys

from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

node = next(iter(Reader(parse_url(sys.argv[1], mode="r"))()))
steps = {step["type"]: step[step["type"]] for step in node.metadata["coordinateTransformations"][0]}
axes = [axis["name"] for axis in node.metadata["axes"]]
print(json.dumps({"axes": axes, "shape": list(node.data[0].shape), **steps}))
