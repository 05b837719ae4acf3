import subprocess
import sys
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from search_space import Architecture, draw
from search_space.enas.drawing import BOX, figure, plan_cell, state_size

ARCHITECTURE = Architecture.from_fixed_arc([1, 0, 1, 4, 2, 2, 1, 3], [1, 1, 1, 4, 2, 2, 2, 0])


def texts(drawn: Figure) -> list[Text]:
    return [text for axes in drawn.axes for text in axes.texts]


def extents(drawn: Figure) -> list[tuple[str, Bbox]]:
    renderer = FigureCanvasAgg(drawn).get_renderer()
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts(drawn)]


def random_architectures(count: int) -> list[Architecture]:
    return [Architecture.random(seed, nodes=seed % 7 + 1) for seed in range(count)]


def test_both_cells_are_drawn_with_their_nodes_and_operations() -> None:
    normal, reduce = ([text.get_text() for text in axes.texts] for axes in figure(ARCHITECTURE).axes)
    ends = ["cell before\nthe last", "last cell", "concatenate", "0", "1", "2", "3"]
    operations = ["sep conv 3x3", "identity", "avg pool 3x3", "max pool 3x3"]
    assert sorted(normal) == sorted(["normal cell", *ends, *operations])
    halved = [
        "sep conv 5x5 /2",
        "identity /2",
        "avg pool 3x3",
        "sep conv 3x3",
        "/2",
    ]  # the last: loose input 0
    assert sorted(reduce) == sorted(["reduction cell (/2: stride 2)", *ends, *halved])


def test_svg_is_one_and_png_is_another() -> None:
    assert ElementTree.fromstring(draw(ARCHITECTURE)).tag == "{http://www.w3.org/2000/svg}svg"
    with Image.open(BytesIO(draw(ARCHITECTURE, "png"))) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 10


def test_svg_is_the_same_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "architecture.json").write_text(ARCHITECTURE.to_json())
    script = (
        "import sys; from search_space import Architecture, draw; "
        "sys.stdout.buffer.write(draw(Architecture.load(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, tmp_path / "architecture.json"]
    assert subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout == draw(ARCHITECTURE)


def test_other_file_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="'pdf': a drawing is svg or png"):
        draw(ARCHITECTURE, "pdf")  # type: ignore[arg-type]


def test_no_two_texts_overlap_and_none_leaves_the_picture() -> None:
    for architecture in random_architectures(14):
        drawn = figure(architecture)
        placed = extents(drawn)
        for number, (text, box) in enumerate(placed):
            assert drawn.bbox.containsx(box.x0) and drawn.bbox.containsx(box.x1), text
            assert drawn.bbox.containsy(box.y0) and drawn.bbox.containsy(box.y1), text
            for other, other_box in placed[:number]:
                assert not box.overlaps(other_box), (text, other, architecture.fixed_arc)


def test_operation_fits_its_box() -> None:
    widest = max(box.width for text, box in extents(figure(ARCHITECTURE)) if text.startswith("sep conv"))
    assert widest / 100 < 1.05  # inches, at matplotlib's default resolution


def test_boxes_and_lanes_of_a_column_never_touch() -> None:
    for architecture in random_architectures(200):
        for kind, cell in architecture.cells.items():
            plan = plan_cell(cell, kind == "reduce")
            for column in range(plan.output):
                spans = []
                for (state, of_column), height in plan.heights.items():
                    half = state_size(state) / 2 if plan.columns[state] == column else 0
                    if of_column == column:
                        spans.append((height - half, height + half))
                spans.sort()
                assert all(below[1] < above[0] for below, above in pairwise(spans))


def test_every_state_stands_right_of_what_it_reads() -> None:
    for architecture in random_architectures(50):
        plan = plan_cell(architecture.normal, reduction=False)
        for state, node in enumerate(architecture.normal.nodes, start=2):
            assert all(plan.columns[edge.input] < plan.columns[state] for edge in node)
        assert plan.width > plan.output * BOX
