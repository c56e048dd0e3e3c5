"""Read a nuclei.geojson.gz with QuBaLab; print what it found as JSON."""

import gzip
import json
import sys

from qubalab.objects import ImageFeature
from qubalab.objects.geojson import geojson_features_from_string
from shapely.geometry import shape

with gzip.open(sys.argv[1], "rt", encoding="utf-8") as file:
    features = [ImageFeature.create_from_feature(each) for each in geojson_features_from_string(file.read())]
centroids = [shape(feature.geometry).centroid for feature in features]
found = {
    "types": sorted({str(feature.object_type).rsplit(".", 1)[-1].upper() for feature in features}),
    "classes": sorted({": ".join(feature.classification.names) for feature in features}),
    "measurements": sorted(features[0].measurements),
    "centroids": [(point.x, point.y) for point in centroids],
}
print(json.dumps(found))
