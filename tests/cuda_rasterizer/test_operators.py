"""The operators' schemas, when they are registered, and what Python knows from the compiled module."""

import subprocess
import sys

import pytest
import torch
from torch._subclasses import FakeTensorMode

from scenes import cameras, cloud
from splat.cuda_rasterizer import native
from splat.cuda_rasterizer.autograd import l1_ssim_loss
from splat.cuda_rasterizer.ops.inputs import check_inputs
from splat.cuda_rasterizer.ops.schema import PARAMETERS, Gradients, Inputs, Options, Outputs, State, split


@pytest.mark.parametrize(
    ("module", "operators"),
    [
        ("autograd", "rasterize_forward rasterize_backward rasterize_backward_adam l1_ssim adam_step"),
        ("ops.forward", "rasterize_forward"),
        ("ops.backward", "rasterize_backward"),
        ("ops.backward_adam", "rasterize_backward_adam"),
        ("ops.contribution", "contribution"),
        ("ops.loss", "l1_ssim"),
        ("ops.adam", "adam_step"),
    ],
)
def test_importing_a_module_registers_its_operators(module, operators):
    script = (
        "import sys, types, pathlib, torch, importlib.util\n"
        "package = importlib.util.find_spec('splat')\n"  # without running splat/__init__.py, which imports them all
        "sys.modules['splat'] = bare = types.ModuleType('splat')\n"
        "bare.__path__ = [*package.submodule_search_locations]\n"
        "bare.__path__.append(str(pathlib.Path(package.origin).parent.parent))\n"
        f"import splat.cuda_rasterizer.{module}\n"
        f"assert all(hasattr(torch.ops.splat, name) for name in {operators.split()!r})"
    )
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)


@pytest.mark.parametrize("kind", ["meta", "fake"])
def test_tensors_without_numbers_are_not_read(kind):
    """Also where no mode of torch's is active any more: their addresses are no memory."""
    image = torch.zeros(1, 12, 9, 3)
    image = image.to("meta") if kind == "meta" else FakeTensorMode().from_tensor(image)
    loss = l1_ssim_loss(image, image)
    assert loss.shape == () and type(loss) is type(image) and loss.is_meta == image.is_meta


def test_groups_fit_each_other():
    """What one operator gives, the next takes, under the same names."""
    assert Inputs._fields[: len(PARAMETERS)] == PARAMETERS
    assert set(State._fields) <= set(Outputs._fields)
    assert Gradients._fields[: len(PARAMETERS)] == tuple(f"v_{name}" for name in PARAMETERS)
    arguments = native.load().RenderArguments()
    for name in (*Inputs._fields, *Options._fields, *Gradients._fields):
        assert hasattr(arguments, name), name


def test_values_in_a_row_are_split_into_groups():
    count = len(Inputs._fields)
    inputs, state = split(tuple(range(count + len(State._fields))), Inputs, State)
    assert inputs.means == 0 and inputs.background == count - 1
    assert state.rgb == count and state.tile_offsets == count + len(State._fields) - 1


def test_limits_come_from_the_kernels():
    module, scene, camera = native.load(), cloud(3, sh_degree=4), cameras(1)
    inputs = Inputs(
        **scene.tensors(), features=None, viewmats=camera.viewmat, Ks=camera.K, background=torch.zeros(1, 3)
    )
    check_inputs(inputs, module.IMAGE_SIDE_MAX, 1, module.SH_DEGREE_MAX)
    with pytest.raises(ValueError, match=rf"height must be from 1 to {module.IMAGE_SIDE_MAX}"):
        check_inputs(inputs, 1, module.IMAGE_SIDE_MAX + 1, 0)
    larger = inputs._replace(sh_rest=torch.zeros(3, 35, 3))
    with pytest.raises(ValueError, match="sh_degree must be from 0 to 4, got 5; the kernels evaluate no more"):
        check_inputs(larger, 1, 1, 5)
