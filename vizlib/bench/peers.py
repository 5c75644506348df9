"""What is measured beside other packages, where they are installed: the same map, asked for as each package documents it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

STEPS = 20  # of integrated gradients, on both sides, from the mean colour
_VIT, _PVT, _RESNET = "vit_small_patch16_224.augreg_in21k_ft_in1k", "pvt_v2_b0", "resnet18.a1_in1k"


@dataclass(frozen=True)
class PeerCase:
    """One method of ours with the options that make it the ``package``'s, and one ``call`` of that package, on one model."""

    package: str
    model: str
    method: str
    call: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def version(self) -> str | None:
        """The installed version of the package, None where there is none."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None


_IG = (("steps", STEPS), ("max_gap", 1.0))
PEER_CASES = (
    *(PeerCase(package, model, "grad_cam", f"{call}_grad_cam") for model, pairs in (
        (_VIT, (("torchcam", "torchcam"), ("captum", "captum"), ("grad-cam", "grad_cam"))),
        (_RESNET, (("torchcam", "torchcam"), ("captum", "captum"), ("grad-cam", "grad_cam"), ("torchxai-explain", "torchxai"))),
        (_PVT, (("torchcam", "torchcam"), ("captum", "captum"), ("grad-cam", "grad_cam"))),
    ) for package, call in pairs),
    PeerCase("torchcam", _RESNET, "layer_cam", "torchcam_layer_cam"),
    PeerCase("grad-cam", _RESNET, "layer_cam", "grad_cam_layer_cam"),
    PeerCase("grad-cam", _RESNET, "hires_cam", "grad_cam_hires_cam", (("gradient", "plain"),)),
    PeerCase("grad-cam", _RESNET, "eigen_cam", "grad_cam_eigen_cam"),
    PeerCase("captum", _VIT, "saliency", "captum_saliency"),
    PeerCase("captum", _VIT, "input_x_gradient", "captum_input_x_gradient"),
    PeerCase("captum", _VIT, "integrated_gradients", "captum_integrated_gradients", _IG),
    PeerCase("torchxai-explain", _VIT, "rollout", "torchxai_rollout"),
    PeerCase("hilrp", _VIT, "balanced", "hilrp", (("gradient", "cp"),)),
)  # fmt: skip


def peer_call(name: str, module: nn.Module) -> Callable[[torch.Tensor, int], np.ndarray]:
    """A function of a prepared input (1, 3, h, w) and a class that makes a package's map (rows, columns) of a module.

    The package is used as its readme does, and made anew for each map. The module is read, and for a ViT changed: see ``tapped``.
    """
    package, _, method = name.partition("_") if not name.startswith("grad_cam") else ("grad_cam", "", name.removeprefix("grad_cam_"))
    return {
        "torchcam": lambda x, target: _torchcam(module, method, x, target),
        "grad_cam": lambda x, target: _grad_cam(module, method, x, target),
        "captum": lambda x, target: _captum(module, method, x, target),
        "torchxai": lambda x, target: _torchxai(module, method, x, target),
        "hilrp": lambda x, target: _hilrp(module, method, x, target),
    }[package]


def feature_layer(module: Any) -> Any:
    """The part that gives the last feature map (B, C, rows, columns) that the answer is read from."""
    if hasattr(module, "layer4"):
        return module.layer4
    return module.blocks[-1].grid if hasattr(module, "blocks") else module.stages[-1]


def tapped(module: Any) -> Any:
    """The module; a ViT with a part before its last block that passes its patches on as a map, which is what these packages read."""
    from torch import nn

    if not hasattr(module, "blocks"):
        return module

    class Tapped(nn.Module):
        def __init__(self, block: nn.Module) -> None:
            super().__init__()
            self.grid, self.block = nn.Identity(), block

        def forward(self, tokens: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
            import torch

            side = int((tokens.shape[1] - 1) ** 0.5)
            grid = self.grid(tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side)))
            return self.block(torch.cat([tokens[:, :1], grid.flatten(2).transpose(1, 2)], 1), *arguments, **options)

    module.blocks[-1] = Tapped(module.blocks[-1])
    return module


def _torchcam(module: nn.Module, method: str, x: torch.Tensor, target: int) -> np.ndarray:
    from torchcam import methods

    kind = {"grad_cam": methods.GradCAM, "layer_cam": methods.LayerCAM}[method]
    with kind(module, feature_layer(module), input_shape=tuple(x.shape[1:])) as extractor:
        return extractor(target, module(x))[0][0].detach().numpy()


def _grad_cam(module: nn.Module, method: str, x: torch.Tensor, target: int) -> np.ndarray:
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    kind = {"grad_cam": "GradCAM", "layer_cam": "LayerCAM", "hires_cam": "HiResCAM", "eigen_cam": "EigenCAM"}[method]
    with getattr(pytorch_grad_cam, kind)(module, [feature_layer(module)]) as cam:
        return cam(x, [ClassifierOutputTarget(target)])[0]


def _captum(module: nn.Module, method: str, x: torch.Tensor, target: int) -> np.ndarray:
    from captum import attr

    x = x.clone().requires_grad_()
    if method == "grad_cam":
        return attr.LayerGradCam(module, feature_layer(module)).attribute(x, target, relu_attributions=True)[0, 0].detach().numpy()
    if method == "saliency":
        return attr.Saliency(module).attribute(x, target)[0].detach().amax(0).numpy()
    if method == "input_x_gradient":
        return attr.InputXGradient(module).attribute(x, target)[0].detach().sum(0).numpy()
    return attr.IntegratedGradients(module).attribute(x, 0 * x, target, n_steps=STEPS, internal_batch_size=8)[0].detach().sum(0).numpy()


def _torchxai(module: nn.Module, method: str, x: torch.Tensor, target: int) -> np.ndarray:
    import torchxai

    if method == "rollout":
        # Its own defaults keep the largest head and drop nine tenths of the weights.
        return _plane(torchxai.AttentionRollout(module, head_fusion="mean", discard_ratio=0.0)(x, target))
    return _plane(torchxai.GradCAM(module, feature_layer(module))(x, target))


def _hilrp(module: nn.Module, method: str, x: torch.Tensor, target: int) -> np.ndarray:
    import hilrp

    gamma = {"gamma": 0.0} if method == "without_gamma" else {}
    return _plane(hilrp.attribute(module, x, target, arch=_VIT.partition(".")[0], **gamma)["pixel_map"])


def _plane(values: Any) -> np.ndarray:
    """A map (rows, columns) of what a package returns: an array or tensor with leading ones or colours, which are added up."""
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, np.float64)
    while array.ndim > 3 and len(array) == 1:
        array = array[0]
    return array.sum(0) if array.ndim == 3 else array
