from pathlib import Path

import pyarrow.parquet as pq

from pipeline.slide import open_slide
from pipeline.synthetic_sample import write_synthetic_sample


def test_a_synthetic_sample_opens_and_its_nuclei_are_beside_it(tmp_path: Path) -> None:
    path = write_synthetic_sample(tmp_path / "slides", 512)
    with open_slide(path) as slide:
        assert slide.info.frame.shape == (512, 512)
        assert abs(slide.info.frame.mpp - 0.25) < 1e-6
    truth = pq.read_table(path.with_suffix(".truth.parquet"))
    assert truth.num_rows > 0
    assert truth["centroid_y_level0_px"].to_numpy().min() >= 0
    assert truth["centroid_x_level0_px"].to_numpy().max() < 512
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["synthetic-512.svs", "synthetic-512.truth.parquet"]
