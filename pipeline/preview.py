"""preview.png: the whole slide beside a close look at the place richest in nuclei, drawn from the store alone.

Every panel is as many pixels on the page as it shows, or a whole multiple, and its axes count um from its own first
corner: so overlays from any frame are placed by one subtraction, and the same store gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from PIL import Image

from pipeline.geometry import Box, Frame
from pipeline.record import Record, plain
from pipeline.view_slide import HeatView, Scene, colours, open_scene, outlines_um
