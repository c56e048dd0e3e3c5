from pathlib import Path

import pytest

from pipeline.config import CohortConfig, SlideConfig, read_config
from pipeline.errors import ConfigError


def written(folder: Path, text: str) -> Path:
    path = folder / "cohort.toml"
    path.write_text(text)
    return path


def test_a_slide_has_settings_of_its_own_above_the_cohorts(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, 'target_mpp = 0.5\n[slide."no-mpp"]\nmpp = 0.25\nclassifiers = []\n'))
    assert config.of("no-mpp") == SlideConfig(mpp=0.25, target_mpp=0.5, classifiers=())
    assert config.of("other") == SlideConfig(target_mpp=0.5)


def test_the_command_line_goes_before_the_file_but_not_before_a_slide(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, "mpp = 0.5\n[slide.a]\nmpp = 0.25\n")).changed({"mpp": 1.0, "sr": "none"})
    assert config.of("a").mpp == 0.25
    assert config.of("b").mpp == 1.0
    assert config.of("a").sr == "none"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("targetmpp = 0.5", "targetmpp"),
        ("target_mpp = 'fine'", "target_mpp"),
        ("target_mpp = true", "target_mpp"),
        ("target_mpp = nan", "target_mpp"),
        ("core_px = 1000", "core_px"),
        ("core_px = 256.0", "core_px"),
        ("core_px = -256", "core_px"),
        ("reader = 'bioformats'", "reader"),
        ("ngff = '0.6'", "ngff"),
        ("device = 'tpu'", "device"),
        ("classifiers = 'idc-hybrid'", "classifiers"),
        ("classifiers = ['a', 'a']", "classifiers"),
        ("stride_share = 0.3", "stride_share"),
        ("nuclei_views = 3", "nuclei_views"),
        ("stride_share = 'half'", "stride_share"),
        ("[slide.a]\nmp = 1.0", "mp"),
        ("slide = 3", "slide"),
        ("sr_blend = 1.5\nmeasure_blended = true", "sr_blend"),
        ("sr_blend = 0.5", "measure-blended"),
        ("sr_blend = 0.5\nnuclei = 'none'", "measure-blended"),
        ("mpp = ", "not a readable TOML"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_file_and_the_key(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as refusal:
        read_config(written(tmp_path, text))
    assert "cohort.toml" in refusal.value.what or "slide" in refusal.value.what
    assert refusal.value.cure


def test_pictures_drawn_for_their_looks_are_measured_only_if_told(tmp_path: Path) -> None:
    told = read_config(written(tmp_path, "sr_blend = 0.5\nmeasure_blended = true")).slide
    looks = read_config(written(tmp_path, "sr_blend = 1.0\nnuclei = 'none'\nclassifiers = []")).slide
    assert (told.sr_blend, looks.sr_blend) == (0.5, 1.0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_config(tmp_path / "none.toml")


def test_the_defaults_need_no_file() -> None:
    assert CohortConfig().of("anything") == SlideConfig()
