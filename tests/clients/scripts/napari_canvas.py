"""Open groups of a store in napari, look at places, and keep what its canvas shows."""

import json
import sys

import napari
import numpy as np

viewer = napari.Viewer(show=True)
viewer.window.resize(1300, 900)
application = napari.qt.get_qapp()
seen = []
for asked in json.loads(sys.argv[1]):
    viewer.layers.clear()
    viewer.open(asked["store"], plugin="napari-ome-zarr")
    for layer in viewer.layers:
        layer.translate = layer.scale / 2
        layer.visible = layer._type_string == "image"
        if layer.visible:
            layer.interpolation2d = "linear"
    viewer.camera.center = asked["center_um"]
    viewer.camera.zoom = asked["zoom"]
    for _ in range(20):
        application.processEvents()
    np.save(asked["out"], viewer.screenshot(canvas_only=True, flash=False)[..., :3])
    seen.append({"center_um": list(viewer.camera.center)[-2:], "zoom": viewer.camera.zoom})
print(json.dumps(seen))
