"""Read a store with SpatialData; print where things lie in its coordinate systems, as JSON."""

import json
import sys
import warnings

import numpy as np
import spatialdata
from spatialdata.models import SpatialElement
from spatialdata.transformations import get_transformation
from xarray import DataArray

warnings.simplefilter("ignore")


def scales(element: SpatialElement) -> dict[str, list[float]]:
    """(y, x) of the scale into each coordinate system."""
    found = get_transformation(element, get_all=True)
    matrices = {name: step.to_affine_matrix(("y", "x"), ("y", "x")) for name, step in found.items()}
    assert all(np.count_nonzero(matrix[:2] - np.diag(matrix.diagonal())[:2]) == 0 for matrix in matrices.values())
    return {name: matrix.diagonal()[:2].tolist() for name, matrix in matrices.items()}


data = spatialdata.read_zarr(sys.argv[1])
for name, raster in (*data.images.items(), *data.labels.items()):
    pixels = raster if isinstance(raster, DataArray) else next(iter(raster["scale0"].values()))
    np.save(f"{sys.argv[2]}/{name}.npy", np.asarray(pixels.data))
in_um = {name: spatialdata.transform(shapes, to_coordinate_system="um") for name, shapes in data.shapes.items()}
matched = spatialdata.match_table_to_element(data, element_name="nuclei", table_name="nuclei_measurements")
print(
    json.dumps(
        {
            "images": {name: scales(image) for name, image in data.images.items()},
            "labels": {name: scales(image) for name, image in data.labels.items()},
            "channels": {name: spatialdata.models.get_channel_names(image) for name, image in data.images.items()},
            "shapes": {name: scales(shapes) for name, shapes in data.shapes.items()},
            "nuclei_um": [(point.y, point.x) for point in in_um["nuclei"].centroid],
            "nuclei_index": data.shapes["nuclei"].index.tolist(),
            "tables": {name: list(map(str, table.var_names)) for name, table in data.tables.items()},
            "matched": matched.shape[0],
            "area_um2": np.asarray(matched[:, "area_um2"].X).ravel().tolist(),
            "outline_um2": in_um["nuclei"].area.tolist(),
            "systems": sorted(data.coordinate_systems),
        }
    )
)
